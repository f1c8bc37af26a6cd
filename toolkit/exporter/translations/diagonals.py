"""Diagonals of matrices, by the places of their elements."""

from __future__ import annotations

from toolkit.exporter.translations.nodes import (
    Value,
    axes,
    axis_of,
    known,
    numbered,
    op,
    rank,
    size,
)


def diagonal(x: Value, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Value:
    """The elements along a diagonal of two axes, as the last axis."""
    down, across = axis_of(x, dim1), axis_of(x, dim2)
    order = [axis for axis in range(rank(x)) if axis not in (down, across)]
    matrices = op.Transpose(x, perm=[*order, down, across])
    rows, columns = size(x, down), size(x, across)
    flat_ = op.Reshape(
        matrices,
        op.Concat(op.Shape(matrices, start=0, end=rank(x) - 2), op.Mul(rows, columns), axis=0),
        allowzero=1,
    )
    first = axes(max(-offset, 0)), axes(max(offset, 0))  # Row and column where it begins.
    count = op.Min(op.Sub(rows, first[0]), op.Sub(columns, first[1]))
    steps = op.Mul(numbered(op.Max(count, axes(0))), op.Add(columns, axes(1)))
    begin = op.Add(op.Mul(first[0], columns), first[1])
    return known(op.Gather(flat_, op.Add(begin, steps), axis=-1), x.dtype, rank(x) - 1)
