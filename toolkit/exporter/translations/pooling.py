"""Pools whose output has a given size: each cell is a box that depends on the input's size.

A box is a product of intervals, so that means and maxima are taken along one axis after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx_ir as ir

from toolkit.exporter.translations.nodes import (
    Size,
    Value,
    axes,
    index,
    known,
    number,
    numbered,
    op,
    rank,
    size,
)


def adaptive_avg_pool(x: Value, output_size: Sequence[Size]) -> Value:
    """A mean for each cell, over as many of the last dimensions as the size has."""
    first = rank(x) - len(output_size)
    sizes = list(x.shape)[first:]
    if kernel := _kernel(sizes, output_size):
        return _regular(x, kernel)
    for axis, count in enumerate(output_size, start=first):
        x = _means(x, axis, count)
    return x


def adaptive_max_pool(x: Value, output_size: Sequence[int]) -> Any:
    """The maximum of each cell, and its place in the plane or volume: the first of equal ones."""
    first = rank(x) - len(output_size)
    values, places = x, None
    for axis in reversed(range(first, rank(x))):
        values, at = _largest(values, axis, output_size[axis - first])
        # `places` are those in what is right of this axis; only the chosen rows' count.
        stride = _stride(x, axis)
        here = op.Mul(at, stride)
        places = here if places is None else op.Add(here, op.GatherElements(places, at, axis=axis))
    return values, places


def _means(x: Value, axis: int, count: Size) -> Value:
    if isinstance(count, int):
        cells = _cells(x, axis, count)
        means = [op.ReduceMean(cell, axes(axis), keepdims=1) for cell in cells]
        return known(op.Concat(*means, axis=axis), x.dtype, rank(x))
    # The number of cells is a size of the graph: a matrix has their weights.
    length, cells = size(x, axis), index(count)
    cell = op.Unsqueeze(numbered(cells), axes(1))
    # Where there are none, ONNX Runtime divides by their count all the same, and ends.
    begins, ends = _bounds(cell, length, op.Max(cells, axes(1)))
    place = op.Unsqueeze(numbered(length), axes(0))
    inside = op.And(op.GreaterOrEqual(place, begins), op.Less(place, ends))
    widths = op.Cast(op.Sub(ends, begins), to=x.dtype)
    weights = op.Div(op.Cast(inside, to=x.dtype), widths)  # (cells, length)
    order = [each for each in range(rank(x)) if each != axis]
    moved = op.Transpose(x, perm=[*order, axis])
    means = op.MatMul(moved, op.Transpose(weights, perm=[1, 0]))
    back = sorted(range(rank(x)), key=[*order, axis].__getitem__)
    return known(op.Transpose(means, perm=back), x.dtype, rank(x))


def _largest(x: Value, axis: int, count: int) -> tuple[Value, Value]:
    """The largest of each cell along an axis, and where it stands there: the first of equal ones.

    NaN is the largest, and the last of several is PyTorch's choice.
    """
    dtype, values, places = x.dtype, [], []
    for place, cell in enumerate(_cells(x, axis, count)):
        is_nan = op.Cast(op.IsNaN(cell), to=ir.DataType.INT32)
        last = op.ArgMax(is_nan, axis=axis, keepdims=1, select_last_index=1)
        some = op.Cast(op.ReduceMax(is_nan, axes(axis), keepdims=1), to=ir.DataType.BOOL)
        numbers = op.Where(op.IsNaN(cell), number(float("-inf"), dtype), cell)
        at = op.Where(some, last, op.ArgMax(numbers, axis=axis, keepdims=1))
        values.append(op.GatherElements(cell, at, axis=axis))
        begin, _ = _bounds(axes(place), size(x, axis), axes(count))
        places.append(op.Add(at, begin))
    largest = known(op.Concat(*values, axis=axis), dtype, rank(x))
    return largest, op.Concat(*places, axis=axis)


def _cells(x: Value, axis: int, count: int) -> list[Value]:
    """The slices of x along an axis that the cells cover."""
    bounds = [_bounds(axes(cell), size(x, axis), axes(count)) for cell in range(count)]
    return [op.Slice(x, begin, end, axes(axis)) for begin, end in bounds]


def _bounds(cell: Value, length: Value, count: Value) -> tuple[Value, Value]:
    """⌊cell · length / count⌋ and ⌈(cell + 1) · length / count⌉."""
    begin = op.Div(op.Mul(cell, length), count)
    following = op.Mul(op.Add(cell, axes(1)), length)
    end = op.Div(op.Sub(op.Add(following, count), axes(1)), count)
    return begin, end


def _stride(x: Value, axis: int) -> Value:
    """The number of elements between two neighbours along an axis."""
    behind = op.Concat(op.Shape(x, start=axis + 1), axes(1), axis=0)
    return op.ReduceProd(behind, keepdims=1)


def _kernel(sizes: Sequence[Any], output_size: Sequence[Size]) -> list[int] | None:
    """The sizes of cells that are all alike, where they are known."""
    pairs = list(zip(sizes, output_size, strict=True))
    if all(isinstance(n, int) and isinstance(count, int) and n % count == 0 for n, count in pairs):
        return [n // count for n, count in pairs]
    return None


def _regular(x: Value, kernel: list[int]) -> Value:
    """Cells of one size: AveragePool, which wants a batch and channels before the plane."""
    lacking = len(kernel) + 2 - rank(x)
    whole = op.Unsqueeze(x, axes(0)) if lacking else x
    pooled = op.AveragePool(whole, kernel_shape=kernel, strides=kernel)
    return op.Squeeze(pooled, axes(0)) if lacking else pooled
