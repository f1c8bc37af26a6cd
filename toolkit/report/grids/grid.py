"""A table of words without a form yet: Markdown and the page both show it."""

from __future__ import annotations

from dataclasses import dataclass

NONE = "–"


@dataclass(frozen=True)
class Grid:
    """Heads and cells. `numbers`: the columns that are set to the right."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: frozenset[int] = frozenset()
    marked: frozenset[tuple[int, int]] = frozenset()
    """(row, column) of the cells that deviate."""
