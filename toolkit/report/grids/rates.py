"""Tables of rows a second over threads and batch, and of what they cost."""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.report.grids import latencies
from toolkit.report.grids.grid import Grid
from toolkit.report.throughput import Heat, rows_words
from toolkit.report.view import Row, Standing, Table
from toolkit.report.words import printable
from toolkit.units import duration

MOST = 20
"""Rows of the table of costs; of more settings each target has its cheapest alone."""


def costs(tables: Sequence[Table]) -> Grid:
    """What a million rows cost with each right target at each case; no rows without a price.

    Of more than MOST settings only the cheapest of each target: the tables of the page, of Markdown
    and of the CSV have them all.
    """
    several = len(tables) > 1
    settings = [
        (table, row)
        for table in tables
        for row in table.part(Standing.RANKED)
        if table.price is not None
    ]
    if len(settings) > MOST:
        cheapest: dict[str, tuple[Table, Row]] = {}
        # The last one of a name stays: the one with most rows a second.
        for table, row in sorted(settings, key=lambda setting: _rows(setting[1])):
            cheapest[row.target.name] = (table, row)
        settings = [*reversed(cheapest.values())]
    rows = [
        (
            row.target.name,
            *([printable(table.case.name)] if several else []),
            latencies.cost(row, table.price),
        )
        for table, row in settings
        if table.price is not None
    ]
    unit = tables[0].unit if tables else ""
    head = ("target", *(["at"] if several else []), f"a million {unit} cost")
    return Grid(head, tuple(rows), frozenset({len(head) - 1}))


def _rows(row: Row) -> float:
    """Rows a second; 0 of what has no speed."""
    return row.speed.throughput.middle if row.speed else 0.0


def heat(of: Heat) -> Grid:
    """Rows a second with their interval, and the p50 of a call, for each threads and batch."""
    rows = [
        (
            f"{threads:,}",
            f"{batch:,}",
            rows_words(speed.throughput),
            duration(speed.p50.middle),
        )
        for (threads, batch), speed in sorted(of.cells.items())
    ]
    return Grid(("threads", "batch", "rows a second", "p50"), tuple(rows), frozenset({0, 1, 2, 3}))
