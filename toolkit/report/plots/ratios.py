"""Ratios with their intervals: the picture that a slide would take."""

from __future__ import annotations

from toolkit.measure.stats import MARGIN
from toolkit.report.grids import latencies
from toolkit.report.plots.base import (
    Chart,
    Datum,
    Plot,
    at_case,
    lines,
    names,
    shades,
    slug,
    spec,
    ticks,
)
from toolkit.report.view import Row, Table, View
from toolkit.units import percent, significant

READING = (
    "Right of 1 is faster. A bar is the interval of the ratio; a filled dot is a difference that "
    f"is shown. Shaded: within {percent(MARGIN, 1)} of the baseline. "
    "Targets without a rank are left out."
)


def draw(view: View, table: Table) -> Plot | None:
    """One line a target: how many times as fast as the baseline."""
    import altair as alt

    shown = [row for row in table.ranked() if row.ratio or row.target.name == table.baseline]
    if len(shown) < 2:
        return None
    data = [datum(row, place) for place, row in enumerate(shown)]
    low = min(1 - MARGIN, *(float(one["low"]) for one in data)) / 1.06
    high = max(1 + MARGIN, *(float(one["high"]) for one in data)) * 1.06
    x = alt.X(
        "middle:Q",
        scale=alt.Scale(type="log", domain=[low, high], nice=False),
        axis=alt.Axis(
            values=ticks(low, high),
            labelExpr="format(datum.value, '~r') + '×'",
            title=f"times as fast as {table.baseline}, logarithmic",
        ),
    )
    base = alt.Chart(alt.InlineData(data)).encode(y=lines(), tooltip=alt.Tooltip("tip:N"))
    paint = shades(view.targets)
    return Plot(
        name=f"ratios-{slug(table.case.name)}",
        title=f"How fast beside {table.baseline}{at_case(table, view)}",
        reading=READING,
        spec=spec(
            alt.layer(
                *margin(),
                base.mark_rule(strokeWidth=3, aria=False).encode(
                    x=alt.X("low:Q"), x2="high:Q", color=paint
                ),
                base.transform_filter("datum.shown")
                .mark_point(size=55, filled=True, opacity=1, aria=False)
                .encode(x=x, color=paint),
                base.transform_filter("!datum.shown")
                .mark_point(size=55, strokeWidth=2, opacity=1, aria=False)
                .encode(x=x, color=paint),
                *names(base, "label"),
            )
        ),
        grid=latencies.ranked(table),
    )


def margin() -> list[Chart]:
    """The line at 1 and the shade around it."""
    import altair as alt

    around = alt.InlineData([{"one": 1, "low": 1 - MARGIN, "high": 1 + MARGIN}])
    base = alt.Chart(around)
    return [
        base.mark_rect(aria=False).encode(x=alt.X("low:Q"), x2="high:Q").properties(name="margin"),
        base.mark_rule(aria=False).encode(x=alt.X("one:Q")).properties(name="one"),
    ]


def datum(row: Row, place: int) -> Datum:
    """One target; the baseline itself stands at 1."""
    name, ratio = row.target.name, row.ratio
    made: Datum = {"place": place, "name": name}
    if ratio is None:
        tip = f"{name}\nthe baseline"
        return made | {"middle": 1, "low": 1, "high": 1, "shown": True, "label": "", "tip": tip}
    return made | {
        "middle": ratio.middle,
        "low": ratio.low or ratio.middle,
        "high": ratio.high or ratio.middle,
        "shown": ratio.different,
        "label": f"{significant(ratio.middle)}×",
        "tip": f"{name}\n{ratio.text}\n{ratio.starts} process starts",
    }
