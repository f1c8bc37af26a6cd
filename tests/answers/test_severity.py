"""One order of severity, whether outputs of one target are compared or two runs of it."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from toolkit.answers.formats import ORDER, Precision
from toolkit.answers.judge import worst
from toolkit.answers.severity import acceptable_as, severity, worse
from toolkit.answers.verdict import Answer, Limits, Name, OutputVerdict, Verdict, unmeasured
from toolkit.report.comparison import worse_answers
from toolkit.units import number

BANDS: dict[Precision, tuple[float, float]] = {
    "float32": (0.0, 10.0),
    "tf32": (400.0, 900.0),
    "float16": (450.0, 1_000.0),
    "bfloat16": (3_000.0, 9_000.0),
    "int8": (20_000.0, 60_000.0),
}
"""Classes with a gap between any two neighbours but tf32 and float16."""


def kind(factor: float, *names: Name) -> OutputVerdict:
    """The verdict with these names on an output of so many times float32's error."""
    plain = unmeasured("y", "planted")
    return replace(plain, names=names, answer="right", factor=number(factor), bands=BANDS)


KINDS: tuple[dict[str, OutputVerdict], ...] = (
    {"equal integers": replace(kind(1, *ORDER), exact=True)},
    {
        "float32": kind(1, "float32"),
        "float32 among others": kind(5, *ORDER),
        "honest flips": replace(kind(1, *ORDER), top1_changes=1),
    },
    {"between float32 and tf32": kind(100, "between")},
    {
        "tf32": kind(600, "tf32"),
        "tf32 or float16": kind(600, "tf32", "float16"),
        "float16": kind(600, "float16"),
        "tf32, float16 or bfloat16": kind(990, "tf32", "float16", "bfloat16"),
        "less than float32, of tf32's size": kind(600, "less than float32"),
    },
    {"between float16 and bfloat16": kind(2_000, "between")},
    {
        "bfloat16": kind(5_000, "bfloat16"),
        "bfloat16 or int8": kind(9_000, "bfloat16", "int8"),
        "less than float32, of bfloat16's size": kind(5_000, "less than float32"),
    },
    {"between bfloat16 and int8": kind(15_000, "between")},
    {"int8": kind(30_000, "int8")},
    {"wrong": kind(90_000, "wrong"), "another shape": unmeasured("y", "its shape is another")},
)
"""Every kind of verdict, mildest first; those of one group are equally coarse."""
LEVELS = {name: level for level, group in enumerate(KINDS) for name in group}
VERDICTS = {name: verdict for group in KINDS for name, verdict in group.items()}


def target(output: OutputVerdict) -> Verdict:
    return Verdict(" or ".join(output.names), "right", True, "", "int8", (output,), 8, "by hand")


@pytest.mark.parametrize(("was", "now"), [*itertools.product(VERDICTS, repeat=2)])
def test_judging_outputs_and_comparing_runs_keep_to_one_order(was: str, now: str) -> None:
    pair = [VERDICTS[name] for name in (was, now)]
    coarser = LEVELS[now] > LEVELS[was]

    assert bool(worse_answers(target(VERDICTS[was]), target(VERDICTS[now]), Limits())) is coarser
    if coarser:
        assert worst(pair) is worst(pair[::-1]) is pair[1]


@pytest.mark.parametrize(
    ("sure", "doubtful"),
    [
        ("float32", "float32 among others"),
        ("float16", "tf32 or float16"),
        ("bfloat16", "bfloat16 or int8"),
        ("bfloat16", "less than float32, of bfloat16's size"),
    ],
)
def test_of_two_that_are_equally_coarse_the_one_in_doubt_stands_for_the_target(
    sure: str, doubtful: str
) -> None:
    pair = [VERDICTS[name] for name in (sure, doubtful)]

    assert worst(pair) is worst(pair[::-1]) is pair[1]


def test_what_is_not_right_stands_for_the_target_before_what_is_coarser() -> None:
    refused = replace(VERDICTS["float32"], answer="less precise")
    coarse = VERDICTS["int8"]

    assert worst([coarse, refused]) is refused


def test_between_tf32_and_float16_is_no_finer_than_either() -> None:
    """Cancellation makes float16's error 16 to 22 times tf32's."""
    apart = {**BANDS, "float16": (2_000.0, 2_500.0)}
    gap = replace(kind(1_500, "between"), bands=apart)

    assert severity(gap).coarseness == severity(VERDICTS["tf32"]).coarseness


def test_a_record_without_bands_keeps_the_order_of_the_names() -> None:
    names: tuple[Name, ...] = ("float32", "between", "tf32", "bfloat16", "int8", "wrong")
    bare = [replace(kind(1, name), bands={}) for name in names]

    assert [severity(output) for output in bare] == sorted({severity(output) for output in bare})


def test_every_name_of_a_verdict_has_its_place() -> None:
    names = {name for verdict in VERDICTS.values() for name in verdict.names}

    assert names == {*ORDER, "between", "less than float32", "wrong"}


def judged(name: str, answer: Answer, declared: Precision = "float32") -> Verdict:
    output = replace(VERDICTS[name], answer=answer)
    return Verdict(name, answer, answer == "right", "why", declared, (output,), 8, "by hand")


@pytest.mark.parametrize(
    ("was", "now", "is_worse"),
    [
        (judged("float32", "right"), judged("float16", "right", "float16"), True),
        (judged("float16", "right", "float16"), judged("float32", "right"), False),
        (judged("float32", "right"), judged("float32 among others", "not shown"), False),
        (judged("float32", "right"), judged("bfloat16", "less precise"), True),
        (judged("float32", "not shown"), judged("bfloat16", "less precise"), True),
        (judged("bfloat16", "less precise"), judged("bfloat16", "less precise"), False),
        (judged("bfloat16", "less precise"), judged("int8", "less precise"), True),
        (judged("bfloat16", "less precise"), judged("wrong", "wrong"), True),
        (judged("wrong", "wrong"), judged("bfloat16", "less precise"), False),
        (judged("wrong", "wrong"), judged("int8", "right", "int8"), False),
        (judged("bfloat16", "less precise"), judged("int8", "right", "int8"), False),
    ],
    ids=lambda value: f"{value.text}, {value.answer}" if isinstance(value, Verdict) else "",
)
def test_what_is_worse_is_so_whatever_a_file_declares(
    was: Verdict, now: Verdict, is_worse: bool
) -> None:
    assert worse(now, was, Limits()) is is_worse


@pytest.mark.parametrize(
    ("limits", "is_worse"),
    [
        (Limits(), True),
        (Limits(accept="tf32"), False),  # It has float16's bits.
        (Limits(accept="float16"), False),
        (Limits(accept="int8"), False),
        (Limits(accept="float32"), True),
        (Limits(atol=1e-2), False),
        (Limits(top1=0.9), False),
        (Limits(undecided=True), True),
    ],
)
def test_a_coarser_file_is_no_worse_once_it_is_accepted(limits: Limits, is_worse: bool) -> None:
    was, now = judged("float32", "right"), judged("float16", "right", "float16")

    assert worse(now, was, limits) is is_worse


@pytest.mark.parametrize("name", [name for name in VERDICTS if VERDICTS[name].names != ("wrong",)])
def test_what_is_proposed_to_accept_a_verdict_accepts_it(name: str) -> None:
    was, now = judged("float32", "right"), judged(name, "right", "int8")
    proposed = acceptable_as(now)

    assert proposed is not None
    assert not worse(now, was, Limits(accept=proposed))
