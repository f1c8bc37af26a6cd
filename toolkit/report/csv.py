"""The tables as CSV: a row for each target and case, in seconds and bytes."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from toolkit.report.grids.latencies import LEVELS, carried
from toolkit.report.view import Ratio, Row, Table, View
from toolkit.report.words import Spread

Cell = str | float | int | None


def render(view: View) -> str:
    """With a head; lines end as RFC 4180 has it."""
    rows = [cells(table, row) for table in view.tables for row in table.rows]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]) if rows else ["target"])
    writer.writeheader()
    writer.writerows({name: safe(cell) for name, cell in row.items()} for row in rows)
    return out.getvalue()


def safe(cell: Cell) -> Cell:
    """A text that a spreadsheet would take for a formula gets an apostrophe."""
    return (
        f"'{cell}"
        if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t"))
        else cell
    )


def cells(table: Table, row: Row) -> dict[str, Cell]:
    """One row; what is not shown stays empty."""
    speed, ratio, one = row.speed, row.ratio, row.target
    made = one.record.conversion if one.record else None
    return {
        "case": table.case.name,
        "target": one.planned.name,
        "label": one.name,
        "library": one.library,
        "standing": str(row.standing),
        "rank": row.rank,
        "answers": one.verdict.text if one.verdict else "",
        "reason": row.reason,
        **dict(columns("p50", "s", speed.p50 if speed else None)),
        "process_starts": speed.starts if speed else None,
        "baseline": table.baseline,
        "times_faster": ratio.middle if ratio else None,
        "times_faster_low": ratio.low if ratio else None,
        "times_faster_high": ratio.high if ratio else None,
        "difference_shown": shown(ratio) if ratio else None,
        **{f"{name}_s": carried(speed, name) for name in LEVELS},
        **dict(columns("copies_in", "s", speed.into if speed else None)),
        **dict(columns("copies_out", "s", speed.out if speed else None)),
        "calls_per_s": speed.rate if speed else None,
        "rows_per_call": speed.rows if speed else None,
        **{
            name: value
            for part, spread in one.cold.parts().items()
            for name, value in columns(part.replace(" ", "_"), "s", spread)
        },
        "conversion_s": made.seconds if made else None,
        "conversion_bytes": made.size if made else None,
        **dict(columns("memory_above_idle", "bytes", one.use.resident)),
        **dict(columns("memory_peak", "bytes", one.use.peak)),
        "placement": one.placement,
        "copies_inside": one.copies,
    }


def shown(ratio: Ratio) -> str:
    """Whether the difference from the baseline is shown."""
    if ratio.undecidable:
        return "not decided"
    return "yes" if ratio.different else "no"


def columns(name: str, unit: str, spread: Spread | None) -> Iterator[tuple[str, Cell]]:
    """Median, least and largest."""
    yield f"{name}_{unit}", spread.middle if spread else None
    yield f"{name}_low_{unit}", spread.low if spread else None
    yield f"{name}_high_{unit}", spread.high if spread else None
