"""Operators that put elements in order: by TopK, which leaves equal ones in their order.

PyTorch takes NaN for the largest number, ONNX says nothing of it: it goes through TopK as infinity.
"""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from toolkit.exporter.translations.nodes import (
    Size,
    Value,
    axes,
    axis_of,
    comparable,
    flat,
    index,
    is_float,
    number,
    op,
    picked,
    rank,
    size,
)


def kthvalue(x: Value, k: Size, dim: int = -1, keepdim: bool = False) -> Any:
    if not rank(x):
        return op.Identity(x), number(0, ir.DataType.INT64)
    axis = axis_of(x, dim)
    return _at(x, op.Sub(index(k), axes(1)), axis, keepdim)


def median(x: Value) -> Value:
    """The lower one of two in the middle; NaN where any is."""
    return median_dim(flat(x), 0)[0]


def median_dim(x: Value, dim: int, keepdim: bool = False) -> Any:
    if not rank(x):
        return op.Identity(x), number(0, ir.DataType.INT64)
    axis = axis_of(x, dim)
    middle = op.Div(op.Sub(size(x, axis), axes(1)), axes(2))
    values, places = _at(x, middle, axis, keepdim)
    if not is_float(x):
        return values, places
    first = op.ArgMax(op.Cast(op.IsNaN(x), to=ir.DataType.INT32), axis=axis, keepdims=1)
    found = op.GatherElements(x, first, axis=axis)
    if not keepdim:
        first, found = op.Squeeze(first, axes(axis)), op.Squeeze(found, axes(axis))
    broken = op.IsNaN(found)
    return op.Where(broken, found, values), op.Where(broken, first, places)


def nanmedian(x: Value) -> Value:
    return nanmedian_dim(flat(x), 0)[0]


def nanmedian_dim(x: Value, dim: int, keepdim: bool = False) -> Any:
    """The median of those that are numbers; NaN where none is."""
    if not is_float(x):
        return median_dim(x, dim, keepdim)
    if not rank(x):
        return op.Identity(x), number(0, ir.DataType.INT64)
    axis = axis_of(x, dim)
    _, order = ordered(x, axis, descending=False)
    numbers = op.Cast(op.Not(op.IsNaN(x)), to=ir.DataType.INT64)
    count = op.ReduceSum(numbers, axes(axis), keepdims=1)
    middle = op.Div(op.Max(op.Sub(count, axes(1)), axes(0)), axes(2))
    places = op.GatherElements(order, middle, axis=axis)
    values = op.GatherElements(x, places, axis=axis)
    if keepdim:
        return values, places
    return op.Squeeze(values, axes(axis)), op.Squeeze(places, axes(axis))


def mode(x: Value, dim: int = -1, keepdim: bool = False) -> Any:
    """The most frequent value, the least of several, and the last place where it stands."""
    if not rank(x):
        return op.Identity(x), number(0, ir.DataType.INT64)
    axis = axis_of(x, dim)
    values, order = ordered(x, axis, descending=False)
    # (…, n, 1) and (…, 1, n), wherever the axis stands: each is held against each.
    one, other = op.Unsqueeze(values, axes(axis + 1)), op.Unsqueeze(values, axes(axis))
    same = op.Equal(one, other)
    if is_float(x):  # NaN is equal to itself here, being in one run when sorted.
        same = op.Or(same, op.And(op.IsNaN(one), op.IsNaN(other)))
    counts = op.ReduceSum(op.Cast(same, to=ir.DataType.INT64), axes(axis + 1), keepdims=0)
    first = op.ArgMax(counts, axis=axis, keepdims=1)
    often = op.GatherElements(counts, first, axis=axis)
    last = op.Sub(op.Add(first, often), axes(1))
    places = op.GatherElements(order, last, axis=axis)
    found = op.GatherElements(x, places, axis=axis)
    if keepdim:
        return found, places
    return op.Squeeze(found, axes(axis)), op.Squeeze(places, axes(axis))


def sort_stable(
    x: Value, *, stable: bool | None = None, dim: int = -1, descending: bool = False
) -> Any:
    if not rank(x):
        return op.Identity(x), number(0, ir.DataType.INT64)
    return ordered(x, axis_of(x, dim), descending=descending)


def ordered(x: Value, axis: int, *, descending: bool) -> tuple[Value, Value]:
    """All elements in their order, equal ones as they stood, and their places."""
    _, places = op.TopK(
        _keys(x), size(x, axis), axis=axis, largest=1 if descending else 0, sorted=1
    )
    return op.GatherElements(x, places, axis=axis), places


def _at(x: Value, place: Value, axis: int, keepdim: bool) -> tuple[Value, Value]:
    """The element at a place, of shape (1,), of the ascending order, and where it stands in x."""
    _, places = op.TopK(_keys(x), op.Add(place, axes(1)), axis=axis, largest=0, sorted=1)
    chosen = op.Gather(places, place, axis=axis)
    values = op.GatherElements(x, chosen, axis=axis)
    everything = axes(0)
    if keepdim:
        return values, chosen
    return picked(values, everything, axis, keepdim=False), op.Squeeze(chosen, axes(axis))


def _keys(x: Value) -> Value:
    """Numbers that TopK takes, in the order of the elements."""
    keys = comparable(x)
    if not is_float(x):
        return keys
    return op.Where(op.IsNaN(keys), number(float("inf"), keys.dtype), keys)
