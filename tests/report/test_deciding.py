"""The sentence that a comparison ends with, from whole records."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from xml.etree import ElementTree

import msgspec
import pytest

from tests.report import runs
from tests.report.runs import FILE, Row, Shape, make
from toolkit import plaintext
from toolkit.answers.verdict import Limits
from toolkit.records.metrics import LabelledData, MetricDrop
from toolkit.records.schema import Run
from toolkit.report import checked, compared, markdown, page, terminal
from toolkit.report.betweenruns import between
from toolkit.report.compared import Gates
from toolkit.report.comparison import Gate, side_by_side
from toolkit.report.deciding import decided
from toolkit.report.decision import Action, ComparisonDecision, Goal, Wishes
from toolkit.report.summary import summarize
from toolkit.units import THIN

OLD = Row("onnxruntime cpu", 5e-6)
NEW = Row("onnxruntime cpu, new.onnx", 4e-6, file=FILE)
INT8 = replace(NEW, verdict="int8", factor=30_000.0, declared="int8", file=FILE // 4)
HALF = replace(NEW, verdict="float16", factor=700.0, declared="float16", file=FILE // 2)
WRONG = replace(NEW, verdict="wrong", right=False, factor=2.4e6, reason="wrong: far off")
COARSE = replace(
    NEW,
    verdict="bfloat16",
    right=False,
    factor=4_100.0,
    reason="declares float32, computes bfloat16",
)
OPEN = replace(NEW, shown=False, reason="its activation is saturated")
FAILED = replace(NEW, failure=runs.MISSING_CUDA)
SLOW, SAME = 7.5e-6, 5.0e-6


def measured(*rows: Row, command: str = "", limits: Limits | None = None, **shape: object) -> Run:
    # Without what a row's place adds to its memory.
    level = [replace(row, resident=row.resident - 1_500_000 * n) for n, row in enumerate(rows)]
    run, _ = make(level, Shape(**shape))  # type: ignore[arg-type]
    plan = msgspec.structs.replace(run.plan, limits=limits or Limits())
    return msgspec.structs.replace(
        run, plan=plan, command=["toolkit", "compare", "old.onnx", "new.onnx", *command.split()]
    )


def decision(run: Run) -> ComparisonDecision:
    """What the report of a run says, without the exact figures of an interval."""
    whole = summarize(run).decision
    assert whole is not None
    return whole


def plain(text: str) -> str:
    """A sentence with plain spaces, and with any number that was measured as N."""
    text = re.sub(r"\d+\.\d+× (faster|slower|more)", r"N× \1", text.replace(THIN, " "))
    return re.sub(r"\(\d\.\d+ to \d\.\d+\)", "(N to N)", text)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        (OLD, NEW, "Ship it: as precise (float32), N× faster (N to N), the same size."),
        (
            OLD,
            replace(INT8, latency=SLOW),
            "Keep it for size only: int8, 4.0× smaller, N× slower (N to N).",
        ),
        (
            OLD,
            HALF,
            "Ship it if float16 is precise enough (--accept float16): N× faster (N to N), "
            "2.0× smaller.",
        ),
        (OLD, WRONG, "Do not ship: wrong, off by up to 0.216 in `labels`."),
        (OLD, COARSE, "Do not ship: declares float32, computes bfloat16."),
        (OLD, FAILED, "Do not ship: it did not run: libcublasLt.so.13 is missing."),
        (
            OLD,
            OPEN,
            "Cannot tell yet: the new answers are not shown (its activation is saturated); give "
            "--inputs FOLDER with samples of your own, or --accept undecided. So far: "
            "N× faster (N to N), the same size.",
        ),
        (
            replace(WRONG, label="onnxruntime cpu", file=0),
            NEW,
            "Ship it: right (float32), where the old one is not, the same size.",
        ),
        (
            replace(WRONG, label="onnxruntime cpu", file=0),
            WRONG,
            "Do not ship: wrong, off by up to 0.216 in `labels`, and the old one is not right "
            "either.",
        ),
        (
            replace(FAILED, label="onnxruntime cpu", file=0),
            NEW,
            "Ship it: right (float32), where the old one did not run, the same size.",
        ),
        (
            replace(FAILED, label="onnxruntime cpu", file=0),
            FAILED,
            "Cannot tell yet: not both were measured (libcublasLt.so.13 is missing).",
        ),
        (
            replace(INT8, label="onnxruntime cpu", file=0),
            replace(NEW, latency=3e-6),
            "Ship it: more precise (float32, it was int8), N× faster (N to N), the same size.",
        ),
        (
            OLD,
            replace(NEW, latency=SLOW, file=FILE * 2),
            "Do not ship: as precise (float32), N× slower (N to N), 2.0× larger.",
        ),
        (
            OLD,
            replace(NEW, resident=40_000_000),
            "Ship it: as precise (float32), N× faster (N to N), the same size, "
            "N× more memory (N to N).",
        ),
    ],
    ids=lambda value: "" if isinstance(value, Row) else value[:40],
)
def test_the_sentence_says_what_to_do_and_why(old: Row, new: Row, text: str) -> None:
    whole = decision(measured(old, new))

    assert plain(whole.text) == text
    assert whole.lines == ()


def test_no_difference_is_said_with_what_could_hide() -> None:
    whole = decision(measured(OLD, replace(NEW, latency=SAME)))

    assert re.fullmatch(
        r"Either will do: as precise \(float32\), no difference found in latency \(one of up to "
        r"\d\.\d+ % could be hidden\), the same size\.",
        whole.text.replace(THIN, " "),
    )


def test_what_a_user_accepts_is_not_coarser() -> None:
    accepted = measured(OLD, HALF, limits=Limits(accept="float16"))
    by_number = measured(OLD, INT8, limits=Limits(atol=0.1))

    assert decision(accepted).text.startswith("Ship it: float16, ")
    assert decision(by_number).text.startswith("Ship it: int8, ")


@pytest.mark.parametrize(
    ("goal", "text"),
    [
        ("latency", "Keep it for size only: int8, 4.0× smaller, N× slower (N to N)."),
        (
            "size",
            "Ship it if int8 is precise enough (--accept int8): 4.0× smaller, N× slower (N to N).",
        ),
    ],
)
def test_the_goal_is_read_from_the_command_of_the_run(goal: str, text: str) -> None:
    run = measured(OLD, replace(INT8, latency=SLOW), command=f"--goal {goal}")

    assert plain(decision(run).text) == text


def test_the_agreement_of_the_top_class_stands_where_it_was_asked_for() -> None:
    row = replace(INT8, changes=(8, 1000))
    asked = measured(OLD, row, limits=Limits(top1=0.99))

    assert (
        decision(asked)
        .text.replace(THIN, " ")
        .endswith(", top class agrees in 99.2 % (98.4 to 99.6).")
    )
    assert "top class" not in decision(measured(OLD, row)).text


def test_it_stands_in_the_forms_of_a_check_and_a_bench_too() -> None:
    run = measured(OLD, replace(INT8, changes=(8, 1000)), limits=Limits(top1=0.99))
    sentence = "The top class agrees in 99.2 % (98.4 to 99.6) on onnxruntime cpu, new.onnx."
    view = summarize(run)

    forms = [
        terminal.render(view, columns=200),
        checked.render(run, [], columns=200),
        page.render(view, ()),
    ]

    assert all(sentence in form.replace(THIN, " ") for form in forms)
    assert plaintext.markdown(sentence) in markdown.render(view).replace(THIN, " ")


# What has to be given


def few() -> Run:
    """Three process starts of 1.7 s: no interval."""
    return measured(OLD, NEW, starts=3)


def test_a_run_without_an_interval_shows_its_ratio_and_says_why() -> None:
    assert plain(decision(few()).text) == (
        "Cannot tell yet: give --time 90s. So far: as precise (float32), N× faster, no interval "
        "(3 process starts, 6 are needed), the same size."
    )


def test_a_time_is_proposed_that_is_more_than_the_run_had_and_enough_for_its_starts() -> None:
    run = few()
    short = msgspec.structs.replace(run, plan=msgspec.structs.replace(run.plan, time=5.0))
    quick = msgspec.structs.replace(
        run, plan=msgspec.structs.replace(run.plan, time=1.0, quick=True)
    )

    # Ten process starts of 1.67 s each, and 30 %.
    assert "give --time 30s." in decision(short).text
    assert "give --time 30s, without --quick." in decision(quick).text


def test_a_wide_interval_asks_for_the_time_that_narrows_it() -> None:
    """Each process start of the two scatters by 1.2 %: 0.05 % takes a long time to be shown."""
    run = measured(OLD, replace(NEW, latency=SAME), command="--fail-if-slower 0.1%")

    found = re.match(
        r"Cannot tell yet: give --precision (0\.\d+)% --time (\d+)s\. So far: ",
        decision(run).text,
    )

    assert found is not None, decision(run).text
    assert int(found[2]) > 60


def test_the_longest_time_is_enough_for_all() -> None:
    rows = [OLD, replace(NEW, latency=SAME), replace(OLD, label="torch cpu"),
            replace(NEW, label="torch cpu, new.onnx", latency=SAME)]  # fmt: skip
    whole = decision(measured(*rows, starts=3))

    assert whole.action is Action.WAIT
    assert whole.text == "Cannot tell yet: give --time 90s."
    assert len(whole.lines) == 2


# Several targets


def test_targets_that_come_to_the_same_have_one_sentence_and_a_line_each() -> None:
    rows = [OLD, NEW, replace(OLD, label="torch cpu"),
            replace(NEW, label="torch cpu, new.onnx", latency=2.5e-6)]  # fmt: skip

    whole = decision(measured(*rows))

    assert re.fullmatch(
        r"Ship it: as precise \(float32\), 1\.2\d to \d\.\d+× faster, the same size\.", whole.text
    )
    assert [plain(line) for line in whole.lines] == [
        f"{name} cpu: ship it: as precise (float32), N× faster (N to N), the same size."
        for name in ("onnxruntime", "torch")
    ]


def test_targets_that_differ_are_named_with_what_to_do() -> None:
    rows = [OLD, NEW, replace(OLD, label="torch cpu"), replace(WRONG, label="torch cpu, new.onnx")]

    whole = decision(measured(*rows))

    assert whole.action is Action.REFUSE
    assert plain(whole.text) == (
        "Ship it on onnxruntime cpu: as precise (float32), N× faster (N to N), the same size. "
        "Do not ship on torch cpu: wrong, off by up to 0.216 in `labels`."
    )


def test_cases_are_told_apart_by_their_names() -> None:
    whole = decision(measured(OLD, NEW, batches=(1, 8)))

    assert [line.partition(":")[0] for line in whole.lines] == ["batch 1", "batch 8"]


def test_two_targets_of_one_file_are_taken_by_name() -> None:
    """Their size is no part of it."""
    run = measured(Row("onnxruntime cpu", 5e-6), Row("openvino cpu", 4e-6))
    slower = measured(Row("onnxruntime cpu", 5e-6), Row("openvino cpu", 8e-6))

    assert (
        plain(decision(run).text) == "Take openvino cpu: as precise (float32), N× faster (N to N)."
    )
    assert decision(slower).text.startswith("Do not take openvino cpu: ")


def test_a_bench_has_no_decision() -> None:
    run, _ = make(runs.TWO)

    assert summarize(run).decision is None


# Where it stands


def test_it_stands_first_wherever_a_run_is_shown() -> None:
    view = summarize(measured(OLD, NEW))
    assert view.decision is not None
    text = view.decision.text
    shown = page.render(view)

    assert terminal.render(view, columns=1000).startswith(f"decision {text}\n\n")
    assert markdown.render(view).splitlines()[2] == f"**{plaintext.markdown(text)}**"
    assert shown.index(text) < shown.index("Fastest with right answers")


def test_it_stands_in_every_form_of_a_comparison() -> None:
    run = measured(OLD, NEW)
    wishes = Wishes()
    pairings = side_by_side(run, summarize(run).tables, [(0, 1)], wishes)
    whole = decided(pairings, wishes, run)
    assert whole is not None
    ruled = compared.rulings(pairings, Gates(worse=True))

    suite = ElementTree.fromstring(compared.junit("new", ruled, whole))
    written = json.loads(compared.json("new", pairings, ruled, (), whole))
    lines = compared.markdown("new", pairings, ruled, (), whole).splitlines()
    first = compared.terminal(pairings, ruled, columns=1000, colour=False, decision=whole)

    (said,) = suite.findall("properties/property")
    assert (said.get("name"), said.get("value")) == ("decision", whole.text)
    assert suite.findtext("system-out") == whole.text
    assert [child.tag for child in suite] == ["properties", "testcase", "system-out"]
    assert written["decision"]["text"] == whole.text
    assert written["pairings"][0]["changes"]["latency"]["change"] == "better"
    assert lines[0] == "### new"
    assert lines[2].startswith("**Ship it: ")
    assert first.startswith(f"decision {whole.text}\n")


# Two runs


def test_two_runs_are_decided_by_their_ratios_and_sent_side_by_side_where_these_do_not_tell() -> (
    None
):
    rows = (OLD, Row("torch cpu", 9e-6))
    base, short = (make(rows, Shape(starts=starts))[0] for starts in (14, 3))
    cold = Wishes(Goal.COLD_START)

    same = decided(between(base, base, Wishes()), Wishes(), None)
    waiting = [
        decided(between(base, short, Wishes()), Wishes(), None),
        decided(between(base, base, cold), cold, None),  # Times of two days.
    ]

    assert same is not None
    assert same.action is Action.EITHER
    for whole in waiting:
        assert whole is not None
        assert whole.text.startswith(
            "Cannot tell yet: measure both side by side: toolkit compare OLD.onnx NEW.onnx. So far"
        )


def with_drop(run: Run, low: float, high: float) -> Run:
    """The run with a drop of accuracy on 1,000 examples."""
    middle = (low + high) / 2
    drop = MetricDrop(
        metric="accuracy", is_share=True, old=0, new=1, before=0.93, after=0.93 - middle,
        drop=middle, low=low, high=high, alpha=0.05, shown=low > 0, examples=1_000,
    )  # fmt: skip
    data = LabelledData(
        name="data.npz", labelling="classes", available=1_000, used=1_000, drops=[drop]
    )
    return msgspec.structs.replace(run, data=data)


@pytest.mark.parametrize(
    ("command", "low", "high", "action", "begins"),
    [
        ("", 0.02, 0.04, Action.TAKE_IF, "Ship it if int8 is precise enough"),
        ("--fail-if-drop 1%", 0.02, 0.04, Action.REFUSE, "Do not ship"),
        ("--fail-if-drop 5%", 0.02, 0.04, Action.TAKE, "Ship it"),
        ("--fail-if-drop 3%", 0.02, 0.04, Action.WAIT, "Cannot tell yet: the examples do not tell"),
        (
            "--fail-if-drop 3.5%",
            0.02,
            0.04,
            Action.WAIT,
            "Cannot tell yet: the examples do not tell whether the metric fell; about 5,200 would",
        ),
    ],
    ids=["no limit", "fell", "held", "at the limit", "near it"],
)
def test_a_metric_that_the_user_has_a_limit_for_decides(
    command: str, low: float, high: float, action: Action, begins: str
) -> None:
    run = with_drop(measured(OLD, INT8, command=command), low, high)

    said = decision(run)

    assert said.action is action
    assert said.text.startswith(begins)
    assert "accuracy 93.0 → 90.0 %, 3.0 % lower (2.0 to 4.0)" in said.text.replace(THIN, " ")


def test_an_old_file_of_a_coarser_class_judges_no_finer_one() -> None:
    """As where the two were given the wrong way round: the float32 file is off by the rounding of
    the int8 one, and was called worse."""
    old = replace(OLD, declared="int8")

    run = measured(old, COARSE)

    said = decision(run)
    (pairing,) = side_by_side(run, summarize(run).tables, [(0, 1)], Wishes())
    assert said.action is Action.WAIT
    assert said.text == (
        "Cannot tell yet: the old file is int8 itself, and cannot judge a finer one; compare them "
        "the other way round. So far: the same size."
    )
    assert pairing.answers is Gate.OPEN
    # One that declares no more than the old one is judged by it.
    assert decision(measured(old, replace(COARSE, declared="int8"))).action is Action.REFUSE
