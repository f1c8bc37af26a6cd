"""Draws the pictures of the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import altair as alt

from benchmarks.ledger import Line

WIDTH, ROW = 640, 3.0
"""Pixels: the width of a picture, and the height of a run's line in it."""
INK, WRONG = "#0072b2", "#d55e00"
"""Okabe and Ito's blue and vermilion: told apart by the colour-blind."""


def runs(lines: Sequence[Line], middles: Mapping[str, float], path: Path) -> None:
    """Draws every run's interval as a line, in the order of its ratio, and writes it to `path`.

    `middles`: kind → the ratio that its intervals should contain, which is marked.
    """
    panels = [
        _panel(kind, truth, some)
        for kind, truth in middles.items()
        if (some := [line for line in lines if line["kind"] == kind and line["low"] is not None])
    ]
    chart = alt.vconcat(*panels).configure_view(strokeOpacity=0).configure_axis(grid=False)
    chart.save(path)


def _panel(kind: str, truth: float, lines: Sequence[Line]) -> alt.LayerChart | alt.FacetChart:
    # In order, so that the eye sees a share that misses the truth at either end.
    ordered = sorted(lines, key=lambda line: line["ratio"])
    rows = [
        {
            "place": position,
            "low": line["low"],
            "high": line["high"],
            "ratio": line["ratio"],
            "holds": "holds the truth" if line["low"] <= truth <= line["high"] else "misses it",
        }
        for position, line in enumerate(ordered)
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
    """The axis of ratios; what lies outside is drawn at its ends."""
    return alt.Scale(domain=[0.97, 1.05], clamp=True)


def dots(values: Mapping[str, Sequence[float]], path: Path) -> None:
    """Draws every wait in seconds as a dot, a row for each kind; the median is marked.

    The axis begins at 0, and the picture is written to `path`.
    """
    _strips(values, "seconds", alt.Scale(zero=True), []).save(path)


def ratios(values: Mapping[str, Sequence[float]], path: Path) -> None:
    """Draws the ratio of every process start as a dot, a row for each pair.

    The medians, 1 and 1 ± 1 % are marked. The picture is written to `path`.
    """
    scale = alt.Scale(domain=[0.94, 1.06], clamp=True)
    layers_below = [
        alt.Chart(alt.InlineData(values=[{"at": at}]))
        .mark_rule(strokeDash=[4, 3] if at != 1 else [1, 0])
        .encode(x=alt.X("at:Q", scale=scale))
        for at in (0.99, 1.0, 1.01)
    ]
    _strips(values, "ratio", scale, layers_below).save(path)


def _strips(
    values: Mapping[str, Sequence[float]],
    title: str,
    scale: alt.Scale,
    layers_below: Sequence[alt.Chart],
) -> alt.LayerChart | alt.FacetChart:
    rows = [{"row": name, "value": value} for name, some in values.items() for value in some]
    y = alt.Y("row:N", title=None, sort=list(values), axis=alt.Axis(labelLimit=400))
    base = alt.Chart(alt.InlineData(values=rows)).encode(y=y)
    points = base.mark_point(filled=True, size=14, opacity=0.5, color=INK).encode(
        x=alt.X("value:Q", title=title, scale=scale)
    )
    middles = base.mark_tick(thickness=2, size=22, color=WRONG).encode(
        x=alt.X("median(value):Q", scale=scale)
    )
    layers = alt.layer(*layers_below, points, middles)
    return layers.properties(width=WIDTH, height=36 * max(1, len(values)))
