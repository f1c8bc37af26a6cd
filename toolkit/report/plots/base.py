"""What all plots share: their form, their axes and their words."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from toolkit.report import palette
from toolkit.report.grids.grid import Grid
from toolkit.report.view import ShownTarget, Table, View

Spec = dict[str, Any]
Chart = Any
"""An Altair chart: the library is imported only where one is made."""
Datum = dict[str, str | float | bool]
Entry = tuple[str, str, tuple[int, ...]]
"""(name, colour, dash) of a legend."""

STEP = 34
"""Height of a target's line: its name, and below it its mark."""
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"


@dataclass(frozen=True)
class Plot:
    """A picture, the words that belong to it and the table behind it."""

    name: str
    """Of its file, and of its place in the page."""
    title: str
    reading: str
    spec: Spec
    """Vega-Lite; as wide as what it stands in."""
    grid: Grid
    legend: tuple[Entry, ...] = ()
    """Where one tells its lines apart."""


def slug(text: str) -> str:
    """A case's name as a part of a file's name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "case"


def at_case(table: Table, view: View) -> str:
    """' at batch 8' where there are several cases."""
    return f" at {table.case.name}" if len(view.tables) > 1 else ""


def in_order(view: View) -> list[ShownTarget]:
    """The targets as the first table has them."""
    return [row.target for row in view.tables[0].rows] if view.tables else list(view.targets)


def lines() -> Any:
    """One line a target, without an axis: its name stands above its mark, so that a narrow page
    loses no width to it."""
    import altair as alt

    return alt.Y("place:O", axis=None, scale=alt.Scale(paddingInner=0, paddingOuter=0))


def names(base: Chart, right: str = "") -> list[Chart]:
    """The name of each line above it, and a text at its right end."""
    import altair as alt

    above = {"baseline": "middle", "dy": -13, "aria": False, "fontSize": 12}
    made = [base.mark_text(align="left", **above).encode(x=alt.value(0), text="name:N")]
    if right:
        end = base.mark_text(align="right", fontWeight="bold", **above)
        made.append(end.encode(x=alt.value("width"), text=f"{right}:N"))
    return made


def shades(targets: Sequence[ShownTarget]) -> Any:
    """A runtime's colour."""
    import altair as alt

    scale = palette.colours(targets)
    return alt.Color(
        "name:N", legend=None, scale=alt.Scale(domain=list(scale), range=list(scale.values()))
    )


def dashes(targets: Sequence[ShownTarget]) -> Any:
    """What tells lines of one colour apart."""
    import altair as alt

    scale = palette.dashes(targets)
    return alt.StrokeDash(
        "name:N",
        legend=None,
        scale=alt.Scale(
            domain=list(scale), range=[list(dash) or [1, 0] for dash in scale.values()]
        ),
    )


def legend(
    among: Sequence[ShownTarget], shown: Sequence[ShownTarget], *, dashed: bool = True
) -> tuple[Entry, ...]:
    """What a legend says of the targets shown; without dashes, one entry a colour.

    `among` are all targets: their order gives the dashes.
    """
    shade, dash = palette.colours(among), palette.dashes(among)
    if dashed:
        return tuple((one.name, shade[one.name], dash[one.name]) for one in shown)
    kinds = dict.fromkeys(shade[one.name] for one in shown)
    return tuple(
        (" · ".join(one.name for one in shown if shade[one.name] == kind), kind, ())
        for kind in kinds
    )


def named(data: Sequence[Datum], targets: Sequence[ShownTarget]) -> Chart:
    """A chart of many points, each with its target's index `k`; the names stand there once."""
    import altair as alt

    known = alt.InlineData([{"k": one.index, "name": one.name} for one in targets])
    return alt.Chart(alt.InlineData(list(data))).transform_lookup(
        lookup="k", from_=alt.LookupData(known, key="k", fields=["name"])
    )


def spec(chart: Chart, height: int | None = None) -> Spec:
    """The Vega-Lite specification. Its colours for text, lines and grids come from plot.css."""
    import altair as alt

    sized = chart.properties(width="container", height=height or alt.Step(STEP))
    made: Spec = sized.configure(
        font=FONT,
        background="transparent",
        view=alt.ViewConfig(stroke=None),
        axis=alt.AxisConfig(
            labelFontSize=12, titleFontSize=12, titleFontWeight="normal", titlePadding=10,
            tickSize=0, labelPadding=6, domain=False, labelLimit=400,
        ),
        legend=alt.LegendConfig(labelFontSize=12, columnPadding=16, symbolStrokeWidth=0),
    ).to_dict()  # fmt: skip
    return made


def ticks(low: float, high: float) -> list[float]:
    """Round values on a logarithmic axis, 1 among them; closer ones where the axis is short."""
    if high / low < 2:
        step = 10.0 ** math.floor(math.log10((high - low) / 2))
        step = next(s for s in (step, 2 * step, 5 * step, 10 * step) if (high - low) / s <= 8)
        first, last = math.ceil((low - 1) / step), math.floor((high - 1) / step)
        return [round(1 + step * k, 9) for k in range(first, last + 1)]
    steps: tuple[float, ...] = (1,)
    if high / low < 300:
        steps = (1, 2, 5) if high / low > 12 else (1, 1.5, 2, 3, 4, 5, 6, 8)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [v for p in powers for s in steps if low <= (v := round(s * 10.0**p, 12)) <= high]
