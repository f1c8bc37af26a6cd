"""One bar a target, made of parts end to end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from toolkit.report.plots.base import Datum, Spec, lines, names, spec
from toolkit.units import Seconds, duration, time_unit


@dataclass(frozen=True)
class Part:
    """One part of a bar."""

    kind: str
    length: Seconds
    told: str
    """What pointing at it says, behind its kind."""


@dataclass(frozen=True)
class Bar:
    """A target and its parts, in order."""

    name: str
    parts: tuple[Part, ...]

    @property
    def total(self) -> Seconds:
        return sum(part.length for part in self.parts)


def draw(bars: Sequence[Bar], shades: Mapping[str, str], axis: str) -> Spec:
    """The bars from 0 on, on one axis; `shades`: kind of part → colour, in the legend's order."""
    import altair as alt

    longest = max(bar.total for bar in bars)
    scale, unit = time_unit(longest)
    drawn = [datum for place, bar in enumerate(bars) for datum in _parts(bar, place, scale)]
    totals = [
        {"place": place, "name": bar.name, "label": duration(bar.total)}
        for place, bar in enumerate(bars)
    ]
    marks = alt.Chart(alt.InlineData(drawn)).encode(y=lines(), tooltip=alt.Tooltip("tip:N"))
    x = alt.X(
        "from:Q",
        scale=alt.Scale(domain=[0, longest / scale * 1.02], nice=False),
        axis=alt.Axis(title=f"{unit}, {axis}", tickCount=6),
    )
    kinds = [kind for kind in shades if any(datum["stage"] == kind for datum in drawn)]
    shade = alt.Color(
        "stage:N",
        scale=alt.Scale(domain=kinds, range=[shades[kind] for kind in kinds]),
        legend=alt.Legend(orient="top", title=None, symbolType="square"),
    )
    return spec(
        alt.layer(
            *names(alt.Chart(alt.InlineData(totals)).encode(y=lines()), "label"),
            marks.mark_bar(height=10, aria=False).encode(x=x, x2="to:Q", color=shade),
        )
    )


def _parts(bar: Bar, place: int, scale: Seconds) -> Iterator[Datum]:
    """The parts of one bar, end to end."""
    start = 0.0
    for part in bar.parts:
        end = start + part.length / scale
        tip = f"{bar.name}\n{part.kind}: {part.told}"
        yield {"place": place, "stage": part.kind, "from": start, "to": end, "tip": tip}
        start = end
