"""Draws every ratio of every tool as a tick."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import altair as alt

from benchmarks.charts import INK, WIDTH, WRONG
from benchmarks.ledger import Line
from benchmarks.peers.peer import KINDS
from benchmarks.peers.summary import Measured, measured

ROW = 20
"""Pixels: the height of a tool's row."""
RIGHT, REVERSED = "right order", "wrong order"
SCALE = alt.Scale(type="log", domain=[0.8, 1.25], clamp=True)
"""The axis of ratios; what lies outside stands at its ends."""


def draw(lines: Sequence[Line], path: Path) -> None:
    """Draws a panel for each pair, a row for each tool, and writes the picture to `path`.

    The planted ratio is marked.
    """
    readings = [reading for line in lines for reading in measured(line)]
    tools = list(dict.fromkeys(reading.tool for reading in readings))
    panels = [
        _panel(kind, same, tools)
        for kind in KINDS
        if (same := [reading for reading in readings if reading.kind == kind])
    ]
    chart = alt.vconcat(*panels).configure_view(strokeOpacity=0).configure_axis(grid=False)
    chart.save(path)


def _panel(
    kind: str, readings: Sequence[Measured], tools: Sequence[str]
) -> alt.LayerChart | alt.FacetChart:
    slower = KINDS[kind]
    points = [
        {
            "tool": measured.tool,
            "ratio": measured.reading.ratio,
            "order": REVERSED if slower and measured.reading.ratio < 1 else RIGHT,
        }
        for measured in readings
    ]
    ticks = (
        alt.Chart(alt.InlineData(values=points))
        .mark_tick(thickness=1.5, opacity=0.7)
        .encode(
            x=alt.X("ratio:Q", title="time of the second by time of the first", scale=SCALE),
            y=alt.Y("tool:N", title=None, sort=list(tools)),
            color=alt.Color(
                "order:N",
                scale=alt.Scale(domain=[RIGHT, REVERSED], range=[INK, WRONG]),
                legend=alt.Legend(title=None, orient="top"),
            ),
        )
    )
    marked = alt.Chart(alt.InlineData(values=[{"truth": 1 + slower}])).mark_rule(strokeDash=[4, 3])
    layers = alt.layer(marked.encode(x=alt.X("truth:Q", scale=SCALE)), ticks)
    title = f"{kind}: {'the same twice' if slower == 0 else 'the second is so much slower'}"
    return layers.properties(width=WIDTH, height=ROW * len(tools), title=title)
