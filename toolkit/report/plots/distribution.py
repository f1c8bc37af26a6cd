"""Quantile curves."""

from __future__ import annotations

import math
from collections.abc import Iterator

from toolkit.report.grids import latencies
from toolkit.report.plots.base import (
    Datum,
    Plot,
    at_case,
    dashes,
    in_order,
    legend,
    named,
    shades,
    slug,
    spec,
    ticks,
)
from toolkit.report.view import Row, Table, View
from toolkit.units import Seconds, time_unit

MARKS = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}
READING = (
    "Each curve ends at the last percentile that its number of calls carries. A step is another "
    "state of the machine; a steep end is a long tail."
)


def draw(view: View, table: Table) -> Plot | None:
    """One curve a target; the axis stretches the tail: p90, p99 and p99.9 are as far apart."""
    import altair as alt

    rows = [row for row in table.rows if row.speed and row.speed.quantiles]
    if not rows:
        return None
    scale, unit = time_unit(min(row.speed.p50.middle for row in rows if row.speed))
    data = [datum for row in rows for datum in curve(row, scale)]
    seconds = [float(one["l"]) for one in data]
    low, high = min(seconds) / 1.05, max(seconds) * 1.05
    last = max(float(one["n"]) for one in data)
    x = alt.X(
        "n:Q",
        scale=alt.Scale(domain=[0, last], nice=False),
        axis=alt.Axis(
            values=[nines(share) for share in MARKS.values() if nines(share) < last + 0.01],
            labelExpr=mark_words(),
            title="this share of the calls took no longer",
        ),
    )
    y = alt.Y(
        "l:Q",
        scale=alt.Scale(type="log", domain=[low, high], nice=False),
        axis=alt.Axis(values=ticks(low, high), format="~r", title=f"{unit}, logarithmic"),
    )
    shown = [row.target for row in rows]
    base = named(data, shown).encode(
        x=x, y=y, color=shades(view.targets), strokeDash=dashes(in_order(view))
    )
    tooltip = [
        alt.Tooltip("name:N", title="target"),
        alt.Tooltip("share:Q", title="share of the calls", format=".4~p"),
        alt.Tooltip("l:Q", title=f"took {unit} or less", format=".3~r"),
    ]
    seen = base.transform_calculate(share="1 - pow(10, -datum.n)").mark_point(
        opacity=0, size=120, filled=True, aria=False
    )
    return Plot(
        name=f"distribution-{slug(table.case.name)}",
        title=f"The distribution of the calls{at_case(table, view)}",
        reading=READING,
        spec=spec(
            alt.layer(
                base.mark_line(strokeWidth=2, aria=False),
                seen.encode(tooltip=tooltip),
            ),
            height=270,
        ),
        grid=latencies.distribution(table),
        legend=legend(in_order(view), shown),
    )


def nines(share: float) -> float:
    """0 for the fastest call, 1 for p90, 2 for p99."""
    return -math.log10(1 - share)


def mark_words() -> str:
    """A Vega expression: the axis' values as percentiles."""
    known = " : ".join(
        f"datum.value < {nines(share) + 0.01:.4f} ? '{name}'" for name, share in MARKS.items()
    )
    return f"{known} : ''"


def curve(row: Row, scale: Seconds) -> Iterator[Datum]:
    """The points of one target; short keys, there are many."""
    for share, latency in row.speed.quantiles.curve if row.speed and row.speed.quantiles else ():
        yield {
            "k": row.target.index,
            "n": round(nines(share), 4),
            "l": float(f"{latency / scale:.5g}"),
        }
