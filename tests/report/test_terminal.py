"""Tests the report in a terminal."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace

import pytest

from tests.report import runs
from toolkit.report import terminal
from toolkit.report.summary import summarize
from toolkit.report.words import width

VIEW = summarize(*runs.make(runs.MIXED, runs.Shape(warnings=(runs.EARLY,))))


@pytest.mark.parametrize("columns", [64, 80, 120])
def test_no_line_is_wider_than_the_terminal(columns: int) -> None:
    lines = terminal.render(VIEW, columns=columns).splitlines()
    assert max(map(width, lines)) <= columns


def test_a_pipe_gets_no_control_characters() -> None:
    text = terminal.render(VIEW).replace("\n", "")
    assert not [c for c in text if unicodedata.category(c) == "Cc"]


def test_a_terminal_gets_the_fastest_row_bold_and_the_wrong_one_red() -> None:
    lines = terminal.render(VIEW, colour=True).splitlines()
    assert [line for line in lines if "\x1b[1monnxruntime cpu, bound" in line]
    assert [line for line in lines if "\x1b[31mtract cpu" in line]
    assert all(line.count("\x1b[") % 2 == 0 for line in lines)


def test_wide_names_keep_the_columns_aligned() -> None:
    rows = (replace(runs.TWO[0], label="推論 cpu"), runs.TWO[1])
    lines = terminal.render(summarize(*runs.make(rows))).splitlines()
    head, first, second = (line for line in lines if line.endswith(("answers", "float32")))
    starts = {width(line[: line.index("float32")]) for line in (first, second)}
    assert starts == {head.index("answers")}


THREADS = [runs.Row(f"onnxruntime-openvino cpu, {n} threads", 6.5e-6 * n) for n in (1, 2)]


@pytest.mark.parametrize("columns", range(80, 100, 3))
@pytest.mark.parametrize("batches", [(1,), (1, 8)], ids=["one batch", "with rows a second"])
def test_neither_a_name_nor_an_interval_is_broken(columns: int, batches: tuple[int, ...]) -> None:
    view = summarize(*runs.make((*THREADS, *runs.SWEEP), runs.Shape(batches=batches, seed=3)))

    text = terminal.render(view, columns=columns)

    assert max(map(width, text.splitlines())) <= columns
    joined = " ".join(text.split())
    for name in (target.name for target in view.targets):
        # The column of rows a second leaves such a name two lines, one for each part.
        for part in [name] if len(batches) == 1 else name.split(", "):
            assert text.count(part) >= len(batches)
            assert text.count(part) == joined.count(part)
    intervals = re.findall(r"\(\S+ to \S+\)", joined)
    assert len(intervals) >= 4
    assert all(text.count(each) == joined.count(each) for each in intervals)


def test_a_name_that_no_column_holds_is_broken_all_the_same() -> None:
    row = replace(runs.TWO[0], label="onnxruntime cpu " + "very " * 12 + "long")
    text = terminal.render(summarize(*runs.make((row, runs.TWO[1]))))

    assert max(map(width, text.splitlines())) <= 80
    assert " ".join(text.split()).count("very very") >= 3
