"""Tables of latencies, their percentiles, curves and parts, and the remarks on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from toolkit.report import throughput as rates
from toolkit.report.grids.grid import NONE, Grid
from toolkit.report.scaling import Scaling
from toolkit.report.view import PARTS, Ratio, Row, Speed, Standing, Table
from toolkit.report.words import counted, grouped, listed, printable, timed
from toolkit.units import duration

WHY_APART = "since each p50 is a median, which another process start may have"
"""The reason why a ratio and the quotient of two p50s may differ."""
LEVELS = ("p90", "p95", "p99", "p99.9")
"""The percentiles beyond p50, of which a table shows those that some target carries."""


def ranked(table: Table) -> Grid:
    """The targets with right answers, by speed."""
    right = table.part(Standing.RANKED)
    levels = [name for name in LEVELS if any(carried(row.speed, name) for row in right)]
    columns = throughput(table)
    head = (
        "target",
        "p50",
        "range",
        against(table),
        "answers",
        *levels,
        "calls a second",
        *columns,
    )
    rows = [
        (
            row.target.name,
            *timed(speed.p50),
            row.says,
            row.answers,
            *(percentile(speed, name) for name in levels),
            grouped(speed.rate),
            *(text(row) for text in columns.values()),
        )
        for row in right
        if (speed := row.speed) is not None
    ]
    return Grid(head, tuple(rows), frozenset({1, *range(5, len(head))}))


def others(table: Table) -> Grid:
    """The targets without a rank, with the reason and the cures."""
    rows = [
        (
            row.target.name,
            timed(row.speed.p50)[0] if row.speed else NONE,
            row.answers,
            "; ".join((row.why, *row.cures)),
        )
        for row in table.rows
        if row.standing is not Standing.RANKED
    ]
    return Grid(("target", "p50", "answers", "why it has no rank"), tuple(rows), frozenset({1}))


def against(table: Table) -> str:
    """The head of the column of ratios."""
    return f"against {table.baseline}" if table.baseline else "against –"


def carried(speed: Speed | None, name: str) -> float | None:
    """A percentile in seconds; None where the samples do not carry it."""
    return speed.quantiles.percentiles.get(name) if speed and speed.quantiles else None


def percentile(speed: Speed, name: str) -> str:
    """A percentile in words, or the number of calls that it lacks."""
    latency = carried(speed, name)
    if latency is not None:
        return duration(latency)
    # The number that is missing tells how much longer the run would have to be.
    needed = speed.quantiles.missing.get(name) if speed.quantiles else None
    calls = speed.quantiles.calls if speed.quantiles else 0
    return f"{needed - calls:,} calls missing" if needed else NONE


Column = Callable[[Row], str]


def throughput(table: Table) -> dict[str, Column]:
    """The columns of rows a second and of their cost, where a table has them, by their heads.

    Only what is right has such a number: `rates.T1`.
    """
    columns: dict[str, Column] = {}
    if table.rows_a_second:
        columns[f"{table.unit} a second"] = rows_a_second
    if (price := table.price) is not None:
        columns[f"a million {table.unit} cost"] = lambda row: cost(row, price)
    return columns


def rows_a_second(row: Row) -> str:
    right = chosen(row)
    return grouped(right.throughput.middle) if right else NONE


def cost(row: Row, price: float) -> str:
    right = chosen(row)
    return rates.cost_words(rates.cost(right, price)) if right else NONE


def chosen(row: Row) -> Speed | None:
    """The speed of a row that may be chosen: a right one."""
    return row.speed if row.standing is Standing.RANKED else None


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


def scaling(curves: Scaling) -> Grid:
    """Latency and throughput at each size, and how much faster a row is than at the first."""
    rows = [
        (
            curve.name,
            f"{point.size:,}",
            *timed(point.speed.p50),
            grouped(point.speed.throughput.middle),
            point.gain.text if point.gain else NONE,
        )
        for curve in curves.curves
        for point in curve.points
    ]
    gain = "a row, times as fast" if curves.over == "batch" else "times as fast"
    head = ("target", curves.over, "p50", "range", "rows a second", gain)
    return Grid(head, tuple(rows), frozenset({1, 2, 4}))


def parts(table: Table) -> Grid:
    """Splits the time of a call into its parts: medians over the process starts."""
    rows = [
        (row.target.name, *(_part(row.speed, name) for name in PARTS))
        for row in table.rows
        if row.speed
    ]
    return Grid(("target", *PARTS), tuple(rows), frozenset(range(1, len(PARTS) + 1)))


def _part(speed: Speed, name: str) -> str:
    length = speed.parts().get(name)
    return NONE if length is None else duration(length)


def remarks(table: Table) -> list[str]:
    """The sentences without which the ratios of a table could be misread."""
    sentences = []
    if table.changed:
        sentences.append(f"{table.changed}: the ratios are against {table.baseline} instead.")
    if table.apart:
        case = printable(table.case.name)
        sentences += apart("ratio", [f"{name} at {case}" for name in table.apart])
    return sentences


def apart(what: str, names: Sequence[str]) -> list[str]:
    """The sentence on ratios of which the p50s beside them say something else than the interval,
    and why; empty without names."""
    if not names:
        return []
    if len(names) == 1:
        return [
            f"The {what} of {names[0]} is paired within each process start; the quotient of the "
            f"p50s beside it lies outside the interval, {WHY_APART}."
        ]
    return [
        f"The {what}s of {listed(names)} are paired within each process start; the quotients of "
        f"the p50s beside them lie outside the intervals, {WHY_APART}."
    ]


def contradicted(curves: Scaling) -> list[str]:
    """The sentence on points of which the p50s beside the gain say something else than its
    interval."""
    names = [
        f"{curve.name} {rates.at_size(curves, point.size)}"
        for curve in curves.curves
        for point in curve.points
        if _is_contradicted(curve.points[0].speed, point.speed, point.gain)
    ]
    return apart("gain", names)


def _is_contradicted(first: Speed, speed: Speed, gain: Ratio | None) -> bool:
    if gain is None or gain.low is None or gain.high is None:
        return False
    quotient = first.p50.middle / speed.p50.middle * speed.rows / first.rows
    return not gain.low <= quotient <= gain.high


def missing(table: Table, samples: bool) -> list[str]:
    """Says which percentiles are not shown, and how many calls they need.

    `samples`: whether the samples of the run are there.
    """
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
    """The calls that a percentile needs where a target made fewer; else 0."""
    return row.speed.quantiles.missing.get(name, 0) if row.speed and row.speed.quantiles else 0
