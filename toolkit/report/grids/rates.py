"""Tables of rows a second over threads and batch, and of what they cost."""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.report.grids import latencies
from toolkit.report.grids.grid import Grid
from toolkit.report.throughput import Heat, rows_words
from toolkit.report.view import Standing, Table
from toolkit.report.words import printable
from toolkit.units import duration


def costs(tables: Sequence[Table]) -> Grid:
    """What a million rows cost with each right target at each case; no rows without a price."""
    several = len(tables) > 1
    rows = [
        (
            row.target.name,
            *([printable(table.case.name)] if several else []),
            latencies.cost(row, table.price),
        )
        for table in tables
        for row in table.part(Standing.RANKED)
        if table.price is not None
    ]
    unit = tables[0].unit if tables else ""
    head = ("target", *(["at"] if several else []), f"a million {unit} cost")
    return Grid(head, tuple(rows), frozenset({len(head) - 1}))


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
