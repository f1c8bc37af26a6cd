"""The pictures of the results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import altair as alt

from benchmarks.ledger import Line

WIDTH, ROW = 640, 3.0
INK, WRONG = "#0072b2", "#d55e00"
"""Okabe and Ito's blue and vermilion: told apart by the colour-blind."""


def runs(lines: Sequence[Line], kinds: Sequence[str], path: Path) -> None:
    """Every run's interval as a line, in the order of its ratio; the planted ratio is marked."""
    panels = [
        _panel(kind, some)
        for kind in kinds
        if (some := [one for one in lines if one["kind"] == kind and one["low"] is not None])
    ]
    chart = alt.vconcat(*panels).configure_view(strokeOpacity=0).configure_axis(grid=False)
    chart.save(path)


def _panel(kind: str, lines: Sequence[Line]) -> alt.LayerChart | alt.FacetChart:
    ordered = sorted(lines, key=lambda line: line["ratio"])
    truth = 1 + ordered[0]["planted"]
    rows = [
        {
            "place": place,
            "low": line["low"],
            "high": line["high"],
            "ratio": line["ratio"],
            "holds": "holds the truth" if line["low"] <= truth <= line["high"] else "misses it",
        }
        for place, line in enumerate(ordered)
    ]
    x = alt.X("low:Q", title="time of the second by time of the first", scale=_scale())
    colour = alt.Color(
        "holds:N",
        scale=alt.Scale(domain=["holds the truth", "misses it"], range=[INK, WRONG]),
        legend=alt.Legend(title=None, orient="top"),
    )
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        y=alt.Y("place:O", axis=None), color=colour
    )
    intervals = base.mark_rule().encode(x=x, x2="high:Q")
    middles = base.mark_point(filled=True, size=8).encode(x=alt.X("ratio:Q", scale=_scale()))
    marked = alt.Chart(alt.InlineData(values=[{"truth": truth}])).mark_rule(strokeDash=[4, 3])
    title = f"{kind}: {len(lines)} runs"
    layers = alt.layer(intervals, middles, marked.encode(x="truth:Q"))
    return layers.properties(width=WIDTH, height=max(60, ROW * len(rows)), title=title)


def _scale() -> alt.Scale:
    return alt.Scale(domain=[0.97, 1.05], clamp=True)
