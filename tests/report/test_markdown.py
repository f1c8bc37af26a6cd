"""Tests the report as Markdown."""

from __future__ import annotations

import re
from dataclasses import replace

from tests.report import runs
from toolkit.report import markdown
from toolkit.report.summary import summarize

HOSTILE = "<script>alert(1)</script> | [x](javascript:y) `z` *w*"


def test_hostile_names_stay_text() -> None:
    rows = (replace(runs.TWO[0], label=HOSTILE), runs.TWO[1])
    text = markdown.render(summarize(*runs.make(rows, runs.Shape(model=HOSTILE))))
    outside = text[: text.index("## How this was measured")]
    assert "<script" not in text.replace("models/mlp/<script>", "")
    assert re.search(r"(?<!\\)\]\(", outside) is None
    assert "\\| \\[x\\](javascript:y) \\`z\\` \\*w\\*" in outside


def test_a_command_with_backticks_does_not_leave_its_block() -> None:
    assert markdown.fenced("a ``` b") == "````\na ``` b\n````"


def test_every_row_of_a_table_has_as_many_cells_as_its_head() -> None:
    text = markdown.render(summarize(*runs.make(runs.MIXED)))
    for block in text.split("\n\n"):
        cells = {
            line.replace("\\|", "").count("|") for line in block.splitlines() if line[:1] == "|"
        }
        assert len(cells) <= 1


def test_plots_stand_in_the_text_with_how_to_read_them_once() -> None:
    pictures = [
        markdown.Picture(file, title, "Right of 1 is faster.")
        for file, title in (("ratios-1.svg", "Batch 1"), ("ratios-8.svg", "Batch 8"))
    ]
    text = markdown.render(summarize(*runs.make(runs.TWO)), pictures)
    assert "![Batch 1](ratios-1.svg)\n\nRight of 1 is faster.\n\n![Batch 8](ratios-8.svg)" in text
    assert text.count("Right of 1 is faster.") == 1
