"""How fast: tables of latencies, their percentiles, curves and parts, and what to say of them."""

from __future__ import annotations

from toolkit.report.grids.grid import NONE, Grid
from toolkit.report.scaling import Scaling
from toolkit.report.view import PARTS, Row, Speed, Standing, Table
from toolkit.report.words import counted, grouped, listed, timed
from toolkit.units import duration

LEVELS = ("p90", "p95", "p99", "p99.9")


def ranked(table: Table) -> Grid:
    """The targets with right answers, by speed."""
    right = table.part(Standing.RANKED)
    levels = [name for name in LEVELS if any(carried(row.speed, name) for row in right)]
    head = ("target", "p50", "range", against(table), "answers", *levels, "calls a second")
    rows = [
        (
            row.target.name,
            *timed(speed.p50),
            row.says,
            row.answers,
            *(percentile(speed, name) for name in levels),
            rate(speed),
        )
        for row in right
        if (speed := row.speed) is not None
    ]
    return Grid(head, tuple(rows), frozenset({1, *range(5, len(head))}))


def others(table: Table) -> Grid:
    """The targets without a rank, and why."""
    rows = [
        (
            row.target.name,
            timed(row.speed.p50)[0] if row.speed else NONE,
            row.answers,
            "; ".join((row.says, *row.cures)),
        )
        for row in table.rows
        if row.standing is not Standing.RANKED
    ]
    return Grid(("target", "p50", "answers", "why it has no rank"), tuple(rows), frozenset({1}))


def against(table: Table) -> str:
    return f"against {table.baseline}" if table.baseline else "against –"


def carried(speed: Speed | None, name: str) -> float | None:
    """A percentile, seconds, where the samples carry it."""
    return speed.quantiles.percentiles.get(name) if speed and speed.quantiles else None


def percentile(speed: Speed, name: str) -> str:
    """A percentile, or how many calls it lacks."""
    found = carried(speed, name)
    if found is not None:
        return duration(found)
    needed = speed.quantiles.missing.get(name) if speed.quantiles else None
    calls = speed.quantiles.calls if speed.quantiles else 0
    return f"{needed - calls:,} calls missing" if needed else NONE


def rate(speed: Speed) -> str:
    """Calls a second, and rows where a call works on several."""
    rows = f" ({grouped(speed.rate * speed.rows)} rows)" if speed.rows > 1 else ""
    return f"{grouped(speed.rate)}{rows}"


def distribution(table: Table) -> Grid:
    """The percentiles of every target that shows a latency."""
    rows = [
        (
            row.target.name,
            f"{speed.quantiles.calls:,}",
            duration(speed.p50.middle),
            *(percentile(speed, name) for name in LEVELS),
        )
        for row in table.rows
        if (speed := row.speed) is not None and speed.quantiles is not None
    ]
    head = ("target", "calls", "p50", *LEVELS)
    return Grid(head, tuple(rows), frozenset(range(1, len(head))))


def scaling(found: Scaling) -> Grid:
    """Latency and throughput at each size, and how much faster a row is than at the first."""
    many = found.over == "batch"
    rows = [
        (
            curve.name,
            f"{point.size:,}",
            *timed(point.speed.p50),
            grouped(point.speed.rate * point.speed.rows),
            point.gain.text if point.gain else NONE,
        )
        for curve in found.curves
        for point in curve.points
    ]
    first = "a row, times as fast" if many else "times as fast"
    head = ("target", found.over, "p50", "range", "rows a second", first)
    return Grid(head, tuple(rows), frozenset({1, 2, 4}))


def parts(table: Table) -> Grid:
    """Where the time of a call goes: medians over the process starts."""
    rows = [
        (row.target.name, *(_part(row.speed, name) for name in PARTS))
        for row in table.rows
        if row.speed
    ]
    return Grid(("target", *PARTS), tuple(rows), frozenset(range(1, len(PARTS) + 1)))


def _part(speed: Speed, name: str) -> str:
    found = speed.parts().get(name)
    return NONE if found is None else duration(found)


def remarks(table: Table) -> list[str]:
    """What must be said of the ratios of one table."""
    said = []
    if table.changed:
        said.append(f"{table.changed}: the ratios are against {table.baseline} instead.")
    if table.apart:
        many = len(table.apart) > 1
        said.append(
            f"The {'ratios' if many else 'ratio'} of {listed(table.apart)} "
            f"{'are' if many else 'is'} paired block by block; the quotient of the p50s beside "
            f"{'them' if many else 'it'} lies outside the {'intervals' if many else 'interval'}."
        )
    return said


def missing(table: Table, samples: bool) -> list[str]:
    """Which percentiles are not shown, and what they need."""
    if not samples:
        return ["No percentile beyond p50: samples.npz is not beside the record."]
    lines = []
    for name in LEVELS:
        lacking = [row for row in table.rows if lacks(row, name)]
        if lacking:
            needs = max(lacks(row, name) for row in lacking)
            who = counted(len(lacking), "target")
            lines.append(
                f"{name} needs {needs:,} calls: {who} made fewer, so it is not shown there."
            )
    return lines


def lacks(row: Row, name: str) -> int:
    """Calls that a percentile needs where they were not made; else 0."""
    return row.speed.quantiles.missing.get(name, 0) if row.speed and row.speed.quantiles else 0
