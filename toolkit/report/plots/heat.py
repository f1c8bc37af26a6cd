"""Draws the rows a second of one target over threads and batch, as a small heat map."""

from __future__ import annotations

from toolkit.report import palette
from toolkit.report.grids import rates
from toolkit.report.plots.base import TEXT, Chart, Datum, Plot, Spec, slug, spec
from toolkit.report.throughput import Heat, rows_words
from toolkit.report.words import grouped
from toolkit.units import duration

READING = (
    "Rows a second, and below them the p50 of a call, one call after the other in one process. A "
    "darker cell has more rows a second."
)
CELL = 52
"""Pixels: the height of a cell, which holds two lines."""
FAINTEST, DARKEST = 0.06, 0.55
"""Shares of the colour: the words in a cell stay legible on a light page and on a dark one."""


def draw(heat: Heat) -> Plot:
    """A column for each batch, a line for each number of threads."""
    at = f" at {heat.at}" if heat.at else ""
    return Plot(
        name=f"heat-{slug(f'{heat.name}{at}')}",
        title=f"Threads and batch: {heat.name}{at}",
        reading=READING,
        spec=picture(heat),
        grid=rates.heat(heat),
    )


def picture(heat: Heat) -> Spec:
    import altair as alt

    cells = [datum(threads, batch, heat) for threads, batch in heat.cells]
    lines = len({threads for threads, _ in heat.cells})
    base: Chart = alt.Chart(alt.InlineData(cells)).encode(
        x=alt.X("batch:O", axis=alt.Axis(title="rows in a call", labelAngle=0, grid=False)),
        y=alt.Y("threads:O", sort="descending", axis=alt.Axis(title="threads", grid=False)),
        tooltip=alt.Tooltip("tip:N"),
    )
    shade = alt.Opacity(
        "rows:Q",
        legend=None,
        scale=alt.Scale(type="sqrt", zero=True, range=[FAINTEST, DARKEST]),
    )
    layers = [
        base.mark_rect(color=palette.BLUE, aria=False).encode(opacity=shade),
        base.mark_text(dy=-8, **TEXT).encode(text="label:N"),
        base.mark_text(dy=9, **TEXT).encode(text="p50:N"),
    ]
    return spec(alt.layer(*layers), height=CELL * lines)


def datum(threads: int, batch: int, heat: Heat) -> Datum:
    """One cell."""
    speed = heat.cells[threads, batch]
    rows, p50 = speed.throughput, duration(speed.p50.middle)
    return {
        "threads": threads,
        "batch": batch,
        "rows": rows.middle,
        "label": grouped(rows.middle),
        "p50": p50,
        "tip": f"{threads} × {batch}\n{rows_words(rows)} rows a second\np50 {p50}",
    }
