"""A table of words without a form yet: Markdown and the page both show it."""

from __future__ import annotations

from dataclasses import dataclass

NONE = "–"
"""Stands in a cell for which nothing was measured."""


@dataclass(frozen=True)
class Grid:
    """The heads and cells of a table; every row has as many cells as the head."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: frozenset[int] = frozenset()
    """The columns that are set to the right."""
    marked: frozenset[tuple[int, int]] = frozenset()
    """(row, column) of the cells that deviate."""
