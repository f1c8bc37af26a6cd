"""Finds the grid of values that a format leaves on the outputs themselves.

A runtime that computes in bfloat16 or float16 to the end gives nothing but numbers of that format;
static int8 gives at most 256 different ones.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from toolkit.answers import formats
from toolkit.answers.formats import Precision
from toolkit.tensors import Array

LEAST = 300
"""With fewer elements a grid may be chance."""
LEAST_VALUES = 16
"""Distinct values that must lie on the grid: by chance a few may."""
INT8_VALUES = 256
"""The different values that 8 bits have."""
INT8_LEAST = 1000
"""Elements from which on so few different values are no chance, if the oracle has twice as many."""


def on_bfloat16(values: Array) -> Array:
    """Says which float32 values are bfloat16 numbers: the lower half of their bits is 0."""
    return np.asarray((values.view(np.uint32) & np.uint32(0xFFFF)) == 0)


def on_float16(values: Array) -> Array:
    """Says which float32 values are float16 numbers."""
    return np.asarray(formats.through_float16(values) == values)


# bfloat16 first: its values mostly lie on float16's grid too.
GRIDS: tuple[tuple[Precision, Callable[[Array], Array]], ...] = (
    ("bfloat16", on_bfloat16),
    ("float16", on_float16),
)


def grid_of(outputs: Array, oracle: Array) -> Precision | None:
    """Finds the class on whose grid all outputs lie, though the oracle's own values do not.

    `outputs` and `oracle` are of one shape. None: there is no such class, or it could be chance.
    """
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
    if values.size < INT8_LEAST or len(np.unique(values)) > INT8_VALUES:
        return None
    return "int8" if len(np.unique(wanted)) > 2 * INT8_VALUES else None
