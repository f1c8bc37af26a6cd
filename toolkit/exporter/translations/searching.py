"""Operators that look values up: by comparing each with each, and counting.

The comparisons take memory in proportion to both sizes, where PyTorch halves an interval.
"""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from toolkit.exporter.translations.nodes import (
    FLOATS,
    Size,
    Value,
    axes,
    flat,
    index,
    is_float,
    known,
    number,
    numbered,
    op,
    rank,
    size,
)


def searchsorted(
    rows: Value,
    x: Value,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Value | None = None,
) -> Value:
    """Rows are (…, n), x is (…, m); or rows are one row, and x is of any shape."""
    if sorter is not None:
        rows = known(op.GatherElements(rows, sorter, axis=-1), rows.dtype, rank(rows))
    ahead = _ahead(rows, op.Unsqueeze(x, axes(-1)), x.dtype, side == "right" or right, rank(rows))
    return _counted(ahead, out_int32)


def searchsorted_scalar(rows: Value, x: float, **how: Any) -> Value:
    dtype = rows.dtype
    if isinstance(x, float) and not is_float(rows):
        dtype = ir.DataType.FLOAT
        rows = known(op.Cast(rows, to=dtype), dtype, rank(rows))
    return searchsorted(rows, known(_scalar(x, dtype), dtype, 0), **how)


def bucketize_scalar(
    x: float, boundaries: Value, *, out_int32: bool = False, right: bool = False
) -> Value:
    return searchsorted_scalar(boundaries, x, out_int32=out_int32, right=right)


def isin(x: Value, among: Value, *, assume_unique: bool = False, invert: bool = False) -> Value:
    dtype = _wider(x, among)
    one = op.Unsqueeze(op.Cast(x, to=dtype), axes(-1))
    same = op.Cast(op.Equal(one, op.Cast(flat(among), to=dtype)), to=ir.DataType.INT32)
    # Padded with a False: a maximum over nothing has no value.
    nothing = op.Expand(number(0, ir.DataType.INT32), op.Concat(op.Shape(x), axes(1), axis=0))
    inside = op.ReduceMax(op.Concat(same, nothing, axis=-1), axes(-1), keepdims=0)
    return op.Equal(inside, number(0 if invert else 1, ir.DataType.INT32))


def isin_of_scalar(
    x: float, among: Value, *, assume_unique: bool = False, invert: bool = False
) -> Value:
    dtype = among.dtype if isinstance(x, int) or is_float(among) else ir.DataType.FLOAT
    return isin(known(_scalar(x, dtype), dtype, 0), among, invert=invert)


def masked_select(x: Value, mask: Value) -> Value:
    values, chosen = op.Expand(x, op.Shape(mask)), op.Expand(mask, op.Shape(x))
    return op.Compress(op.Reshape(values, axes(-1)), op.Reshape(chosen, axes(-1)))


def nonzero_static(x: Value, *, size: Size, fill_value: int = -1) -> Value:
    """The first `size` places (size, rank) that are not zero, filled up where there are fewer."""
    places = op.Transpose(op.NonZero(x), perm=[1, 0])
    filler = op.Expand(
        number(fill_value, ir.DataType.INT64), op.Concat(index(size), axes(rank(x)), axis=0)
    )
    return op.Slice(op.Concat(places, filler, axis=0), axes(0), index(size), axes(0))


def unique_consecutive(
    x: Value, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """Runs of equal elements, or of equal slices along a dimension, as one each."""
    axis = 0 if dim is None else dim % max(rank(x), 1)
    whole = flat(x) if dim is None else x
    count = size(whole, axis)
    before = op.Slice(whole, axes(0), axes(-1), axes(axis))
    after = op.Slice(whole, axes(1), axes(2**62), axes(axis))
    changed = op.Cast(op.Not(op.Equal(before, after)), to=ir.DataType.INT32)
    others = [each for each in range(rank(whole)) if each != axis]
    if others:
        changed = op.ReduceMax(changed, axes(*others), keepdims=0)
    # The first begins a run, unless there is none.
    first = op.Expand(number(1, ir.DataType.INT32), op.Min(count, axes(1)))
    begins = op.Concat(first, changed, axis=0)
    starts = op.Compress(numbered(count), op.Cast(begins, to=ir.DataType.BOOL), axis=0)
    values = op.Gather(whole, starts, axis=axis)
    runs = op.Sub(op.CumSum(begins, number(0, ir.DataType.INT32)), number(1, ir.DataType.INT32))
    inverse = op.Cast(runs, to=ir.DataType.INT64)
    if dim is None:
        inverse = op.Reshape(inverse, op.Shape(x))
    ends = op.Concat(op.Slice(starts, axes(1), axes(2**62), axes(0)), count, axis=0)
    # Where there is nothing, the end of nothing is no run.
    counts = op.Sub(op.Slice(ends, axes(0), op.Shape(starts), axes(0)), starts)
    return values, inverse, counts


def unique_dim_consecutive(
    x: Value, dim: int, return_inverse: bool = False, return_counts: bool = False
) -> Any:
    return unique_consecutive(x, return_inverse, return_counts, dim)


def _ahead(rows: Value, x: Value, dtype: ir.DataType, right: bool, dims: int) -> Value:
    """Says of each x (…, m, 1) which elements of its row (…, 1, n) stand before its place.

    NaN stands behind all numbers: nothing is at least NaN.
    """
    row = rows if dims == 1 else op.Unsqueeze(rows, axes(-2))
    row = op.Cast(row, to=dtype) if rows.dtype != dtype else row
    return op.Not(op.Greater(row, x) if right else op.GreaterOrEqual(row, x))


def _counted(flags: Value, out_int32: bool) -> Value:
    kind = ir.DataType.INT32 if out_int32 else ir.DataType.INT64
    return op.ReduceSum(op.Cast(flags, to=kind), axes(-1), keepdims=0)


def _scalar(x: Any, dtype: ir.DataType) -> Value:
    if isinstance(x, int | float):
        return number(x, dtype)
    return op.Cast(x, to=dtype)


def _wider(one: Value, other: Value) -> ir.DataType:
    """A type that holds both."""
    dtypes: list[ir.DataType] = [one.dtype, other.dtype]
    if dtypes[0] == dtypes[1]:
        return dtypes[0]
    floats = [dtype for dtype in dtypes if dtype in FLOATS]
    return max(floats, key=lambda dtype: dtype.bitwidth) if floats else ir.DataType.INT64
