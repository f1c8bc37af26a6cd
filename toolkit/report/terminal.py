"""The report as it stands in a terminal: plain text, with colour only where it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from toolkit.records.schema import WarningKind
from toolkit.report.grids.latencies import remarks
from toolkit.report.view import Note, Row, Standing, Table, View
from toolkit.report.words import seconds, timed, width, wrapped

LABEL = 9
"""Width of the first column, as in all lines of the tool."""
GAP = 2
NAME = 30
"""The most that a target's name may take before it is wrapped."""
NARROWEST = 64
"""A terminal that has fewer columns is taken to have these."""
NEWS = {WarningKind.STOPPED_EARLY}
"""What is no warning to one who watched: the heading has the process starts."""
STYLES = {"strong": "\x1b[1m", "quiet": "\x1b[2m", "wrong": "\x1b[31m"}

Grid = tuple[int, int, int, int]
"""Widths of the columns: target, p50, ratio, answers."""


def render(view: View, *, columns: int = 80, colour: bool = False, label: str = "report") -> str:
    """The whole report; ends with a newline. lines break at `columns`."""
    columns = max(NARROWEST, columns)
    lines: list[str] = []
    for number, table in enumerate(view.tables):
        lines += heading(view, table, "" if number else label, columns)
        lines += ["", *table_lines(table, columns - LABEL, colour), ""]
    for sentence in (
        view.state,
        *(part for conclusion in view.conclusions for part in conclusion.paragraphs),
    ):
        lines += paragraph(sentence, columns)
    for text in (*view.copies, *(said for table in view.tables for said in remarks(table))):
        lines += [styled(line, "quiet", colour) for line in paragraph(text, columns)]
    for note in view.notes:
        if note.kind not in NEWS:
            lines += warning(note, columns)
    return "".join(f"{line.rstrip()}\n" for line in lines)


def styled(text: str, style: str, colour: bool) -> str:
    """`text` with a terminal's colour, or as it is."""
    return f"{STYLES[style]}{text}\x1b[0m" if colour and style else text


def heading(view: View, table: Table, label: str, columns: int) -> list[str]:
    """'report   mlp.onnx · batch 1 · 1 thread · 14 process starts × 20 rounds    24.0 s'."""
    text = f"{view.title} · {table.case.name} · {view.protocol}"
    taken = seconds(view.run.seconds)
    first, *rest = wrapped(text, columns - LABEL)
    lines = [f"{label:<{LABEL}}{first}", *(" " * LABEL + line for line in rest)]
    if label and width(lines[-1]) + GAP + width(taken) <= columns:
        lines[-1] += taken.rjust(columns - width(lines[-1]))
    return lines


def paragraph(text: str, columns: int) -> list[str]:
    """`text` below the label column; nothing of nothing."""
    return [" " * LABEL + line for line in wrapped(text, columns - LABEL)] if text else []


def warning(note: Note, columns: int) -> list[str]:
    """What was seen, and below it what to do."""
    where = f"{note.where}: " if note.where else ""
    seen = wrapped(f"{where}{note.kind}: {note.detail}", columns - LABEL)
    first, *rest = seen or [""]
    return [
        f"{'warning':<{LABEL}}{first}",
        *(" " * LABEL + line for line in rest),
        *paragraph(note.advice.do, columns),
    ]


def table_lines(table: Table, room: int, colour: bool) -> Iterator[str]:
    """The table, indented; its three parts apart by a line."""
    grid = widths(table, room)
    against = f"against {table.baseline}" if table.baseline else ""
    yield from cells(["target", "p50", against, "answers"], grid, "quiet", colour)
    parts = [part for part in Standing if table.part(part)]
    for number, part in enumerate(parts):
        if number:
            yield " " * LABEL + styled("─" * (sum(grid) + GAP * 3), "quiet", colour)
        for row in table.part(part):
            yield from row_lines(table, row, grid, colour)


def row_lines(table: Table, row: Row, grid: Grid, colour: bool) -> Iterator[str]:
    """One row. Without a ratio its reason takes the last two columns."""
    p50 = timed(row.speed.p50)[0] if row.speed else "–"
    if row.standing is Standing.RANKED:
        style = "strong" if table.leads(row) else ""
        yield from cells([row.target.name, p50, row.says, row.answers], grid, style, colour)
        return
    style = "wrong" if row.standing is Standing.NOT_RIGHT and not row.speed else "quiet"
    target, number, ratio, answers = grid
    # What to do about it is said once, in the command's last lines.
    said = [row.target.name, p50, row.says]
    yield from cells(said, (target, number, ratio + GAP + answers), style, colour)


def cells(texts: Sequence[str], grid: Sequence[int], style: str, colour: bool) -> Iterator[str]:
    """One row of cells, each wrapped in its column; the second one, a number, to the right."""
    columns = [wrapped(text, room) for text, room in zip(texts, grid, strict=True)]
    for line in range(max(map(len, columns))):
        parts = []
        for place, (lines, room) in enumerate(zip(columns, grid, strict=True)):
            text = lines[line] if line < len(lines) else ""
            space = " " * (room - width(text))
            parts.append(space + text if place == 1 else text + space)
        yield " " * LABEL + styled((" " * GAP).join(parts).rstrip(), style, colour)


def widths(table: Table, room: int) -> Grid:
    """As wide as the content needs, and together no wider than the room."""
    ranked = table.ranked()
    target = min(NAME, room // 3, widest(["target", *(row.target.name for row in table.rows)]))
    number = widest(["p50", *(timed(row.speed.p50)[0] for row in table.rows if row.speed)])
    answers = min(20, widest(["answers", *(row.answers for row in ranked)]))
    left = room - target - number - answers - 3 * GAP
    against = f"against {table.baseline}"
    needed = widest([against, *(row.says for row in table.rows)])
    return target, number, min(needed, left), answers


def widest(texts: Sequence[str]) -> int:
    return max(width(text) for text in texts)
