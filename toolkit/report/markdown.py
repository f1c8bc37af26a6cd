"""report.md: what the page says, for where only text is shown. The plots stand beside it as SVG."""

from __future__ import annotations

import html
import re
import shlex
from collections.abc import Iterator, Sequence

from toolkit.report.facts import method
from toolkit.report.grids import answers, latencies, machines
from toolkit.report.grids.grid import Grid
from toolkit.report.scaling import Scaling, scalings
from toolkit.report.view import Table, View
from toolkit.report.words import printable


def render(view: View, plots: Sequence[tuple[str, str, str]] = ()) -> str:
    """The report as Markdown. `plots`: (file, title, how to read it) of each plot beside it."""
    blocks = [
        f"# {text(view.title)}",
        f"**{text(view.state)}**" if view.state else "",
        bullets([*(conclusion.text for conclusion in view.conclusions), *view.without_rank]),
        "  \n".join(
            [
                text(view.model),
                text(view.machine),
                text(view.measured),
            ]
        ),
        *(block for table in view.tables for block in case_blocks(view, table)),
        bullets(view.copies),
        *(
            block
            for one in scalings(view.run, view.tables)
            for block in section(scaling_title(one), latencies.scaling(one))
        ),
        *pictures(plots),
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


def scaling_title(one: Scaling) -> str:
    at = f" at {one.at}" if one.at else ""
    return f"Over the {'batch' if one.over == 'batch' else 'number of threads'}{at}"


def pictures(plots: Sequence[tuple[str, str, str]]) -> Iterator[str]:
    """Each plot, and below it how to read it, once."""
    said: set[str] = set()
    for file, title, reading in plots:
        yield f"![{text(title)}]({file})"
        if reading not in said:
            yield text(reading)
        said.add(reading)


def text(words: str) -> str:
    """Words that stay words: neither Markdown nor HTML."""
    plain = html.escape(printable(words), quote=False)
    return re.sub(r"([\\`*_\[\]|~#!])", r"\\\1", plain)


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
    """A table; nothing without rows."""
    if not grid.rows:
        return ""
    rule = ["---:" if place in grid.numbers else "---" for place in range(len(grid.head))]
    cells = [
        [
            f"**{text(cell)}**" if (row, column) in grid.marked else text(cell)
            for column, cell in enumerate(line)
        ]
        for row, line in enumerate(grid.rows)
    ]
    lines = [list(map(text, grid.head)), rule, *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def case_blocks(view: View, table: Table) -> Iterator[str]:
    """The tables of one case, and what must be said of them."""
    yield f"## {text(table.case.name)}"
    yield drawn(latencies.ranked(table))
    yield drawn(latencies.others(table))
    yield bullets([*latencies.remarks(table), *latencies.missing(table, view.samples)])
