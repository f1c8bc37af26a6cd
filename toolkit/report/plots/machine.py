"""Draws the machine while it measured: latencies over time, and what else ran."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from toolkit.records.schema import Generation
from toolkit.report.grids import machines
from toolkit.report.grids.grid import Grid
from toolkit.report.plots.base import (
    Channel,
    Chart,
    Datum,
    Plot,
    Spec,
    at_case,
    in_order,
    legend,
    named,
    shades,
    shapes,
    slug,
    spec,
)
from toolkit.report.view import Row, Table, View
from toolkit.units import THIN, significant

SLOW = 1.1
"""A process start is shaded where its targets took so much longer than over the whole run: fresh
processes differ by some 1.2 %, so this is another state of the machine."""
EXTENT = 36
"""Pixels beside the vertical axis, the same in all plots over time, so that they stand in line."""
LOADS = {"steal": "#56606b", "other processes": "#a9b3bd"}
"""Kind of load beside the run → its grey."""
OVER_TIME = (
    "A dot is a block, against the p50 of its target. Below: the process starts. Shaded: starts in "
    "which all targets were slower; pairing takes that out of the ratios."
)
LOAD = (
    "Steal is time that the hypervisor gave to others; other processes are those of this machine "
    "that are not part of the run."
)


# Latency over time


def over_time(view: View, table: Table) -> Plot | None:
    """Every block against its target's p50: a state of the machine lifts all targets at once.

    None where no target has two blocks.
    """
    rows = [row for row in table.rows if row.speed and len(row.speed.trace.at) > 1]
    if not rows:
        return None
    return Plot(
        name=f"over-time-{slug(table.case.name)}",
        title=f"Latency over the time of the run{at_case(table, view)}",
        reading=OVER_TIME,
        spec=picture(view, rows),
        grid=pace(view, rows),
        legend=legend(in_order(view), [row.target for row in rows], dashed=False),
    )


def picture(view: View, rows: Sequence[Row]) -> Spec:
    """The blocks, before shades of slow process starts and above a line of all starts.

    plot.css knows the shades and the line by their names.
    """
    import altair as alt

    # The first layer lies at the bottom.
    spans = alt.Chart(alt.InlineData(starts(view.run.generations, slow(rows))))
    shaded = spans.transform_filter("datum.slow").mark_rect(aria=False)
    line = spans.mark_rule(strokeWidth=3, aria=False)
    span = {"x": alt.X("from:Q"), "x2": "to:Q"}
    return spec(
        alt.layer(
            shaded.encode(**span).properties(name="slow"),
            blocks(view, rows),
            line.encode(**span, y=alt.value("height")).properties(name="starts"),
        ),
        height=210,
    )


def blocks(view: View, rows: Sequence[Row]) -> Chart:
    """A dot for each block."""
    import altair as alt

    data = [point for row in rows for point in points(row)]
    dots = named(data, [row.target for row in rows])
    axis = alt.Axis(
        format="~r",
        tickCount=5,
        minExtent=EXTENT,
        maxExtent=EXTENT,
        title="block ÷ its target's p50",
    )
    return dots.mark_point(size=14, filled=True, opacity=0.75, aria=False).encode(
        x=time_axis(view, "t"),
        y=alt.Y("r:Q", scale=alt.Scale(type="log", nice=False, padding=8), axis=axis),
        color=shades(view.targets),
        shape=shapes(view.targets),
        tooltip=[
            alt.Tooltip("name:N", title="target"),
            alt.Tooltip("g:Q", title="process start"),
            alt.Tooltip("t:Q", title="second"),
            alt.Tooltip("r:Q", title="of its p50"),
        ],
    )


def points(row: Row) -> list[Datum]:
    """The blocks of one target: its index, time, ratio to its p50, process start.

    Short keys, since there are many.
    """
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
    ratios: dict[int, list[float]] = {}
    for row in rows:
        for point in points(row):
            ratios.setdefault(int(point["g"]), []).append(float(point["r"]))
    return ratios


def pace(view: View, rows: Sequence[Row]) -> Grid:
    """A table of how fast each process start was: the median over all blocks of all targets."""
    ratios = by_start(rows)
    cells = [
        (
            str(generation.number),
            f"{generation.started:.1f}{THIN}s",
            significant(float(np.median(ratios[generation.number]))),
        )
        for generation in view.run.generations
        if generation.number in ratios
    ]
    head = ("process start", "began at", "latency against the p50s")
    return Grid(head, tuple(cells), frozenset({0, 1, 2}))


def starts(generations: Sequence[Generation], slow: set[int]) -> list[Datum]:
    """The span of each process start, in seconds since the run began."""
    return [
        {
            "from": generation.started,
            "to": generation.ended,
            "slow": generation.number in slow,
        }
        for generation in generations
    ]


def time_axis(view: View, key: str) -> Channel:
    """Seconds since the run began, the same in all plots over time."""
    import altair as alt

    end = max(generation.ended for generation in view.run.generations)
    return alt.X(
        f"{key}:Q",
        scale=alt.Scale(domain=[0, end], nice=False),
        axis=alt.Axis(title="seconds since the run began", grid=False, tickCount=8),
    )


# What else ran


def load(view: View) -> Plot | None:
    """The load beside the run, one bar a process start and kind; None where it is unknown."""
    data = [bar for generation in view.run.generations for bar in loads(generation)]
    if not data:
        return None
    return Plot(
        name="machine",
        title="What else ran meanwhile",
        reading=LOAD,
        spec=load_picture(view, data),
        grid=machines.machine(view),
    )


def loads(generation: Generation) -> list[Datum]:
    """The bars of one process start; a share that is not finite has none."""
    shares = {"steal": generation.steal, "other processes": generation.others}
    return [
        {
            "from": generation.started,
            "to": generation.ended,
            "kind": kind,
            "share": 100 * float(share),
            "zero": 0,  # A bar of two ends in both directions needs a field for each.
            "tip": f"process start {generation.number}\n{kind}: {100 * float(share):.2g}{THIN}%",
        }
        for kind, share in shares.items()
        if not isinstance(share, str)
    ]


def load_picture(view: View, data: Sequence[Datum]) -> Spec:
    """Bars as wide as their process starts lasted."""
    import altair as alt

    bars = (
        alt.Chart(alt.InlineData(list(data)))
        .mark_rect(opacity=0.8, aria=False)
        .encode(
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
    )
    return spec(alt.layer(bars), height=90)
