"""Draws one bar a target, made of parts end to end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from toolkit.report.plots.base import Channel, Datum, Spec, beside, lines, names, spec
from toolkit.units import Seconds, duration, time_unit


@dataclass(frozen=True)
class Part:
    """One part of a bar."""

    kind: str
    length: Seconds
    words: str
    """The length in words, for who points at the part."""


@dataclass(frozen=True)
class Bar:
    """A target and its parts, in order."""

    name: str
    parts: tuple[Part, ...]

    @property
    def total(self) -> Seconds:
        return sum(part.length for part in self.parts)


def draw(bars: Sequence[Bar], shades: Mapping[str, str], axis: str) -> Spec:
    """The bars from 0 on, on one axis that `axis` describes.

    `shades`: kind of part → colour, in the order of the legend.
    """
    import altair as alt

    longest = max(bar.total for bar in bars)
    scale, unit = time_unit(longest)
    parts = [part for line, bar in enumerate(bars) for part in _parts(bar, line, scale)]
    totals = [
        {"line": line, "name": bar.name, "label": duration(bar.total), "to": bar.total / scale}
        for line, bar in enumerate(bars)
    ]
    x = alt.X(
        "from:Q",
        # Behind the longest bar there is room for its length in words.
        scale=alt.Scale(domain=[0, longest / scale * 1.25], nice=False),
        axis=alt.Axis(title=f"{unit}, {axis}", tickCount=6),
    )
    marks = alt.Chart(alt.InlineData(parts)).encode(y=lines(), tooltip=alt.Tooltip("tip:N"))
    heads = alt.Chart(alt.InlineData(totals)).encode(y=lines())
    return spec(
        alt.layer(
            *names(heads),
            *beside(heads, "to", "to"),
            marks.mark_bar(height=10, aria=False).encode(
                x=x, x2="to:Q", color=_kinds(bars, shades)
            ),
        )
    )


def _parts(bar: Bar, line: int, scale: Seconds) -> Iterator[Datum]:
    """The parts of one bar, end to end; `scale` is the length of the axis' unit."""
    start = 0.0
    for part in bar.parts:
        end = start + part.length / scale
        tip = f"{bar.name}\n{part.kind}: {part.words}"
        yield {"line": line, "stage": part.kind, "from": start, "to": end, "tip": tip}
        start = end


def _kinds(bars: Sequence[Bar], shades: Mapping[str, str]) -> Channel:
    """The colour of each kind of part that a bar has, with a legend."""
    import altair as alt

    present = {part.kind for bar in bars for part in bar.parts}
    kinds = [kind for kind in shades if kind in present]
    return alt.Color(
        "stage:N",
        scale=alt.Scale(domain=kinds, range=[shades[kind] for kind in kinds]),
        legend=alt.Legend(orient="top", title=None, symbolType="square"),
    )
