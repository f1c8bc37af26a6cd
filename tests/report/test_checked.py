"""Tests what a check says in a terminal."""

from __future__ import annotations

from dataclasses import replace

from tests.report import runs
from toolkit.records.schema import Run
from toolkit.report import checked
from toolkit.report.words import width

STRAIGHT = replace(runs.TWO[0], label="straight cpu")
"""Its Relu is max(0, x)."""


def checked_run(*rows: runs.Row) -> Run:
    run, _ = runs.make(rows, runs.Shape(starts=1, rounds=1))
    return run


def heads(text: str) -> list[str]:
    """The heads of the tables of special values."""
    return [line.strip() for line in text.splitlines() if line.strip().startswith("Relu of")]


def bent(count: int) -> list[runs.Row]:
    """Targets whose Relu deviates, of so many runtimes."""
    return [runs.Row(f"{name} cpu", 4e-6, relu=runs.BENT_RELU) for name in runs.RUNTIMES[:count]]


def test_a_wide_terminal_has_the_special_values_of_all_targets_in_one_table() -> None:
    text = checked.render(checked_run(STRAIGHT, *bent(2)), [], columns=120)
    (head,) = heads(text)
    assert head.split()[2:] == ["straight", "cpu", "onnxruntime", "cpu", "torch", "cpu"]
    assert "Relu is max(0, x) for all of these on straight cpu." in text


def test_a_narrow_terminal_has_as_few_tables_as_fit_and_only_of_those_that_deviate() -> None:
    text = checked.render(checked_run(STRAIGHT, *bent(6)), [], columns=80)
    assert len(heads(text)) == 2
    assert "straight" not in "".join(heads(text))
    assert all(f"{name} cpu" in "".join(heads(text)) for name in runs.RUNTIMES[:6])
    assert max(map(width, text.splitlines())) <= 80


def test_a_name_too_wide_for_any_table_still_has_its_values() -> None:
    (row,) = bent(1)
    text = checked.render(checked_run(replace(row, label="x" * 90)), [], columns=64)
    assert heads(text) == ["Relu of             " + "x" * 90]


def test_a_target_without_a_right_answer_says_why_and_what_to_do() -> None:
    text = checked.render(checked_run(*runs.MIXED), [])
    assert "tract cpu: wrong: 3 elements are far off (by its grid)" in text
    assert "onnxruntime cuda: libcublasLt.so.13 is missing\n           toolkit doctor" in text


def test_a_check_is_summed_up_by_its_verdicts_and_the_deviations_of_relu() -> None:
    assert checked.sentences(checked_run(*runs.MIXED)) == [
        "float32 on onnxruntime cpu, bound, onnxruntime cpu and torch cpu",
        "bfloat16 on openvino cpu",
        "wrong on tract cpu",
        "not judged (libcublasLt.so.13 is missing) on onnxruntime cuda",
        "Relu is not max(0, x) on openvino cpu for NaN and smallest subnormal: "
        "toolkit check shows the special values of Relu",
    ]


def test_where_no_relu_deviates_the_sum_says_so_and_where_none_was_asked_it_is_silent() -> None:
    *_, last = checked.sentences(checked_run(*runs.TWO))
    assert last == "Relu is max(0, x) for NaN, ±Inf, ±0 and subnormals on all of them"
    assert checked.sentences(checked_run(runs.TWO[1])) == ["float32 on torch cpu"]
