"""Draws the ratios with their intervals: the picture that a slide would take."""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.measure.stats import MARGIN
from toolkit.report.grids import latencies
from toolkit.report.plots.base import (
    Chart,
    Datum,
    Plot,
    Spec,
    at_case,
    beside,
    lies_right,
    lines,
    names,
    shades,
    shapes,
    slug,
    spec,
    times_axis,
)
from toolkit.report.view import Row, Table, View
from toolkit.units import percent, significant

READING = (
    "Right of 1 is faster. A bar is the interval of the ratio; a filled mark is a difference that "
    f"is shown. Shaded: within {percent(MARGIN, 1)} of the baseline. "
    "Targets without a ratio are left out."
)
BEYOND = 1.06
"""The axis goes on so far beyond the outermost intervals, as a factor."""


def draw(view: View, table: Table) -> Plot | None:
    """One line a target: how many times as fast as the baseline. None without two to compare."""
    compared = [row for row in table.compared() if row.ratio or row.target.name == table.baseline]
    if len(compared) < 2:
        return None
    return Plot(
        name=f"ratios-{slug(table.case.name)}",
        title=f"How fast beside {table.baseline}{at_case(table, view)}",
        reading=READING,
        spec=picture(view, table, [datum(row, line) for line, row in enumerate(compared)]),
        grid=latencies.ranked(table),
    )


def picture(view: View, table: Table, data: Sequence[Datum]) -> Spec:
    """The intervals as bars and the ratios as dots, before the margin."""
    import altair as alt

    low = min(1 - MARGIN, *(float(ratio["low"]) for ratio in data)) / BEYOND
    high = max(1 + MARGIN, *(float(ratio["high"]) for ratio in data)) * BEYOND
    marks = [each | {"left": lies_right(float(each["high"]), low, high)} for each in data]
    x = alt.X(
        "middle:Q",
        scale=alt.Scale(type="log", domain=[low, high], nice=False),
        axis=times_axis(low, high, f"times as fast as {table.baseline}, logarithmic"),
    )
    colour = shades(view.targets)
    base = alt.Chart(alt.InlineData(marks)).encode(y=lines(), tooltip=alt.Tooltip("tip:N"))
    intervals = base.mark_rule(strokeWidth=3, aria=False).encode(
        x=alt.X("low:Q"), x2="high:Q", color=colour
    )
    look = {"color": colour, "shape": shapes(view.targets)}
    different = base.transform_filter("datum.shown").mark_point(
        size=70, filled=True, opacity=1, aria=False
    )
    others = base.transform_filter("!datum.shown").mark_point(
        size=70, strokeWidth=2, opacity=1, aria=False
    )
    return spec(
        alt.layer(
            *margin(),
            intervals,
            different.encode(x=x, **look),
            others.encode(x=x, **look),
            *names(base),
            *beside(base, "low", "high"),
        )
    )


def margin() -> list[Chart]:
    """The line at 1 and the shade around it; plot.css knows both by their names."""
    import altair as alt

    around = alt.InlineData([{"one": 1, "low": 1 - MARGIN, "high": 1 + MARGIN}])
    base = alt.Chart(around)
    return [
        base.mark_rect(aria=False).encode(x=alt.X("low:Q"), x2="high:Q").properties(name="margin"),
        base.mark_rule(aria=False).encode(x=alt.X("one:Q")).properties(name="one"),
    ]


def datum(row: Row, line: int) -> Datum:
    """The mark of one target; the baseline itself stands at 1."""
    name, ratio = row.target.name, row.ratio
    where: Datum = {"line": line, "name": name}
    if ratio is None:
        tip = f"{name}\nthe baseline"
        return where | {"middle": 1, "low": 1, "high": 1, "shown": True, "label": "", "tip": tip}
    return where | {
        "middle": ratio.middle,
        # Without an interval (rule V4) the bar has no length.
        "low": ratio.low or ratio.middle,
        "high": ratio.high or ratio.middle,
        "shown": ratio.different,
        "label": f"{significant(ratio.middle)}×",
        "tip": f"{name}\n{ratio.text}\n{ratio.starts} process starts",
    }
