"""Operators on elements, with zeros, signs and NaN as PyTorch has them."""

from __future__ import annotations

import onnx_ir as ir

from toolkit.exporter.translations.nodes import (
    Value,
    Values,
    axes,
    is_float,
    loop,
    number,
    op,
    result_type,
)

TURNS = 92
"""Euclid's algorithm on numbers below 2⁶³: Fibonacci's are the slowest."""


def hypot(x: Value, y: Value) -> Value:
    """√(x² + y²), of numbers whose squares no float holds as well; infinite where one is."""
    one, other = op.Abs(x), op.Abs(y)
    large, small = op.Max(one, other), op.Min(one, other)
    zero, unit = number(0, x.dtype), number(1, x.dtype)
    ratio = op.Div(small, op.Where(op.Equal(large, zero), unit, large))
    length = op.Mul(large, op.Sqrt(op.Add(unit, op.Mul(ratio, ratio))))
    is_endless = op.Or(_is_infinite(one, x.dtype), _is_infinite(other, x.dtype))
    return op.Where(is_endless, number(float("inf"), x.dtype), length)


def copysign(x: Value, y: Value) -> Value:
    """The size of x with the sign of y, which a zero has too."""
    dtype = result_type(x)
    size = op.Abs(op.Cast(x, to=dtype))
    zero = number(0, y.dtype)
    is_negative = op.Less(y, zero)
    if is_float(y):
        is_negative = op.Or(is_negative, op.Less(op.Reciprocal(y), zero))
    return op.Where(is_negative, op.Neg(size), size)


def neg_view(x: Value) -> Value:
    """The imaginary part of a conjugate, which PyTorch keeps as a view of the number's own."""
    return op.Neg(x)


def fmin(x: Value, y: Value) -> Value:
    """The smaller one; the other one where one is NaN."""
    if not is_float(x):
        return op.Min(x, y)
    return op.Where(op.IsNaN(x), y, op.Where(op.IsNaN(y), x, op.Min(x, y)))


def fmax(x: Value, y: Value) -> Value:
    if not is_float(x):
        return op.Max(x, y)
    return op.Where(op.IsNaN(x), y, op.Where(op.IsNaN(y), x, op.Max(x, y)))


def gcd(x: Value, y: Value) -> Value:
    """The greatest common divisor, by Euclid, of all elements at once."""
    kind = ir.DataType.INT64
    one, other = (op.Abs(op.Cast(each, to=kind)) for each in (x, y))
    one, other = op.Expand(one, op.Shape(other)), op.Expand(other, op.Shape(one))

    def turn(_: Value, states: Values) -> Values:
        larger, smaller = states
        is_done = op.Equal(smaller, number(0, kind))
        rest = op.Mod(larger, op.Where(is_done, number(1, kind), smaller))
        following = op.Where(is_done, larger, smaller)
        return [following, op.Where(is_done, number(0, kind), rest)]

    divisor, _ = loop(turn, axes(TURNS), [one, other])
    return op.Cast(divisor, to=x.dtype)


def _is_infinite(size: Value, dtype: ir.DataType) -> Value:
    return op.Equal(size, number(float("inf"), dtype))
