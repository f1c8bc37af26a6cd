"""Operators that gather several sources into one place: by ScatterElements, which reduces."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx_ir as ir

from toolkit.exporter.translations.nodes import (
    FLOATS,
    Value,
    axes,
    axis_of,
    flat,
    is_float,
    known,
    number,
    op,
    rank,
)

REDUCTIONS = {"sum": "add", "prod": "mul", "amax": "max", "amin": "min", "mean": "add"}
"""PyTorch's names → ONNX's; a mean is the sum over the count."""


def scatter_reduce(
    x: Value, dim: int, index: Value, source: Value, reduce: str, *, include_self: bool = True
) -> Value:
    if not rank(x):
        row, places, sources = map(flat, (x, index, source))
        reduced = scatter_reduce(row, 0, places, sources, reduce, include_self=include_self)
        return op.Squeeze(reduced, axes(0))
    axis = axis_of(x, dim)
    # PyTorch reads as much of the source as there are indices.
    every = axes(*range(rank(x)))
    updates = op.Slice(source, op.Mul(every, axes(0)), op.Shape(index), every)
    start = x if include_self else _emptied(x, index, updates, reduce, axis)
    reduced = op.ScatterElements(start, index, updates, axis=axis, reduction=REDUCTIONS[reduce])
    return _averaged(x, index, reduced, axis, include_self) if reduce == "mean" else reduced


def index_reduce(
    x: Value, dim: int, index: Value, source: Value, reduce: str, *, include_self: bool = True
) -> Value:
    """As scatter_reduce, of whole slices."""
    axis = axis_of(x, dim)
    others = [place for place in range(rank(x)) if place != axis]
    column = (
        op.Unsqueeze(op.Cast(flat(index), to=ir.DataType.INT64), axes(*others)) if others else index
    )
    places = known(op.Expand(column, op.Shape(source)), ir.DataType.INT64, rank(x))
    return scatter_reduce(x, axis, places, source, reduce, include_self=include_self)


def put(x: Value, index: Value, source: Value, accumulate: bool = False) -> Value:
    """Writes into x as into one row of all its elements."""
    how = "add" if accumulate else "none"
    written = op.ScatterElements(flat(x), flat(index), flat(source), axis=0, reduction=how)
    return op.Reshape(written, op.Shape(x), allowzero=1)


def histc(x: Value, bins: int = 100, min: Any = 0, max: Any = 0) -> Value:
    """Counts elements in bins of one width between two bounds, or between the least and the largest
    element where the bounds are equal; those beyond are counted nowhere."""
    dtype, elements = x.dtype, flat(x)
    low, high = number(float(min), dtype), number(float(max), dtype)
    if min == max:
        low, high = op.ReduceMin(elements, keepdims=0), op.ReduceMax(elements, keepdims=0)
        same, one = op.Equal(low, high), number(1, dtype)
        low, high = op.Where(same, op.Sub(low, one), low), op.Where(same, op.Add(high, one), high)
    inside = op.And(op.GreaterOrEqual(elements, low), op.LessOrEqual(elements, high))
    kept = op.Compress(elements, inside)
    scaled = op.Mul(op.Div(op.Sub(kept, low), op.Sub(high, low)), number(bins, dtype))
    place = op.Min(op.Cast(scaled, to=ir.DataType.INT64), number(bins - 1, ir.DataType.INT64))
    ones = op.Expand(number(1, dtype), op.Shape(place))
    zeros = op.Expand(number(0, dtype), axes(bins))
    return op.ScatterElements(zeros, place, ones, axis=0, reduction="add")


def _emptied(x: Value, index: Value, updates: Value, reduce: str, axis: int) -> Value:
    """Puts the reduction's neutral number at each place that is written to."""
    neutral = op.Expand(number(_neutral(reduce, x.dtype), x.dtype), op.Shape(updates))
    return op.ScatterElements(x, index, neutral, axis=axis)


def _neutral(reduce: str, dtype: ir.DataType) -> float:
    if reduce not in ("amax", "amin"):
        return 1 if reduce == "prod" else 0
    if dtype in FLOATS:
        return -math.inf if reduce == "amax" else math.inf
    limits = np.iinfo(dtype.numpy())
    return int(limits.min if reduce == "amax" else limits.max)


def _averaged(x: Value, index: Value, sums: Value, axis: int, include_self: bool) -> Value:
    """The sums over their counts; where nothing was added, x itself is the sum of one."""
    dtype = x.dtype
    one = number(1, dtype)
    start = op.Expand(number(1 if include_self else 0, dtype), op.Shape(x))
    ones = op.Expand(one, op.Shape(index))
    counts = op.ScatterElements(start, index, ones, axis=axis, reduction="add")
    counts = op.Max(counts, one)
    if is_float(x):
        return op.Div(sums, counts)
    # PyTorch rounds down, ONNX towards zero.
    rest = op.Mod(sums, counts)
    return op.Div(op.Sub(sums, rest), counts)
