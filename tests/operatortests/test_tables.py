"""The report counts by target and by operator, and a reason stays in its cell."""

from __future__ import annotations

from dataclasses import replace

from toolkit.operatortests import exceptions, tables
from toolkit.operatortests.outcome import OperatorOutcome

RIGHT = OperatorOutcome("test_relu", "Relu", 14, "oracle", "1", "1.23", "right")
OLD = replace(RIGHT, case="test_relu_old", opset=6)
ORT = replace(RIGHT, target="ort:cpu", version="2", verdict="float32")
WRONG = replace(OLD, target="ort:cpu", version="2", result="wrong", reason="y | <b>\nbad</b>")
OUTCOMES = [RIGHT, OLD, ORT, WRONG,
            replace(RIGHT, case="test_seq", operator="SequenceAt", result="left out")]  # fmt: skip


def test_each_target_has_its_counts_and_the_oracle_comes_first() -> None:
    assert tables.targets(OUTCOMES) == [("oracle", "1"), ("ort:cpu", "2")]
    lines = tables.markdown(OUTCOMES).splitlines()
    assert "| oracle | 1 | 1.23 | 2 | 2 | 0 | 0 | 0 | 0 | 1 | 0 | – |" in lines
    assert "| ort:cpu | 2 | 1.23 | 2 of 3 | 1 | 0 | 1 | 0 | 0 | 0 | 1 | float32 1 |" in lines
    assert "| Relu | 6 to 14 | 2 of 2 | 1 of 2, 1 wrong |" in lines
    assert "| SequenceAt | 14 | – | – |" in lines


def test_a_reason_cannot_leave_its_cell() -> None:
    assert "| wrong | y \\| &lt;b> bad&lt;/b> | test_relu_old |" in tables.markdown(OUTCOMES)


def test_tests_that_fail_alike_are_one_line() -> None:
    more = [replace(WRONG, case=f"test_relu_{n}", inputs="x:float32[3]") for n in range(3)]

    assert tables.markdown(more).endswith(
        "| ort:cpu | Relu | 6 | wrong | y \\| &lt;b> bad&lt;/b> | test_relu_0 and 2 more | "
        "x:float32[3] |\n"
    )


def test_right_within_the_tolerance_in_a_coarser_precision_is_less_precise() -> None:
    coarse = replace(ORT, verdict="bfloat16")

    assert tables.shown(ORT) == tables.shown(replace(ORT, verdict="exact")) == "right"
    assert tables.shown(coarse) == "less precise"
    assert tables.tally([coarse]).text() == "0 of 1, 1 less precise"
    assert tables.reason(coarse) == "its precision: bfloat16"


def test_what_the_oracle_does_not_pass_has_its_reason_or_is_said_to_have_none() -> None:
    known = replace(RIGHT, case="test_bernoulli", operator="Bernoulli", result="refused")
    unknown = replace(OLD, result="wrong", reason="odd")

    text = tables.markdown([known, unknown])

    why = exceptions.reason("test_bernoulli")
    assert f"| test_bernoulli | Bernoulli | 14 | refused | {why} |" in text
    assert "| test_relu_old | Relu | 6 | wrong | not named: odd |" in text
    assert "exceptions" not in tables.markdown([RIGHT])


def test_where_all_is_right_that_is_said() -> None:
    assert tables.markdown([RIGHT]).endswith("\nEvery test that was run is right.\n")
