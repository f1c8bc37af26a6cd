"""Tests the report in a terminal."""

from __future__ import annotations

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
