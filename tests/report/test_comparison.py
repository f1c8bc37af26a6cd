"""What a comparison calls worse."""

from __future__ import annotations

import pytest

from tests.report.runs import Row, make
from toolkit.answers.verdict import Name
from toolkit.report import compared
from toolkit.report.compared import Gates
from toolkit.report.comparison import side_by_side

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
    """All are right: the user accepts int8."""
    rows = [Row(name, 5e-6, name, factor=FACTORS[name]) for name in (old, new)]
    run, _ = make(rows)
    gates = Gates(worse=True)

    ruled = compared.rulings(side_by_side(run, [(0, 1)]), gates)

    assert compared.fails(ruled, gates) is fails
    assert ruled[0].text == (f"{new}, it was {old}" if fails else "no worse than before")
