"""How fast over the batch and over the threads."""

from __future__ import annotations

from typing import Any

from toolkit.report.grids import latencies
from toolkit.report.plots.base import (
    Datum,
    Plot,
    dashes,
    in_order,
    legend,
    shades,
    slug,
    spec,
    ticks,
)
from toolkit.report.scaling import Curve, Point, Scaling
from toolkit.report.view import View
from toolkit.units import significant

IDEAL = "#a9b3bd"
TITLES = {"batch": "How a larger batch pays", "threads": "How more threads pay"}
READINGS = {
    "batch": (
        "How many times faster a row is than in its smallest batch, both measured in the same "
        "rounds; a bar is the interval. A line that flattens has found its batch."
    ),
    "threads": (
        "How many times faster a call is than with the fewest threads; a bar is the interval. The "
        "grey line is as many times as there are threads."
    ),
}


def draw(view: View, scaling: Scaling) -> Plot:
    """A line a target, from its first point at 1."""
    import altair as alt

    data = [datum(curve, point) for curve in scaling.curves for point in curve.comparable]
    targets = [curve.row.target for curve in scaling.curves]
    base = alt.Chart(alt.InlineData(data)).encode(
        x=sizes(scaling), color=shades(targets), tooltip=alt.Tooltip("tip:N")
    )
    low = min(float(one["low"]) for one in data) / 1.06
    high = max(float(one["high"]) for one in data) * 1.06
    y = alt.Y(
        "middle:Q",
        scale=alt.Scale(type="log", domain=[low, high], nice=False, clamp=True),
        axis=alt.Axis(
            values=ticks(low, high),
            labelExpr="format(datum.value, '~r') + '×'",
            title="times as fast",
        ),
    )
    layers = [
        *(ideal(scaling) if scaling.over == "threads" and scaling.one_start else []),
        base.mark_line(strokeWidth=2, aria=False).encode(y=y, strokeDash=dashes(targets)),
        base.mark_rule(strokeWidth=3, aria=False).encode(y=alt.Y("low:Q"), y2="high:Q"),
        base.mark_point(size=45, filled=True, opacity=1, aria=False).encode(y=y),
    ]
    at = f" at {scaling.at}" if scaling.at else ""
    known = {curve.row.target.name: curve.name for curve in scaling.curves}
    return Plot(
        name=f"scaling-{scaling.over}-{slug(scaling.at or 'all')}",
        title=f"{TITLES[scaling.over]}{at}",
        reading=READINGS[scaling.over],
        spec=spec(alt.layer(*layers), height=230),
        grid=latencies.scaling(scaling),
        legend=tuple(
            (known[name], shade, dash) for name, shade, dash in legend(in_order(view), targets)
        ),
    )


def sizes(scaling: Scaling) -> Any:
    """The sizes that were measured, and no others, on a logarithmic axis."""
    import altair as alt

    measured = sorted({point.size for curve in scaling.curves for point in curve.comparable})
    title = "rows in a call" if scaling.over == "batch" else "threads"
    return alt.X(
        "size:Q",
        scale=alt.Scale(type="log", base=2, nice=False, padding=12),
        axis=alt.Axis(values=measured, title=title, format="~r", grid=False),
    )


def ideal(scaling: Scaling) -> list[Any]:
    """As many times as there are threads."""
    import altair as alt

    measured = sorted({point.size for curve in scaling.curves for point in curve.comparable})
    rows = [{"size": size, "middle": size / measured[0]} for size in measured]
    line = alt.Chart(alt.InlineData(rows)).mark_line(color=IDEAL, strokeWidth=1, aria=False)
    return [line.encode(x="size:Q", y="middle:Q")]


def datum(curve: Curve, point: Point) -> Datum:
    gain = point.gain
    middle = gain.middle if gain else 1.0
    return {
        "name": curve.row.target.name,
        "size": point.size,
        "middle": middle,
        "low": (gain.low if gain else None) or middle,
        "high": (gain.high if gain else None) or middle,
        "tip": f"{curve.name}\n{point.size}: {gain.text if gain else significant(middle) + '×'}",
    }
