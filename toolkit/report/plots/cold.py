"""Cold start as stacked bars."""

from __future__ import annotations

from collections.abc import Iterator

from toolkit.report import grids, palette
from toolkit.report.plots.base import Datum, Plot, in_order, lines, names, spec
from toolkit.report.view import Subject, View
from toolkit.report.words import timed
from toolkit.units import Seconds, duration, time_unit

READING = (
    "Import the library, load the model, answer once; new shape is the first call at another size "
    "than the first. Point at a part for its range."
)


def draw(view: View) -> Plot | None:
    """One bar a target: import, load, first call, new shape."""
    import altair as alt

    shown = [one for one in in_order(view) if total(one)]
    if not shown:
        return None
    longest = max(map(total, shown))
    scale, unit = time_unit(longest)
    parts = [part for place, one in enumerate(shown) for part in stages(one, place, scale)]
    totals = [
        {"place": place, "name": one.name, "label": duration(total(one))}
        for place, one in enumerate(shown)
    ]
    bars = alt.Chart(alt.InlineData(parts)).encode(y=lines(), tooltip=alt.Tooltip("tip:N"))
    x = alt.X(
        "from:Q",
        scale=alt.Scale(domain=[0, longest / scale * 1.02], nice=False),
        axis=alt.Axis(title=f"{unit}, medians over process starts", tickCount=6),
    )
    kinds = [kind for kind in palette.STAGES if any(part["stage"] == kind for part in parts)]
    shade = alt.Color(
        "stage:N",
        scale=alt.Scale(domain=kinds, range=[palette.STAGES[kind] for kind in kinds]),
        legend=alt.Legend(orient="top", title=None, symbolType="square"),
    )
    return Plot(
        name="cold-start",
        title="From a fresh process to the first answer",
        reading=READING,
        spec=spec(
            alt.layer(
                *names(alt.Chart(alt.InlineData(totals)).encode(y=lines()), "label"),
                bars.mark_bar(height=10, aria=False).encode(x=x, x2="to:Q", color=shade),
            )
        ),
        grid=grids.cold(shown),
    )


def total(one: Subject) -> Seconds:
    """From the start of the process to the last of its parts."""
    return sum(part.middle for part in one.cold.parts().values() if part)


def stages(one: Subject, place: int, scale: Seconds) -> Iterator[Datum]:
    """The parts of one bar, end to end."""
    start = 0.0
    for stage, part in one.cold.parts().items():
        if part is None:
            continue
        middle, around = timed(part)
        end = start + part.middle / scale
        tip = f"{one.name}\n{stage}: {middle} ({around})"
        yield {"place": place, "stage": stage, "from": start, "to": end, "tip": tip}
        start = end
