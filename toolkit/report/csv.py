"""Renders the tables as CSV: a row for each target and case, in seconds and bytes."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from toolkit.plaintext import line
from toolkit.report.grids.latencies import LEVELS, carried, chosen
from toolkit.report.throughput import cost
from toolkit.report.view import Ratio, Row, ShownTarget, Table, View
from toolkit.report.words import Spread

Cell = str | float | int | None

FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""Beginnings that make a spreadsheet compute, also in the wide form of East Asian letters
(OWASP, *CSV Injection*)."""


def render(view: View) -> str:
    """The whole file, with a head; lines end in CR LF (RFC 4180)."""
    rows = [cells(table, row) for table in view.tables for row in table.rows]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]) if rows else ["target"])
    writer.writeheader()
    writer.writerows({name: safe(cell) for name, cell in row.items()} for row in rows)
    return out.getvalue()


def safe(cell: Cell) -> Cell:
    """Makes a text one line without control characters, and puts an apostrophe before one that a
    spreadsheet would take for a formula."""
    if not isinstance(cell, str):
        return cell
    return f"'{line(cell)}" if cell.startswith(FORMULAS) else line(cell)


def cells(table: Table, row: Row) -> dict[str, Cell]:
    """One row by the names of its columns; what is not shown stays empty."""
    speed, ratio, target = row.speed, row.ratio, row.target
    conversion = target.record.conversion if target.record else None
    right = chosen(row)
    spent = cost(right, table.price) if right and table.price is not None else None
    return {
        "case": table.case.name,
        "target": target.planned.name,
        "label": target.name,
        "library": target.library,
        "standing": str(row.standing),
        "rank": row.rank,
        "answers": target.verdict.text if target.verdict else "",
        "reason": row.reason,
        **dict(columns("p50", "s", speed.p50 if speed else None)),
        "process_starts": speed.starts if speed else None,
        "baseline": table.baseline,
        "times_faster": ratio.middle if ratio else None,
        "times_faster_low": ratio.low if ratio else None,
        "times_faster_high": ratio.high if ratio else None,
        "difference_shown": difference_shown(ratio) if ratio else None,
        **{f"{name}_s": carried(speed, name) for name in LEVELS},
        **dict(columns("copies_in", "s", speed.into if speed else None)),
        **dict(columns("copies_out", "s", speed.out if speed else None)),
        **metric_columns(target),
        "calls_per_s": speed.rate if speed else None,
        "rows_per_call": speed.rows if speed else None,
        **dict(columns("rows_per_s", "", right.throughput if right else None)),
        **dict(columns("million_rows_cost", "", spent)),
        **{
            name: value
            for part, spread in target.cold.parts().items()
            for name, value in columns(part.replace(" ", "_"), "s", spread)
        },
        "conversion_s": conversion.seconds if conversion else None,
        "conversion_bytes": conversion.size if conversion else None,
        **dict(columns("memory_above_idle", "bytes", target.use.resident)),
        **dict(columns("memory_peak", "bytes", target.use.peak)),
        "placement": target.placement,
        "copies_inside": target.copies,
    }


def difference_shown(ratio: Ratio) -> str:
    """'yes', 'no', or 'not decided' where so few process starts could not show one."""
    if ratio.undecidable:
        return "not decided"
    return "yes" if ratio.different else "no"


def columns(name: str, unit: str, spread: Spread | None) -> Iterator[tuple[str, Cell]]:
    """Three columns: the middle value, the lowest and the highest."""
    end = f"_{unit}" if unit else ""
    yield f"{name}{end}", spread.middle if spread else None
    yield f"{name}_low{end}", spread.low if spread else None
    yield f"{name}_high{end}", spread.high if spread else None


def metric_columns(target: ShownTarget) -> dict[str, Cell]:
    """The first metric on labelled data, with its interval; empty without a verdict (rule V1)."""
    known = target.record.metrics if target.record and target.verdict else []
    first = known[0] if known else None
    return {
        "metric": first.name if first else None,
        "metric_value": first.value if first else None,
        "metric_low": first.low if first else None,
        "metric_high": first.high if first else None,
        "metric_examples": first.examples if first else None,
    }
