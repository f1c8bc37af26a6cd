"""Sizes of dynamic dimensions to trace a module with, the likeliest first."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from toolkit.sources.inputs import Dimension

MULTIPLES = (4, 8, 16, 32, 64, 128, 224, 256, 512)
"""Sizes that networks with strides, heads, patches or a smallest image ask for."""
SMALL = (2, 3, 5, 7, 11, 13, 17, 19)
"""Small sizes of which none divides another."""
ENDLESS = 1 << 62
"""A bound that no size reaches, where a range has none: torch's sizes are of 64 bits."""


def candidates(free: Sequence[Dimension]) -> Iterator[tuple[int, ...]]:
    """Sizes for several dimensions at once, each moved into its range.

    Different sizes for different dimensions come before equal ones, since two dimensions of one
    size may be taken for one; the first dimension, mostly the batch, stays small while the others
    grow. No size is 0 or 1: PyTorch treats those apart.
    """
    for sizes in _sizes(len(free)):
        yield tuple(_moved(dim, size) for dim, size in zip(free, sizes, strict=True))


def _sizes(count: int) -> Iterator[list[int]]:
    yield [SMALL[i % len(SMALL)] for i in range(count)]
    # 16, 19, 22 …: long enough for most least lengths, and still unlike each other.
    yield [2, *(16 + 3 * i for i in range(count - 1))]
    for base in MULTIPLES:
        yield [2, *(base * (i + 1) for i in range(count - 1))]
        yield [2, *([base] * (count - 1))]
    for base in MULTIPLES:
        yield [base * (i + 1) for i in range(count)]
        yield [base] * count
    # Every combination of the first four dimensions; more of them would be too many to try.
    grid = [(2, 3, *MULTIPLES)] * min(count, 4)
    for head in itertools.product(*grid):
        yield [*head, *([2] * (count - len(head)))]


def _moved(dim: Dimension, size: int) -> int:
    """A size moved into its range, above the end that is never left: 4 in 13.. becomes 16. Of a
    dimension that must be a multiple a small one says how many times."""
    if size in dim:
        return size
    if dim.multiple > 1:
        times = size * dim.multiple
        return dim.from_on(times if size in SMALL and times <= MULTIPLES[-1] else size)
    multiple = -(-dim.least // size) * size  # The smallest from the range's start on.
    return min(multiple, dim.most or ENDLESS)
