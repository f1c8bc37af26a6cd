"""Renders report.md: it says what the page says, for where only text is shown.

The plots stand beside it as SVG.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from toolkit.plaintext import markdown as text
from toolkit.report import metrics
from toolkit.report.decision import ComparisonDecision
from toolkit.report.facts import method
from toolkit.report.grids import answers, latencies, machines, rates
from toolkit.report.grids.grid import Grid
from toolkit.report.scaling import Scaling, scalings
from toolkit.report.throughput import Heat, heats
from toolkit.report.view import Table, View
from toolkit.report.words import printable


@dataclass(frozen=True)
class Picture:
    """A plot that stands as a file beside the text."""

    file: str
    """Its name, relative to the text."""
    title: str
    reading: str
    """A sentence or two on how to read it."""


def render(view: View, pictures: Sequence[Picture] = ()) -> str:
    """The report as Markdown; ends with a newline."""
    blocks = [
        f"# {text(view.title)}",
        f"**{text(view.state)}**" if view.state else "",
        *decided(view.decision),
        bullets(
            [
                *(conclusion.text for conclusion in view.conclusions),
                *view.choosing,
                *view.agreements,
                *view.without_rank,
            ]
        ),
        # Two spaces at the end of a line break it.
        "  \n".join(map(text, (view.model, view.machine, view.measured))),
        *(block for table in view.tables for block in case_blocks(view, table)),
        bullets(view.copies),
        *data_blocks(view),
        *(
            block
            for scaling in scalings(view.run, view.tables)
            for block in scaling_blocks(scaling)
        ),
        *(
            block
            for heat in heats(view.run, view.tables)
            for block in section(heat_title(heat), rates.heat(heat))
        ),
        *picture_blocks(pictures),
        *section("What ran", answers.facts(view.targets)),
        *section("Answers", answers.answers(view.targets)),
        *section("Special values of Relu", answers.special_values(view.targets)),
        bullets(answers.special_value_notes(view.targets)),
        *section("Cold start and memory", machines.cold(view.targets)),
        *section("Warnings", machines.notes(view)),
        "## How this was measured",
        text(" ".join(method(view.run))),
        fenced(command(view.run.command)),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def decided(decision: ComparisonDecision | None) -> list[str]:
    """The blocks of a decision: the sentence in bold, and a line for each that differs."""
    if decision is None:
        return []
    return [f"**{text(decision.text)}**", bullets(decision.paragraphs[1:])]


def scaling_blocks(scaling: Scaling) -> list[str]:
    """A curve's table, and why some of its gains are not what the p50s beside them say."""
    table = section(scaling_title(scaling), latencies.scaling(scaling))
    return [*table, bullets(latencies.contradicted(scaling))]


def heat_title(heat: Heat) -> str:
    return f"Threads and batch: {text(heat.name)}{f' at {text(heat.at)}' if heat.at else ''}"


def scaling_title(scaling: Scaling) -> str:
    at = f" at {scaling.at}" if scaling.at else ""
    return f"Over the {'batch' if scaling.over == 'batch' else 'number of threads'}{at}"


def picture_blocks(pictures: Sequence[Picture]) -> Iterator[str]:
    """Each picture, and below it how to read it; the same words stand once."""
    explained: set[str] = set()
    for picture in pictures:
        yield f"![{text(picture.title)}]({picture.file})"
        if picture.reading not in explained:
            yield text(picture.reading)
        explained.add(picture.reading)


def case_blocks(view: View, table: Table) -> Iterator[str]:
    """The tables of one case, and the remarks on them."""
    yield f"## {text(table.case.name)}"
    yield drawn(latencies.ranked(table))
    yield drawn(latencies.others(table))
    yield bullets([*latencies.remarks(table), *latencies.missing(table, view.samples)])


def data_blocks(view: View) -> Iterator[str]:
    """What labelled data showed; nothing without data."""
    if view.run.data is None:
        return
    yield f"## On {text(metrics.heading(view.run.data))}"
    yield drawn(metrics.grid(view.run, view.targets))
    yield bullets(metrics.flipped(view))
    yield drawn(metrics.flips(view))


def bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {text(line)}" for line in lines)


def command(words: Sequence[str]) -> str:
    """The command line as a shell would take it."""
    return printable(shlex.join(words))


def fenced(words: str) -> str:
    """A block of code; its fence is longer than any run of backticks inside."""
    longest = max(map(len, re.findall("`+", words)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{words}\n{fence}"


def section(title: str, grid: Grid) -> list[str]:
    """A heading and its table; nothing without rows."""
    return [f"## {title}", drawn(grid)] if grid.rows else []


def drawn(grid: Grid) -> str:
    """A table in Markdown; empty without rows. Marked cells are bold."""
    if not grid.rows:
        return ""
    rule = ["---:" if column in grid.numbers else "---" for column in range(len(grid.head))]
    cells = [
        [
            f"**{text(cell)}**" if (row, column) in grid.marked else text(cell)
            for column, cell in enumerate(line)
        ]
        for row, line in enumerate(grid.rows)
    ]
    lines = [list(map(text, grid.head)), rule, *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
