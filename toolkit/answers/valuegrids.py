"""Marks that a format leaves on the outputs themselves: its grid, or its few values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from toolkit.answers import formats
from toolkit.answers.formats import Precision
from toolkit.tensors import Array

LEAST = 300
"""With fewer elements a grid may be chance."""
LEAST_VALUES = 16
"""Distinct values that must lie on the grid."""


def on_bfloat16(values: Array) -> Array:
    """Which float32 values are bfloat16 numbers."""
    return np.asarray((values.view(np.uint32) & np.uint32(0xFFFF)) == 0)


def on_float16(values: Array) -> Array:
    """Which float32 values are float16 numbers."""
    return np.asarray(formats.through_float16(values) == values)


# bfloat16 first: its values mostly lie on float16's grid too.
GRIDS: tuple[tuple[Precision, Callable[[Array], Array]], ...] = (
    ("bfloat16", on_bfloat16),
    ("float16", on_float16),
)


def grid_of(outputs: Array, oracle: Array) -> Precision | None:
    """The class whose mark all outputs bear, where the oracle's own values do not."""
    values, wanted = (np.asarray(a.ravel(), np.float32) for a in (outputs, oracle))
    if values.size < LEAST:
        return None
    # Saturated values lie on every grid.
    telling = values[(values != 0) & (np.abs(values) != 1)]
    for precision, on in GRIDS:
        if telling.size and on(telling).all():
            clear = len(np.unique(telling)) >= LEAST_VALUES and on(wanted).mean() < 0.5
            return precision if clear else None
    # Few bfloat16 values look the same, so this comes after the grids.
    few = values.size >= 1000 and len(np.unique(values)) <= 256 and len(np.unique(wanted)) > 512
    return "int8" if few else None
