"""The few kinds in which values are drawn where no graph tells what an input holds.

Most modules take floats from 0 to 1 and integers 0 and 1. Some refuse them: times have to ascend,
offsets to begin with 0, a size must not be 0. A kind that a module took without a graph is kept
when values are drawn by its graph.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from toolkit.tensors import Array


@dataclass(frozen=True)
class Kind:
    """One kind of values."""

    least: int | None = None
    """Integers are this one, floats from it to 1 more, booleans all false (0) or all true (1)."""
    ascending: int | None = None
    """The axis, 0 or -1, along which values ascend; integers from 0 on by 1."""
    counts: bool = False
    """The values are the counts of that axis, as positions are."""


PLAIN = Kind()
OF_INTEGERS = (Kind(1), Kind(ascending=-1))
OF_FLOATS = (Kind(ascending=-1), Kind(ascending=0))
OF_BOOLEANS = (Kind(1), Kind(0))
LEVELS = (2, 4, 8, 16, 64, 256)
"""Values of which one may lie where the module wants them: ids behind the special ones, sizes."""


def first(kind: Kind, shape: tuple[int, ...], type_name: str, random: np.random.Generator) -> Array:
    """Gives values of one kind for an input of which only type and shape are known."""
    if "float" in type_name:
        values = random.random(shape) + (kind.least or 0)
        return values if kind.ascending is None or not shape else np.sort(values, kind.ascending)
    if kind.ascending is not None and shape:
        return counted(shape, kind.ascending)
    if kind.least is not None:
        return np.full(shape, kind.least)
    return random.integers(0, 2, shape)


def counted(shape: tuple[int, ...], axis: int, below: int | None = None) -> Array:
    """Integers that count from 0 along one axis, and begin anew at `below`."""
    count = np.arange(shape[axis]) % (below or max(1, shape[axis]))
    turned = np.broadcast_to(count, np.moveaxis(np.empty(shape, np.int8), axis, -1).shape)
    return np.moveaxis(turned, -1, axis)


def of_values(values: Array) -> Kind:
    """The kind of a user's own values: ascending along an axis, as times and offsets are."""
    if values.dtype.kind in "iuf" and values.size > 1:
        for axis in (-1, 0):
            steps = np.diff(values, axis=axis)
            # A constant is no order: its values may be lengths that are equal by chance.
            if steps.size and (steps >= 0).all() and (steps > 0).any():
                whole = values.dtype.kind in "iu"
                counts = whole and np.array_equal(values, counted(values.shape, axis))
                return Kind(ascending=axis, counts=counts)
    return PLAIN
