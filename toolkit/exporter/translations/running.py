"""Operators that run along an axis, each element from the one before: by Scan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx_ir as ir

from toolkit.exporter.translations.nodes import (
    Value,
    Values,
    axis_of,
    comparable,
    is_float,
    number,
    op,
    rank,
    scan,
)


def cummax(x: Value, dim: int) -> Any:
    return _extremes(x, dim, op.GreaterOrEqual)


def cummin(x: Value, dim: int) -> Any:
    return _extremes(x, dim, op.LessOrEqual)


def cumprod(x: Value, dim: int, *, dtype: int = -1) -> Value:
    # PyTorch multiplies integers, and bool, as int64.
    kind = ir.DataType(dtype) if dtype != -1 else x.dtype if is_float(x) else ir.DataType.INT64
    x_ = op.Cast(x, to=kind)
    if not rank(x):
        return x_
    axis = axis_of(x, dim)

    def turn(states: Values, slices: Values) -> tuple[Values, Values]:
        product = op.Mul(states[0], slices[0])
        return [product], [product]

    ones = op.Expand(number(1, kind), _shape_of_slice(x, axis))
    return scan(turn, [ones], [x_], axis=axis, outputs=1)[1][0]


def _extremes(x: Value, dim: int, at_least: Callable[[Value, Value], Value]) -> Any:
    """The largest or smallest so far, and where it stands: the last of equal ones.

    NaN is taken as soon as it comes, and stays: nothing compares with it.
    """
    if not rank(x):
        return op.Identity(x), number(0, ir.DataType.INT64)
    axis, dtype = axis_of(x, dim), x.dtype
    x = comparable(x)
    first = op.Gather(x, number(0, ir.DataType.INT64), axis=axis)
    zeros = op.Expand(number(0, ir.DataType.INT64), _shape_of_slice(x, axis))
    count = number(0, ir.DataType.INT64)

    def turn(states: Values, slices: Values) -> tuple[Values, Values]:
        best, where, place = states
        new = slices[0]
        better = at_least(new, best)
        if is_float(x):
            better = op.Or(better, op.IsNaN(new))
        best, where = op.Where(better, new, best), op.Where(better, place, where)
        return [best, where, op.Add(place, number(1, ir.DataType.INT64))], [best, where]

    _, (values, places) = scan(turn, [first, zeros, count], [x], axis=axis, outputs=2)
    return op.Cast(values, to=dtype), places


def _shape_of_slice(x: Value, axis: int) -> Value:
    before, after = op.Shape(x, start=0, end=axis), op.Shape(x, start=axis + 1)
    return op.Concat(before, after, axis=0)
