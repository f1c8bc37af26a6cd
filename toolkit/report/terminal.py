"""Renders the report for a terminal: plain text, with colour only where it is asked for."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from toolkit.plaintext import RESET, STYLES, line
from toolkit.records.schema import WarningKind
from toolkit.report import metrics
from toolkit.report.conclusion import not_shown
from toolkit.report.decision import ComparisonDecision
from toolkit.report.grids import rates
from toolkit.report.grids.grid import NONE, Grid
from toolkit.report.grids.latencies import chosen, remarks
from toolkit.report.view import Note, Row, Standing, Table, View
from toolkit.report.words import (
    INTERVAL,
    seconds,
    short,
    timed,
    whole,
    whole_parts,
    width,
    wrapped,
)

LABEL = 9
"""Width of the first column, as in all lines of the tool."""
GAP = 2
"""Cells between two columns."""
RATIO = 12
"""What a ratio has at least: '1.23× faster'. It has more where an interval below it is wider; a
target's name is broken only where so much would not be left."""
ANSWERS = 20
"""The most that a verdict may take before it is wrapped."""
NARROWEST = 64
"""A terminal that has fewer columns is taken to have these: below, no words fit into the table."""
NEWS = {WarningKind.STOPPED_EARLY}
"""No warning to one who watched the run: the heading has the process starts."""

Widths = tuple[int, ...]
"""Widths of the columns: target, p50, rows a second where a table has them, ratio, answers."""


def render(view: View, *, columns: int = 80, colour: bool = False, label: str = "report") -> str:
    """The whole report; ends with a newline. Lines break at `columns`."""
    columns = max(NARROWEST, columns)  # The terminal breaks what is wider than it.
    names = [target.name for target in view.targets]
    lines = decided(view.decision, columns, colour, names)
    for number, table in enumerate(view.tables):
        lines += heading(view, table, "" if number else label, columns)
        lines += ["", *table_lines(table, columns - LABEL, colour), ""]
    if (costs := rates.costs(view.tables)).rows:
        lines += [*grid_lines(costs, columns - LABEL, colour), ""]
    paragraphs = (text for conclusion in view.conclusions for text in conclusion.paragraphs)
    sentences = (*paragraphs, *view.choosing, *view.agreements, *not_shown(view.tables))
    for text in (view.state, *sentences):
        lines += paragraph(whole(text, names), columns)
    if data := [*data_lines(view, columns, colour)]:
        lines += ["", *data, ""]
    for text in (*view.copies, *(remark for table in view.tables for remark in remarks(table))):
        lines += [styled(part, "quiet", colour) for part in paragraph(whole(text, names), columns)]
    for note in view.notes:
        if note.kind not in NEWS:
            lines += warning(note, columns)
    return "".join(f"{each.rstrip()}\n" for each in lines)


def decided(
    decision: ComparisonDecision | None, columns: int, colour: bool, names: Sequence[str]
) -> list[str]:
    """The lines of a decision, and an empty one; none without. No line breaks within `names`."""
    if decision is None:
        return []
    first, *rest = (whole(text, names) for text in decision.paragraphs)
    sentence = [styled(part, "strong", colour) for part in wrapped(line(first), columns - LABEL)]
    head = [f"{'decision':<{LABEL}}{sentence[0]}", *(" " * LABEL + part for part in sentence[1:])]
    return [*head, *(each for text in rest for each in paragraph(text, columns)), ""]


def data_lines(view: View, columns: int, colour: bool) -> Iterator[str]:
    """What labelled data showed: each target with its metrics; no lines without data."""
    if view.run.data is None:
        return
    yield from paragraph(metrics.heading(view.run.data), columns)
    for first_line, *others in metrics.by_target(view):
        yield from paragraph(first_line, columns)
        for text in others:
            parts = wrapped(line(text), columns - LABEL - GAP)
            yield from (" " * (LABEL + GAP) + part for part in parts)
    for text in (*metrics.alike(view), *metrics.flipped(view)):
        yield from (styled(part, "quiet", colour) for part in paragraph(text, columns))


def styled(text: str, style: str, colour: bool) -> str:
    """`text` in a style of STYLES; as it is without colour or with an empty style."""
    return f"{STYLES[style]}{text}{RESET}" if colour and style else text


def heading(view: View, table: Table, label: str, columns: int) -> list[str]:
    """'report   mlp.onnx · batch 1 · 1 thread · 14 process starts × 20 rounds    24.0 s'.

    The time stands at the right edge where it fits, and only where there is a label.
    """
    text = line(f"{view.title} · {table.case.name} · {view.protocol}")
    taken = seconds(view.run.seconds)
    first, *rest = wrapped(text, columns - LABEL)
    lines = [f"{label:<{LABEL}}{first}", *(" " * LABEL + part for part in rest)]
    if label and width(lines[-1]) + GAP + width(taken) <= columns:
        lines[-1] += taken.rjust(columns - width(lines[-1]))
    return lines


def paragraph(text: str, columns: int) -> list[str]:
    """`text` in lines below the label column; no lines of an empty text."""
    return [" " * LABEL + part for part in wrapped(line(text), columns - LABEL)] if text else []


def warning(note: Note, columns: int) -> list[str]:
    """The lines of a warning: what was seen, and below it what to do."""
    where = f"{note.where}: " if note.where else ""
    seen = wrapped(line(f"{where}{note.kind}: {note.detail}"), columns - LABEL)
    first, *rest = seen or [""]
    return [
        f"{'warning':<{LABEL}}{first}",
        *(" " * LABEL + part for part in rest),
        *paragraph(note.advice.do, columns),
    ]


def table_lines(table: Table, room: int, colour: bool) -> Iterator[str]:
    """The lines of the table, indented; a rule stands between its parts."""
    widths = column_widths(table, room)
    against = f"against {whole_parts(table.baseline)}" if table.baseline else ""
    rows = ["rows/s"] if table.rows_a_second else []
    yield from cells(["target", "p50", *rows, against, "answers"], widths, "quiet", colour)
    parts = [part for part in Standing if table.part(part)]
    for number, part in enumerate(parts):
        if number:
            line_width = sum(widths) + GAP * (len(widths) - 1)
            yield " " * LABEL + styled("─" * line_width, "quiet", colour)
        for row in table.part(part):
            yield from row_lines(table, row, widths, colour)


def row_lines(table: Table, row: Row, widths: Widths, colour: bool) -> Iterator[str]:
    """The lines of one row. Without a ratio its reason takes the last two columns."""
    p50 = timed(row.speed.p50)[0] if row.speed else "–"
    if row.compares:
        style = "strong" if table.leads(row) else ""
        rows = [rows_second(row)] if table.rows_a_second else []
        texts = [whole_parts(row.target.name), p50, *rows, row.says, row.answers]
        yield from cells(texts, widths, style, colour)
        return
    style = "wrong" if row.standing is Standing.NOT_RIGHT and not row.speed else "quiet"
    target, number, *rest = widths
    # The cures are left out: the command's last lines say once what to do.
    texts = [whole_parts(row.target.name), p50, row.says]
    yield from cells(texts, (target, number, sum(rest) + GAP * (len(rest) - 1)), style, colour)


def grid_lines(grid: Grid, room: int, colour: bool) -> Iterator[str]:
    """The lines of a small table, indented; its first column, names, gives way where it must."""
    first, *rest = (widest(column) for column in zip(grid.head, *grid.rows, strict=True))
    widths = (min(first, room - sum(rest) - GAP * len(rest)), *rest)
    for number, row in enumerate((grid.head, *grid.rows)):
        texts = [whole_parts(row[0]), *row[1:]]
        yield from cells(texts, widths, "" if number else "quiet", colour, grid.numbers)


def rows_second(row: Row) -> str:
    """Rows a second in few cells; of what is right alone."""
    right = chosen(row)
    return short(right.throughput.middle) if right else NONE


def cells(
    texts: Sequence[str],
    widths: Sequence[int],
    style: str,
    colour: bool,
    numbers: Collection[int] = (),
) -> Iterator[str]:
    """The lines of one row, each cell wrapped in its column; `numbers` stand to the right: the
    second column, and of five the third, where none are named."""
    numbers = numbers or ({1, 2} if len(widths) == 5 else {1})
    wrapped_cells = [wrapped(line(text), room) for text, room in zip(texts, widths, strict=True)]
    for number in range(max(map(len, wrapped_cells))):
        parts = []
        for column, (lines, room) in enumerate(zip(wrapped_cells, widths, strict=True)):
            text = lines[number] if number < len(lines) else ""
            space = " " * (room - width(text))
            parts.append(space + text if column in numbers else text + space)
        yield " " * LABEL + styled((" " * GAP).join(parts).rstrip(), style, colour)


def column_widths(table: Table, room: int) -> Widths:
    """Widths as the content needs them, together no wider than `room` cells."""
    target = widest(["target", *(row.target.name for row in table.rows)])
    number = widest(["p50", *(timed(row.speed.p50)[0] for row in table.rows if row.speed)])
    rows = [widest(["rows/s", *map(rows_second, table.rows)])] if table.rows_a_second else []
    answers = min(ANSWERS, widest(["answers", *(row.answers for row in table.compared())]))
    # The ratio takes what is left: it has the longest words and wraps best.
    others = number + sum(rows) + answers + (3 + len(rows)) * GAP
    intervals = (INTERVAL.findall(row.says) for row in table.compared())
    least = max(RATIO, *(width(interval) for each in intervals for interval in each), 0)
    target = min(target, room - others - least)
    left = room - target - others
    against = f"against {table.baseline}"
    needed = widest([against, *(row.says for row in table.rows)])
    return target, number, *rows, min(needed, left), answers


def widest(texts: Sequence[str]) -> int:
    return max(width(text) for text in texts)
