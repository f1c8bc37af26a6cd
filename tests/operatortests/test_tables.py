"""The report counts by target and by operator, and a reason stays in its cell."""

from __future__ import annotations

from dataclasses import replace

from toolkit.operatortests import tables
from toolkit.operatortests.outcome import OperatorOutcome

RIGHT = OperatorOutcome("test_relu", "Relu", 14, "oracle", "1", "1.23", "right")
OUTCOMES = [
    RIGHT,
    replace(RIGHT, case="test_relu_old", opset=6),
    replace(RIGHT, target="ort:cpu", version="2", verdict="float32"),
    replace(RIGHT, case="test_relu_old", opset=6, target="ort:cpu", version="2", result="wrong",
            reason="y | <b>\nbad</b>"),
    replace(RIGHT, case="test_seq", operator="SequenceAt", result="left out"),
]  # fmt: skip


def test_each_target_has_its_counts_and_the_oracle_comes_first() -> None:
    assert tables.targets(OUTCOMES) == [("oracle", "1"), ("ort:cpu", "2")]
    lines = tables.markdown(OUTCOMES).splitlines()
    assert "| oracle | 1 | 1.23 | 2 | 0 | 0 | 0 | 1 | – |" in lines
    assert "| ort:cpu | 2 | 1.23 | 1 | 1 | 0 | 0 | 0 | float32 1 |" in lines
    assert "| Relu | 6 to 14 | 2 of 2 | 1 of 2, 1 wrong |" in lines
    assert "| SequenceAt | 14 | – | – |" in lines


def test_a_reason_cannot_leave_its_cell() -> None:
    assert "| ort:cpu | wrong | y \\| &lt;b> bad&lt;/b> |" in tables.markdown(OUTCOMES)


def test_where_all_is_right_that_is_said() -> None:
    assert tables.markdown([RIGHT]).endswith("\nEvery test that was run is right.\n")
