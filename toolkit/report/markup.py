"""HTML that cannot forget to escape: every string is text unless it was made here."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable

from toolkit.report.grids.grid import Grid

VOID = {"br", "col", "hr", "img", "input", "link", "meta"}


class Markup(str):
    """Finished HTML. Made by the functions below, and from nothing that a record says."""

    __slots__ = ()


Child = str | Markup | None | Iterable["Child"]


def tag(name: str, /, *children: Child, **attributes: str | bool | None) -> Markup:
    """An element. `class_` is written class, `data_value` data-value; False and None leave out.

    >>> tag("p", "a < b", tag("b", "c"), class_="x", hidden=True, id=None)
    '<p class="x" hidden>a &lt; b<b>c</b></p>'
    """
    written = "".join(
        f" {key}" if value is True else f' {key}="{html.escape(value)}"'
        for key, value in ((_name(key), value) for key, value in attributes.items())
        if value is not None and value is not False
    )
    if name in VOID:
        return Markup(f"<{name}{written}>")
    return Markup(f"<{name}{written}>{joined(children)}</{name}>")


def _name(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def joined(child: Child) -> Markup:
    """Children side by side; what is no Markup is escaped."""
    if child is None:
        return Markup("")
    if isinstance(child, Markup):
        return child
    if isinstance(child, str):
        return Markup(html.escape(child, quote=False))
    return Markup("".join(map(joined, child)))


def script(code: str) -> Markup:
    """Code. Raises ValueError for what HTML would not take as one script."""
    if "<!--" in code or "</script" in code.lower():
        raise ValueError("this code cannot stand in a page: it holds <!-- or </script")
    return Markup(f"<script>{code}</script>")


def data(name: str, value: object) -> Markup:
    """Values for the page's code. No `<` stands in it, so nothing can end the element."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return Markup(f'<script type="application/json" id="{html.escape(name)}">{text}</script>')


def style(sheet: str) -> Markup:
    """Our own style sheet."""
    return Markup(f"<style>{sheet}</style>")


def table_markup(grid: Grid) -> Markup:
    """A table of words."""

    def kind(row: int, column: int) -> str | None:
        names = [
            *(["number"] if column in grid.numbers else []),
            *(["marked"] if (row, column) in grid.marked else []),
        ]
        return " ".join(names) or None

    head = [
        tag("th", text, scope="col", class_=kind(-1, place)) for place, text in enumerate(grid.head)
    ]
    rows = [
        tag("tr", [tag("td", text, class_=kind(place, column)) for column, text in enumerate(row)])
        for place, row in enumerate(grid.rows)
    ]
    return tag("table", tag("thead", tag("tr", head)), tag("tbody", rows))
