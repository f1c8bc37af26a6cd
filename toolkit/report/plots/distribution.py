"""Draws the distributions of the calls as quantile curves."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from toolkit.report.grids import latencies
from toolkit.report.plots.base import (
    Channel,
    Datum,
    Plot,
    Spec,
    at_case,
    dashes,
    in_order,
    legend,
    named,
    shades,
    shapes,
    slug,
    spec,
    ticks,
)
from toolkit.report.view import Row, Table, View
from toolkit.units import Seconds, time_unit

MARKS = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}
"""The percentiles that stand on the axis → their shares."""
READING = (
    "Each curve ends at the last percentile that its number of calls carries. A step is another "
    "state of the machine; a steep end is a long tail."
)


def draw(view: View, table: Table) -> Plot | None:
    """One curve a target; None where no samples are there."""
    rows = [row for row in table.rows if any(curve(row, 1.0))]
    if not rows:
        return None
    return Plot(
        name=f"distribution-{slug(table.case.name)}",
        title=f"The distribution of the calls{at_case(table, view)}",
        reading=READING,
        spec=picture(view, rows),
        grid=latencies.distribution(table),
        legend=legend(in_order(view), [row.target for row in rows]),
    )


def picture(view: View, rows: Sequence[Row]) -> Spec:
    """The curves; their axis stretches the tail, so that p90, p99 and p99.9 are as far apart."""
    import altair as alt

    # The unit of the fastest: an axis in ms would show its calls as 0.004.
    scale, unit = time_unit(min(row.speed.p50.middle for row in rows if row.speed))
    data = [point for row in rows for point in curve(row, scale)]
    curves = named(data, [row.target for row in rows]).encode(
        x=shares_axis(max(float(point["n"]) for point in data)),
        y=latency_axis([float(point["l"]) for point in data], unit),
        color=shades(view.targets),
    )
    # Points that nobody sees: a line gives no numbers when pointed at.
    points = curves.transform_calculate(share="1 - pow(10, -datum.n)").mark_point(
        opacity=0, size=120, filled=True, aria=False
    )
    tooltip = [
        alt.Tooltip("name:N", title="target"),
        alt.Tooltip("share:Q", title="share of the calls", format=".4~p"),
        alt.Tooltip("l:Q", title=f"took {unit} or less", format=".3~r"),
    ]
    line = curves.mark_line(strokeWidth=2, aria=False).encode(strokeDash=dashes(in_order(view)))
    # A mark of the runtime's shape where each curve passes a percentile, and at its end.
    marks = curves.transform_filter("datum.m").mark_point(
        size=45, filled=True, opacity=1, aria=False
    )
    shaped = marks.encode(shape=shapes(view.targets))
    return spec(alt.layer(line, shaped, points.encode(tooltip=tooltip)), height=270)


def shares_axis(last: float) -> Channel:
    """The horizontal axis from the fastest call to the share with `last` nines."""
    import altair as alt

    # 0.01 nines more: a curve that ends at a percentile shows it.
    values = [nines(share) for share in MARKS.values() if nines(share) < last + 0.01]
    return alt.X(
        "n:Q",
        scale=alt.Scale(domain=[0, last], nice=False),
        axis=alt.Axis(
            values=values, labelExpr=mark_words(), title="this share of the calls took no longer"
        ),
    )


def latency_axis(latencies: Sequence[float], unit: str) -> Channel:
    """A logarithmic axis of all latencies, in `unit`."""
    import altair as alt

    low, high = min(latencies) / 1.05, max(latencies) * 1.05
    return alt.Y(
        "l:Q",
        scale=alt.Scale(type="log", domain=[low, high], nice=False),
        axis=alt.Axis(values=ticks(low, high), format="~r", title=f"{unit}, logarithmic"),
    )


def nines(share: float) -> float:
    """The number of nines of a share: 0 for the fastest call, 1 for p90, 2 for p99."""
    return -math.log10(1 - share)


def mark_words() -> str:
    """A Vega expression that names the values on the axis as percentiles."""
    names = " : ".join(
        f"datum.value < {nines(share) + 0.01:.4f} ? '{name}'" for name, share in MARKS.items()
    )
    return f"{names} : ''"


def curve(row: Row, scale: Seconds) -> Iterator[Datum]:
    """The points of one target: its index, nines, latency, and where it has a mark `m`. Short keys,
    since there are many."""
    quantiles = row.speed.quantiles if row.speed else None
    # A coarse clock may not have moved: a logarithmic axis has no place for that.
    drawn = [point for point in (quantiles.curve if quantiles else ()) if point[1] > 0]
    before = 0.0
    for share, latency in drawn:
        passes = any(before < marked <= share for marked in MARKS.values())
        marked: Datum = {"m": True} if passes or share == drawn[-1][0] else {}
        yield {
            "k": row.target.index,
            "n": round(nines(share), 4),
            "l": float(f"{latency / scale:.5g}"),  # Five figures: digits are most of a page.
            **marked,
        }
        before = share
