"""The form, the axes and the words that all plots share."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from toolkit.report import palette
from toolkit.report.grids.grid import Grid
from toolkit.report.palette import MarkStyle
from toolkit.report.view import ShownTarget, Table, View

Spec = dict[str, Any]
"""A specification in Vega-Lite."""
Chart = Any
"""An Altair chart: the library is imported only where one is made."""
Channel = Any
"""A channel of an Altair chart, to which data are mapped: a position, a colour, a dash."""
Axis = Any
"""An Altair axis."""
Datum = dict[str, str | float | bool]
"""One mark's values; `line` is the target's line in the plot, from 0 on."""


class Entry(NamedTuple):
    """One entry of a legend: a name, and how its line and its marks are drawn."""

    name: str
    look: MarkStyle
    dash: tuple[int, ...] = ()


SLUG = 60
"""Characters of a case in the name of a plot's file: with the kind of plot and `.svg` it stays far
below the 255 that a name may have, and short enough to be read."""
STEP = 36
"""Pixels: the height of a target's line, its name and below it its mark."""
ROOM = 0.7
"""The share of an axis up to which a mark has its label at its right: 0.3 of a phone's 320 pixels
hold a dozen characters."""
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"


@dataclass(frozen=True)
class Plot:
    """A picture, the words that belong to it and the table behind it."""

    name: str
    """Names its file, and its place in the page."""
    title: str
    reading: str
    """A sentence or two on how to read it."""
    spec: Spec
    """Vega-Lite; the picture is as wide as what it stands in."""
    grid: Grid
    legend: tuple[Entry, ...] = ()
    """Empty where every line of the picture has its name beside it."""


def slug(text: str) -> str:
    """Makes a case's name a part of a file's name, of at most SLUG characters.

    What is cut is told apart by a hash: two long names may differ at their ends alone.
    """
    whole = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "case"
    if len(whole) <= SLUG:
        return whole
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]
    return f"{whole[: SLUG - 9].strip('-')}-{digest}"


def at_case(table: Table, view: View) -> str:
    """' at batch 8' where there are several cases; else empty."""
    return f" at {table.case.name}" if len(view.tables) > 1 else ""


def in_order(view: View) -> list[ShownTarget]:
    """The targets in the order of the first table."""
    return [row.target for row in view.tables[0].rows] if view.tables else list(view.targets)


# Lines of one target each, with its name above its mark


def lines() -> Channel:
    """A vertical axis with a line for each target, and without words.

    The name stands above its mark and not beside the axis, so that a narrow page loses no width.
    """
    import altair as alt

    return alt.Y("line:O", axis=None, scale=alt.Scale(paddingInner=0, paddingOuter=0))


TEXT = {"baseline": "middle", "fontSize": 12, "aria": False}
"""aria: False, as on all marks: who cannot see a plot reads its table, not hundreds of marks."""


def names(base: Chart) -> list[Chart]:
    """The name of each line above its mark."""
    import altair as alt

    above = base.mark_text(align="left", dy=-15, **TEXT)
    return [above.encode(x=alt.value(0), text="name:N")]


def beside(base: Chart, first: str, last: str) -> list[Chart]:
    """The field `label` of each line, right of the field `last` of its mark.

    It stands left of `first` where the field `left` is true, since right of it is no room.
    """
    import altair as alt

    after = base.transform_filter("!datum.left").mark_text(align="left", dx=9, **TEXT)
    before = base.transform_filter("datum.left").mark_text(align="right", dx=-9, **TEXT)
    return [
        after.encode(x=alt.X(f"{last}:Q"), text="label:N"),
        before.encode(x=alt.X(f"{first}:Q"), text="label:N"),
    ]


def lies_right(value: float, low: float, high: float) -> bool:
    """Says whether a value lies so far right on a logarithmic axis that a label has no room."""
    return math.log(value / low) > ROOM * math.log(high / low)


# Colours, dashes and legends


def shades(targets: Sequence[ShownTarget]) -> Channel:
    """The colour of each runtime."""
    import altair as alt

    looks = palette.looks(targets)
    colours = [look.colour for look in looks.values()]
    return alt.Color("name:N", legend=None, scale=alt.Scale(domain=list(looks), range=colours))


def shapes(targets: Sequence[ShownTarget]) -> Channel:
    """The shape of each runtime's marks."""
    import altair as alt

    looks = palette.looks(targets)
    drawn = [look.shape for look in looks.values()]
    return alt.Shape("name:N", legend=None, scale=alt.Scale(domain=list(looks), range=drawn))


def dashes(targets: Sequence[ShownTarget]) -> Channel:
    """The dash of each target, which tells lines of one colour apart."""
    import altair as alt

    scale = palette.dashes(targets)
    # [1, 0] is a solid line: Vega-Lite takes no empty dash in a scale.
    drawn = [list(dash) or [1, 0] for dash in scale.values()]
    return alt.StrokeDash("name:N", legend=None, scale=alt.Scale(domain=list(scale), range=drawn))


def legend(
    among: Sequence[ShownTarget], drawn: Sequence[ShownTarget], *, dashed: bool = True
) -> tuple[Entry, ...]:
    """The legend of the drawn targets; without dashes it has one entry a look.

    `among` are all targets: their order gives the dashes.
    """
    looks, dash = palette.looks(among), palette.dashes(among)
    if dashed:
        return tuple(Entry(t.name, looks[t.name], dash[t.name]) for t in drawn)
    by_look: dict[MarkStyle, list[str]] = {}
    for target in drawn:
        by_look.setdefault(looks[target.name], []).append(target.name)
    return tuple(Entry(" · ".join(same), look) for look, same in by_look.items())


# Charts and their specifications


def named(data: Sequence[Datum], targets: Sequence[ShownTarget]) -> Chart:
    """A chart of many points that carry their target's index as `k`.

    The names stand once and are looked up: at each point they would be most of the page.
    """
    import altair as alt

    known = alt.InlineData([{"k": target.index, "name": target.name} for target in targets])
    return alt.Chart(alt.InlineData(list(data))).transform_lookup(
        lookup="k", from_=alt.LookupData(known, key="k", fields=["name"])
    )


def spec(chart: Chart, height: int | None = None) -> Spec:
    """The Vega-Lite specification of a chart.

    `height` is in pixels; None: STEP for each line. The colours of text, axes and grids come from
    plot.css, which knows light and dark. Vega-Lite's schema is asked by the tests, not here: that
    takes as long as all the rest of a plot.
    """
    import altair as alt

    sized = chart.properties(width="container", height=height or alt.Step(STEP))
    specification: Spec = sized.configure(
        font=FONT,
        background="transparent",
        view=alt.ViewConfig(stroke=None),
        axis=alt.AxisConfig(
            labelFontSize=12, titleFontSize=12, titleFontWeight="normal", titlePadding=10,
            tickSize=0, labelPadding=6, domain=False, labelLimit=400,
        ),
        legend=alt.LegendConfig(labelFontSize=12, columnPadding=16, symbolStrokeWidth=0),
    ).to_dict(validate=False)  # fmt: skip
    return specification


def times_axis(low: float, high: float, title: str) -> Axis:
    """An axis of ratios, whose round values have a ×."""
    import altair as alt

    expression = "format(datum.value, '~r') + '×'"
    return alt.Axis(values=ticks(low, high), labelExpr=expression, title=title)


def ticks(low: float, high: float) -> list[float]:
    """Round values on a logarithmic axis, 1 among them; closer ones where the axis is short."""
    if high / low < 2:
        return _near_one(low, high)
    steps: tuple[float, ...] = (1,)
    if high / low < 300:
        steps = (1, 2, 5) if high / low > 12 else (1, 1.5, 2, 3, 4, 5, 6, 8)
    # Rounded to 12 places: 0.1 * 3 shall be 0.3 in a label.
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [v for p in powers for s in steps if low <= (v := round(s * 10.0**p, 12)) <= high]


def _near_one(low: float, high: float) -> list[float]:
    """Ticks at equal distances from 1, at most eight steps: a short axis is nearly linear."""
    step = 10.0 ** math.floor(math.log10((high - low) / 2))
    step = next(s for s in (step, 2 * step, 5 * step, 10 * step) if (high - low) / s <= 8)
    first, last = math.ceil((low - 1) / step), math.floor((high - 1) / step)
    return [round(1 + step * k, 9) for k in range(first, last + 1)]
