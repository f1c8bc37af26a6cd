"""Arithmetic on sizes is computed exactly, written for people, and never run as code."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.feeds import arithmetic
from toolkit.feeds.arithmetic import Expression, NoArithmetic


def condition(text: str) -> Expression:
    expression = arithmetic.condition(text)
    assert expression is not None
    return expression


@pytest.mark.parametrize(
    ("text", "names", "value"),
    [
        ("2*seq + 1", {"seq"}, 15),
        ("(a + b)*a - b", {"a", "b"}, 11),
        ("seq//2", {"seq"}, 3),
        ("seq % 4", {"seq"}, 3),
        ("7", set(), 7),
    ],
)
def test_a_dimension_has_names_and_a_value(text: str, names: set[str], value: int) -> None:
    expression = arithmetic.dimension(text)

    assert expression is not None
    assert set(expression.names) == names
    assert expression.value({"seq": 7, "a": 3, "b": 1}) == value


@pytest.mark.parametrize(
    "text",
    [
        "seq",
        "input.0",
        "a-b c",
        "",
        "seq\0",
        "f(seq)",
        "seq**9",
        "seq & 1",
        "-seq",
        "seq + 1.5",
        "seq + True",
        "seq if x else 2",
        "9**9**9**9",
        "__import__('os').abort()",
    ],
)
def test_what_is_no_arithmetic_of_a_dimension_is_a_name(text: str) -> None:
    assert arithmetic.dimension(text) is None


@pytest.mark.parametrize("count", [2000, 100_000])
def test_a_text_that_would_exhaust_the_stack_is_a_name(count: int) -> None:
    assert arithmetic.dimension("+".join(["seq"] * count)) is None
    assert arithmetic.dimension("-" * count + "seq") is None


def test_a_quotient_is_exact() -> None:
    assert condition("Eq(seq/2, 3)").value({"seq": 7}) is False
    assert condition("Eq(3*(seq/3), seq)").value({"seq": 7}) is True


@pytest.mark.parametrize(
    ("text", "written", "holds", "breaks"),
    [
        ("s27 > 12", "seq > 12", 13, 12),
        ("s27 != 7", "seq ≠ 7", 8, 7),
        ("Eq(s27, 16)", "seq = 16", 16, 17),
        ("Ne(s27, 7)", "seq ≠ 7", 8, 7),
        ("Eq(Mod(s27, 2), 0)", "seq % 2 = 0", 4, 5),
        ("Eq(4*((s27//4)), s27)", "4 * (seq // 4) = seq", 8, 9),
        ("(s27 > 3) & (s27 < 9)", "(seq > 3) & (seq < 9)", 4, 9),
        ("~(s27 > 3)", "~(seq > 3)", 3, 4),
        ("Max(3, s27) <= 5", "Max(3, seq) ≤ 5", 5, 6),
        ("s27**2 < 50", "seq ** 2 < 50", 7, 8),
    ],
)
def test_a_condition_is_computed_and_written_in_other_names(
    text: str, written: str, holds: int, breaks: int
) -> None:
    assert condition(text).written({"s27": "seq"}) == written
    assert condition(text).value({"s27": holds})
    assert not condition(text).value({"s27": breaks})


def test_names_are_exchanged_at_once() -> None:
    assert condition("s0 + 2*s1").written({"s0": "s1", "s1": "s0"}) == "s1 + 2 * s0"


def test_code_is_not_run(tmp_path: Path) -> None:
    planted = tmp_path / "planted"

    with pytest.raises(NoArithmetic, match="is no arithmetic on sizes"):
        condition(f"open({str(planted)!r}, 'w') > 1").value({})

    assert not planted.exists()


def test_a_name_without_a_size_and_a_division_by_0_are_errors() -> None:
    with pytest.raises(KeyError, match="seq"):
        condition("seq > 3").value({})
    with pytest.raises(ZeroDivisionError):
        condition("8 // seq").value({"seq": 0})


def test_a_text_that_is_no_expression_is_no_condition() -> None:
    assert arithmetic.condition("s27 >") is None
