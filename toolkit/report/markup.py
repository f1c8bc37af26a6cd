"""Builds HTML that cannot forget to escape: every string is text unless it was made here."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable

from toolkit.report.grids.grid import Grid
from toolkit.report.words import INTERVAL

VOID = {"br", "col", "hr", "img", "input", "link", "meta", "wbr"}
"""Elements that HTML never closes."""


class Markup(str):
    """Finished HTML, made by the functions below and never directly from the words of a record."""

    __slots__ = ()


Child = str | Markup | None | Iterable["Child"]
"""Anything that an element may hold; None is left out, and what is iterable stands side by side."""


def tag(name: str, /, *children: Child, **attributes: str | bool | None) -> Markup:
    """An element with its children.

    An attribute `class_` is written class, and `data_value` data-value. True writes its name alone;
    False and None leave it out.

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
    # `class` is a keyword of Python, and no name in Python has a hyphen.
    return key.rstrip("_").replace("_", "-")


def joined(child: Child) -> Markup:
    """Puts children side by side; a string that is no Markup is escaped."""
    if child is None:
        return Markup("")
    if isinstance(child, Markup):
        return child
    if isinstance(child, str):
        return Markup(html.escape(child, quote=False))
    return Markup("".join(map(joined, child)))


def unbroken(text: str) -> list[Child]:
    """The words of a cell, each interval in them in one piece: '(1.21 to 1.25)'."""
    pieces: list[Child] = []
    end = 0
    for match in INTERVAL.finditer(text):
        pieces += [text[end : match.start()], tag("span", match[0], class_="whole")]
        end = match.end()
    return [*pieces, text[end:]]


def script(code: str) -> Markup:
    """An element with code. Raises ValueError for code that HTML would not take as one script."""
    if "<!--" in code or "</script" in code.lower():
        raise ValueError("this code cannot stand in a page: it holds <!-- or </script")
    return Markup(f"<script>{code}</script>")


def data(name: str, value: object) -> Markup:
    """An element with values for the page's code, which finds it by `name`.

    No `<` stands in it, so no value can end the element. Raises ValueError for a number that is not
    finite: JSON has none.
    """
    # In JSON "<" stands in strings only, where \\u003c means the same.
    text = json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return Markup(f'<script type="application/json" id="{html.escape(name)}">{text}</script>')


def style(sheet: str) -> Markup:
    """An element with our own style sheet, which is not escaped."""
    return Markup(f"<style>{sheet}</style>")


def table_markup(grid: Grid) -> Markup:
    """A table; numbers are set to the right, marked cells have the class 'marked'."""

    def kind(row: int, column: int) -> str | None:
        names = [
            *(["number"] if column in grid.numbers else []),
            *(["marked"] if (row, column) in grid.marked else []),
        ]
        return " ".join(names) or None

    # -1 is the row of the head: it has no marked cells.
    head = [
        tag("th", text, scope="col", class_=kind(-1, column))
        for column, text in enumerate(grid.head)
    ]
    rows = [
        tag(
            "tr",
            [
                tag("td", unbroken(text), class_=kind(row, column))
                for column, text in enumerate(cells)
            ],
        )
        for row, cells in enumerate(grid.rows)
    ]
    return tag("table", tag("thead", tag("tr", head)), tag("tbody", rows))
