"""What a comparison calls worse."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from tests.report.runs import Row, make
from toolkit.answers.verdict import Name
from toolkit.records.schema import Run
from toolkit.report import compared
from toolkit.report.betweenruns import machines_apart
from toolkit.report.compared import Gates
from toolkit.report.comparison import Gate, Pairing, side_by_side
from toolkit.report.decision import Wishes
from toolkit.report.summary import summarize


def pair(run: Run) -> Pairing:
    """The pairing of the first two targets."""
    (only,) = side_by_side(run, summarize(run).tables, [(0, 1)], Wishes())
    return only


FACTORS: dict[Name, float] = {"float32": 1.3, "between": 60.0, "int8": 30_000.0}


@pytest.mark.parametrize(
    ("old", "new", "fails"),
    [
        ("int8", "between", False),
        ("int8", "float32", False),
        ("between", "float32", False),
        ("between", "int8", True),
        ("float32", "between", True),
        ("int8", "int8", False),
    ],
)
def test_the_gate_of_answers_fails_for_coarser_ones_and_for_no_improvement(
    old: Name, new: Name, fails: bool
) -> None:
    """All are right: a number of the user's decides."""
    rows = [Row(name, 5e-6, name, factor=FACTORS[name]) for name in (old, new)]
    run, _ = make(rows)
    gates = Gates(worse=True)

    ruled = compared.rulings([pair(run)], gates)

    assert compared.fails(ruled, gates) is fails
    assert ruled[0].text == (f"{new}, it was {old}" if fails else "no worse than before")


OPEN = Row("open", 5e-6, shown=False, reason="its activation is saturated")


@pytest.mark.parametrize(
    ("old", "new", "outcome", "text"),
    [
        ("right", "open", Gate.OPEN, "not shown: its activation is saturated"),
        ("open", "open", Gate.OPEN, "not shown: its activation is saturated"),
        ("open", "right", Gate.HOLDS, "no worse than before"),
        ("open", "coarse", Gate.FAILS, "declares float32, computes bfloat16"),
        ("coarse", "open", Gate.HOLDS, "no worse than before"),
    ],
)
def test_answers_that_are_not_shown_are_not_decided(
    old: str, new: str, outcome: Gate, text: str
) -> None:
    coarse = Row(
        "coarse", 5e-6, "bfloat16", right=False, reason="declares float32, computes bfloat16"
    )
    kinds = {"right": Row("right", 5e-6), "open": OPEN, "coarse": coarse}
    run, _ = make([replace(kinds[kind], label=f"{kind} {n}") for n, kind in enumerate((old, new))])

    pairing = pair(run)
    (ruling,) = compared.rulings([pairing], Gates(worse=True))

    assert (ruling.outcome, ruling.text) == (outcome, text)
    assert (pairing.interval is not None) is ("coarse" not in (old, new))
    assert compared.fails([ruling], Gates(worse=True)) is (outcome is Gate.FAILS)
    assert compared.fails([ruling], Gates(worse=True, strict=True)) is (outcome is not Gate.HOLDS)


def on(features: list[str] | None) -> Run:
    """A run on a processor with these features."""
    run, _ = make([Row("onnxruntime cpu", 4e-6)])
    return msgspec.structs.replace(
        run, machine=msgspec.structs.replace(run.machine, features=features)
    )


def test_runs_on_processors_of_other_features_are_told_apart() -> None:
    base, new = on(["avx2", "avx512_vnni"]), on(["avx2"])

    (note,) = machines_apart(base, new)

    assert note.startswith(
        "the runs are of two kinds of processor: only the first has avx512_vnni. Speed depends"
    )
    assert "note" in compared.terminal([], [], columns=80, colour=False, notes=[note])
    assert "two kinds of processor" in compared.markdown("new against old", [], [], [note])


@pytest.mark.parametrize(
    ("before", "after"),
    [(["avx2"], ["avx2"]), (None, ["avx2"]), (["avx2"], None)],
    ids=["the same", "an older record", "a newer record"],
)
def test_runs_that_are_not_known_to_differ_have_no_note(
    before: list[str] | None, after: list[str] | None
) -> None:
    assert machines_apart(on(before), on(after)) == []
