"""Draws how fast a target is over the batch and over the threads."""

from __future__ import annotations

from toolkit.report.grids import latencies
from toolkit.report.plots.base import (
    Channel,
    Chart,
    Datum,
    Entry,
    Plot,
    Spec,
    dashes,
    in_order,
    legend,
    shades,
    shapes,
    slug,
    spec,
    times_axis,
)
from toolkit.report.scaling import Curve, Point, Scaling
from toolkit.report.view import View
from toolkit.units import significant

IDEAL = "#a9b3bd"
"""A grey: the colours belong to runtimes."""
BEYOND = 1.06
"""The axis goes on so far beyond the outermost intervals, as a factor."""
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
    at = f" at {scaling.at}" if scaling.at else ""
    return Plot(
        name=f"scaling-{scaling.over}-{slug(scaling.at or 'all')}",
        title=f"{TITLES[scaling.over]}{at}",
        reading=READINGS[scaling.over],
        spec=picture(scaling),
        grid=latencies.scaling(scaling),
        legend=entries(view, scaling),
    )


def picture(scaling: Scaling) -> Spec:
    """The curves with their intervals and points; over threads with the ideal line."""
    import altair as alt

    data = [datum(curve, point) for curve in scaling.curves for point in curve.comparable]
    targets = [curve.row.target for curve in scaling.curves]
    low = min(float(point["low"]) for point in data) / BEYOND
    high = max(float(point["high"]) for point in data) * BEYOND
    y = alt.Y(
        "middle:Q",
        # Clamped: the ideal line may leave the axis, which the measured points alone define.
        scale=alt.Scale(type="log", domain=[low, high], nice=False, clamp=True),
        axis=times_axis(low, high, "times as fast"),
    )
    base = alt.Chart(alt.InlineData(data)).encode(
        x=sizes(scaling), color=shades(targets), tooltip=alt.Tooltip("tip:N")
    )
    layers = [
        *(ideal(scaling) if scaling.over == "threads" and scaling.one_start else []),
        base.mark_line(strokeWidth=2, aria=False).encode(y=y, strokeDash=dashes(targets)),
        base.mark_rule(strokeWidth=3, aria=False).encode(y=alt.Y("low:Q"), y2="high:Q"),
        base.mark_point(size=60, filled=True, opacity=1, aria=False).encode(
            y=y, shape=shapes(targets)
        ),
    ]
    return spec(alt.layer(*layers), height=230)


def entries(view: View, scaling: Scaling) -> tuple[Entry, ...]:
    """The legend; a curve over threads stands there without their number."""
    names = {curve.row.target.name: curve.name for curve in scaling.curves}
    targets = [curve.row.target for curve in scaling.curves]
    return tuple(
        entry._replace(name=names[entry.name]) for entry in legend(in_order(view), targets)
    )


def measured(scaling: Scaling) -> list[int]:
    """The sizes that were measured, the smallest first."""
    return sorted({point.size for curve in scaling.curves for point in curve.comparable})


def sizes(scaling: Scaling) -> Channel:
    """A logarithmic axis with the sizes that were measured, and no others."""
    import altair as alt

    title = "rows in a call" if scaling.over == "batch" else "threads"
    return alt.X(
        "size:Q",
        scale=alt.Scale(type="log", base=2, nice=False, padding=12),
        axis=alt.Axis(values=measured(scaling), title=title, format="~r", grid=False),
    )


def ideal(scaling: Scaling) -> list[Chart]:
    """A line of as many times as there are threads."""
    import altair as alt

    counts = measured(scaling)
    rows = [{"size": count, "middle": count / counts[0]} for count in counts]
    line = alt.Chart(alt.InlineData(rows)).mark_line(color=IDEAL, strokeWidth=1, aria=False)
    return [line.encode(x="size:Q", y="middle:Q")]


def datum(curve: Curve, point: Point) -> Datum:
    """One point of one curve; the first stands at 1."""
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
