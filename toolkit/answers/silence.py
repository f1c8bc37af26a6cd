"""Says why outputs cannot tell float32 from less."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from toolkit.tensors import Array

ALIKE = 1e-9
"""Values of the oracle that differ by no more of the largest one are the same: float64 adds in
another order in a larger batch."""
ENDS = 1e-6
"""What is so near to the least or the largest value, as a share of the range, is saturated."""
MOSTLY = 0.5
"""The share of elements that makes an output saturated."""
CONSTANT = "its values are the same whatever is fed; "
FEW = 50
"""Elements, over all feeds, below which more of them may tell more."""


def cause(oracle: Sequence[Array], *, saturating: bool) -> str:
    """Begins a sentence with the reason, as far as the right values show it; empty: they do not.

    `oracle` holds the right values of one output, an array for each feed. `saturating`: the output
    stands behind an activation that saturates.
    """
    if saturating and _is_saturated(oracle):
        return "its activation is saturated; "
    count = sum(array.size for array in oracle)
    return f"only {count:,} elements; " if count < FEW else ""


def is_constant(oracle: Sequence[Array]) -> bool:
    """Says whether all rows are the same, of each shape that occurs, and there are several; of one
    row, whether all its elements are."""
    firsts: dict[tuple[int, ...], Array] = {}
    several = False
    for row in _rows(oracle):
        first = firsts.setdefault(row.shape, row)
        if first is row:
            continue
        several = True
        if not _are_alike(row, first):
            return False
    return several or any(
        row.size > 1 and _are_alike(row, np.full_like(row, row.flat[0])) for row in firsts.values()
    )


def _rows(oracle: Sequence[Array]) -> Iterator[Array]:
    for array in oracle:
        yield from array if array.ndim else [array]


def _are_alike(row: Array, other: Array) -> bool:
    """Says whether two arrays of one shape hold the same; infinities are equal to themselves."""
    finite = np.isfinite(row) & np.isfinite(other)
    if not np.array_equal(row[~finite], other[~finite], equal_nan=True):
        return False
    mine, theirs = row[finite], other[finite]
    near = ALIKE * np.max(np.abs(theirs), initial=0.0)
    return bool(np.all(np.abs(mine - theirs) <= near))


def _is_saturated(oracle: Sequence[Array]) -> bool:
    values = np.concatenate([np.ravel(array) for array in oracle])
    values = values[np.isfinite(values)]
    if not values.size:
        return False
    low, high = float(values.min()), float(values.max())
    near = ENDS * (high - low)
    return bool(np.mean((values <= low + near) | (values >= high - near)) >= MOSTLY)
