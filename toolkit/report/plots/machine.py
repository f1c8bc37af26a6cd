"""The machine while it measured: latencies over time, and what else ran."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from toolkit.records.schema import Generation
from toolkit.report.grids import machines
from toolkit.report.grids.grid import Grid
from toolkit.report.plots.base import (
    Datum,
    Plot,
    at_case,
    in_order,
    legend,
    named,
    shades,
    slug,
    spec,
)
from toolkit.report.view import Row, Table, View
from toolkit.units import THIN, significant

SLOW = 1.1
"""A process start is shaded where its targets took so much longer than over the whole run."""
EXTENT = 36
"""Pixels beside the axis: the plots over time stand in line."""
LOADS = {"steal": "#56606b", "other processes": "#a9b3bd"}


def over_time(view: View, table: Table) -> Plot | None:
    """Every block against its target's p50: a state of the machine lifts all targets at once."""
    import altair as alt

    rows = [row for row in table.rows if row.speed and len(row.speed.trace.at) > 1]
    if not rows:
        return None
    data = [point for row in rows for point in points(row)]
    base = named(data, [row.target for row in rows])
    dots = base.mark_point(size=14, filled=True, opacity=0.75, aria=False).encode(
        x=time_axis(view, "t"),
        y=alt.Y(
            "r:Q",
            scale=alt.Scale(type="log", nice=False, padding=8),
            axis=alt.Axis(
                format="~r",
                tickCount=5,
                minExtent=EXTENT,
                maxExtent=EXTENT,
                title="block ÷ its target's p50",
            ),
        ),
        color=shades(view.targets),
        tooltip=[
            alt.Tooltip("name:N", title="target"),
            alt.Tooltip("g:Q", title="process start"),
            alt.Tooltip("t:Q", title="second"),
            alt.Tooltip("r:Q", title="of its p50"),
        ],
    )
    spans = alt.Chart(alt.InlineData(starts(view.run.generations, slow(rows))))
    return Plot(
        name=f"over-time-{slug(table.case.name)}",
        title=f"Latency over the time of the run{at_case(table, view)}",
        reading=(
            "A dot is a block, against the p50 of its target. Below: the process starts. Shaded: "
            "starts in which all targets were slower; pairing takes that out of the ratios."
        ),
        spec=spec(
            alt.layer(
                spans.transform_filter("datum.slow")
                .mark_rect(aria=False)
                .encode(x=alt.X("from:Q"), x2="to:Q")
                .properties(name="slow"),
                dots,
                spans.mark_rule(strokeWidth=3, aria=False)
                .encode(x=alt.X("from:Q"), x2="to:Q", y=alt.value("height"))
                .properties(name="starts"),
            ),
            height=210,
        ),
        grid=pace(view, rows),
        legend=legend(in_order(view), [row.target for row in rows], dashed=False),
    )


def points(row: Row) -> list[Datum]:
    """Short keys: there are many."""
    if row.speed is None:
        return []
    trace = row.speed.trace
    return [
        {
            "k": row.target.index,
            "t": round(at, 2),
            "r": round(latency / row.speed.p50.middle, 4),
            "g": generation,
        }
        for at, latency, generation in zip(trace.at, trace.latency, trace.generation, strict=True)
    ]


def slow(rows: Sequence[Row]) -> set[int]:
    """The process starts in which the targets, taken together, were slower than in the others."""
    return {start for start, ratios in by_start(rows).items() if np.median(ratios) > SLOW}


def by_start(rows: Sequence[Row]) -> dict[int, list[float]]:
    """Process start → block against p50, of all targets."""
    found: dict[int, list[float]] = {}
    for row in rows:
        for point in points(row):
            found.setdefault(int(point["g"]), []).append(float(point["r"]))
    return found


def pace(view: View, rows: Sequence[Row]) -> Grid:
    """How fast each process start was: the median over all its blocks of all targets."""
    ratios = by_start(rows)
    written = [
        (str(one.number), f"{one.started:.1f}{THIN}s", significant(float(np.median(found))))
        for one in view.run.generations
        if (found := ratios.get(one.number))
    ]
    head = ("process start", "began at", "latency against the p50s")
    return Grid(head, tuple(written), frozenset({0, 1, 2}))


def starts(generations: Sequence[Generation], slow: set[int]) -> list[Datum]:
    return [
        {"from": one.started, "to": one.ended, "slow": one.number in slow} for one in generations
    ]


def time_axis(view: View, key: str) -> object:
    """Seconds since the run began, the same in all plots over time."""
    import altair as alt

    end = max(one.ended for one in view.run.generations)
    return alt.X(
        f"{key}:Q",
        scale=alt.Scale(domain=[0, end], nice=False),
        axis=alt.Axis(title="seconds since the run began", grid=False, tickCount=8),
    )


def load(view: View) -> Plot | None:
    """What took time from the run, one bar a process start and kind."""
    import altair as alt

    if not view.run.generations:
        return None
    data = [
        {
            "from": one.started,
            "to": one.ended,
            "kind": kind,
            "share": 100 * float(share),
            "zero": 0,
            "tip": f"process start {one.number}\n{kind}: {100 * float(share):.2g}{THIN}%",
        }
        for one in view.run.generations
        for kind, share in (("steal", one.steal), ("other processes", one.others))
        if not isinstance(share, str)
    ]
    if not data:
        return None
    bars = alt.Chart(alt.InlineData(data)).mark_rect(opacity=0.8, aria=False)
    drawn = bars.encode(
        x=time_axis(view, "from"),
        x2="to:Q",
        y=alt.Y(
            "zero:Q",
            axis=alt.Axis(title="% of a core", tickCount=4, minExtent=EXTENT, maxExtent=EXTENT),
        ),
        y2="share:Q",
        color=alt.Color(
            "kind:N",
            scale=alt.Scale(domain=list(LOADS), range=list(LOADS.values())),
            legend=alt.Legend(orient="top", title=None, symbolType="square"),
        ),
        tooltip=alt.Tooltip("tip:N"),
    )
    return Plot(
        name="machine",
        title="What else ran meanwhile",
        reading=(
            "Steal is time that the hypervisor gave to others; other processes are those of this "
            "machine that are not part of the run."
        ),
        spec=spec(alt.layer(drawn), height=90),
        grid=machines.machine(view),
    )
