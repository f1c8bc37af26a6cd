"""Draws a plot as an SVG file that follows its reader's light or dark."""

from __future__ import annotations

import html
import re
from importlib import resources

from toolkit.report.palette import OUTLINES
from toolkit.report.plots import Plot
from toolkit.report.plots.base import Entry
from toolkit.supervision import progress

WIDTH = 760
"""Pixels of the plot; a narrower column scales the whole picture down."""
LINE = 18
"""Pixels: the height of a line of the legend."""
SWATCH = 22
"""Pixels: the length of the stroke beside a name of the legend."""
BESIDE = 6
"""Pixels between a stroke and its name, and between the legend and the plot."""
APART = 20
"""Pixels between two entries of the legend."""
CHARACTER = 6.6
"""Pixels of a character at 12 pixels, more or less: legends only need room enough."""
BACKGROUND = ".page { fill: var(--page); }"


def asset(name: str) -> str:
    """The text of a file of the page, from the package."""
    return resources.files("toolkit.report").joinpath("assets", name).read_text(encoding="utf-8")


def svg(plot: Plot) -> str:
    """The SVG, drawn without a network.

    It has a background of its own, since the text of a dark plot is not readable on a white page.
    Raises ValueError where vl-convert writes another form of SVG than it does today.
    """
    import vl_convert

    progress.step(f"drawing {plot.name}")
    drawn: str = vl_convert.vegalite_to_svg(plot.spec | {"width": WIDTH})
    head = re.match(r'<svg[^>]*?width="([\d.]+)" height="([\d.]+)"[^>]*>', drawn)
    if head is None:
        raise ValueError("vl-convert no longer writes an SVG with a width and a height")
    width, height = float(head[1]), float(head[2])
    rows = legend(plot.legend, width)
    top = LINE * len(rows) + (BESIDE if rows else 0)
    # The legend is drawn here, above the plot: Vega's own would not wrap its lines.
    body = drawn[head.end() : -len("</svg>")]
    return (
        f'<svg class="marks" xmlns="http://www.w3.org/2000/svg" role="img" '
        f'aria-label="{html.escape(plot.title)}" font-family="system-ui, sans-serif" '
        f'font-size="12" width="{width:g}" height="{height + top:g}" '
        f'viewBox="0 0 {width:g} {height + top:g}">'
        f"<style>{asset('plot.css')}{BACKGROUND}</style>"
        f'<rect class="page" width="100%" height="100%"/>{"".join(rows)}'
        f'<g transform="translate(0,{top})">{body}</g></svg>\n'
    )


def legend(entries: tuple[Entry, ...], width: float) -> list[str]:
    """The lines of the legend as SVG, each at most as wide as the plot."""
    rows: list[list[str]] = []
    x = 5.0
    for entry in entries:
        needed = SWATCH + BESIDE + CHARACTER * len(entry.name) + APART
        if not rows or x + needed > width:
            rows.append([])
            x = 5.0
        y = LINE * len(rows) - 4
        shade, shape = entry.look
        dashes = f' stroke-dasharray="{" ".join(map(str, entry.dash))}"' if entry.dash else ""
        rows[-1].append(
            f'<line x1="{x:g}" x2="{x + SWATCH:g}" y1="{y - 4}" y2="{y - 4}" '
            f'stroke="{shade}" stroke-width="3"{dashes}/>'
            f'<path d="{OUTLINES[shape]}" fill="{shade}" '
            f'transform="translate({x + SWATCH / 2:g},{y - 4}) scale(5)"/>'
            f'<text x="{x + SWATCH + BESIDE:g}" y="{y}">{html.escape(entry.name)}</text>'
        )
        x += needed
    return ["".join(row) for row in rows]
