"""Tests the tables as CSV."""

from __future__ import annotations

import csv as reader
import io
from dataclasses import replace

import pytest

from tests.report import runs
from toolkit.report import csv
from toolkit.report.summary import summarize


def rows(targets: tuple[runs.Row, ...], shape: runs.Shape | None = None) -> list[dict[str, str]]:
    text = csv.render(summarize(*runs.make(targets, shape)))
    return list(reader.DictReader(io.StringIO(text, newline="")))


def test_there_is_a_row_for_each_target_and_case() -> None:
    written = rows(runs.SWEEP, runs.Shape(batches=(1, 8)))
    assert len(written) == 6
    assert {row["case"] for row in written} == {"batch 1", "batch 8"}


def test_numbers_are_seconds_and_bytes() -> None:
    first = rows(runs.MIXED)[0]
    assert 3.5e-6 < float(first["p50_s"]) < 6.5e-6
    assert float(first["p50_low_s"]) <= float(first["p50_s"]) <= float(first["p50_high_s"])
    assert float(first["times_faster_low"]) < 6.2 < float(first["times_faster_high"])
    assert first["difference_shown"] == "yes"
    assert 12e6 <= float(first["memory_above_idle_bytes"]) < 13e6


def test_rows_without_a_rank_say_why_and_wrong_ones_show_no_latency() -> None:
    by_label = {row["label"]: row for row in rows(runs.MIXED)}
    coarse, wrong, failed = (
        by_label[name] for name in ("openvino cpu", "tract cpu", "onnxruntime cuda")
    )
    assert (coarse["rank"], coarse["times_faster"], coarse["answers"]) == ("", "", "bfloat16")
    assert (wrong["p50_s"], wrong["reason"]) == ("", "wrong: 3 elements are far off")
    assert (failed["p50_s"], failed["standing"]) == ("", "not measured")


def test_a_name_that_is_a_formula_stays_text() -> None:
    first, _ = rows((replace(runs.TWO[0], label="=HYPERLINK(1)"), runs.TWO[1]))
    assert first["label"] == "'=HYPERLINK(1)"


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("\r=1+1", "' =1+1"),
        ("\n@SUM(A1)", "' @SUM(A1)"),
        ("\t-1", "' -1"),
        ("＝1+1", "'＝1+1"),
        ("a\x1b[31m=1", "a�[31m=1"),
        ("batch 1", "batch 1"),
        (-1.5, -1.5),
    ],
    ids=repr,
)
def test_a_cell_is_no_formula_however_it_begins(cell: csv.Cell, shown: csv.Cell) -> None:
    """Spreadsheets pass over the end of a line, and compute what follows."""
    assert csv.safe(cell) == shown
