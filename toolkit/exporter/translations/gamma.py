"""The gamma function's logarithm and its derivative, in float64 whatever the type of the input.

Both are differences of large terms near their zeros: in float32 nothing would be left there.
They go up by the recurrence until Stirling's series holds, and below 1/2 by reflection.
"""

from __future__ import annotations

import math

import onnx_ir as ir

from toolkit.exporter.translations.nodes import Value, number, op, polynomial, result_type

STEPS = 10
"""Steps of the recurrence: from 10 on each series below has an error of less than 1e-16."""
LOGARITHM = [
    1 / 12,
    -1 / 360,
    1 / 1260,
    -1 / 1680,
    1 / 1188,
    -691 / 360360,
    1 / 156,
    -3617 / 122400,
]
"""B(2k) / 2k(2k - 1), Bernoulli's numbers: Stirling's series in 1/y² for y·(log Γ(y) - …)."""
DERIVATIVE = [1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12, -3617 / 8160]
"""B(2k) / 2k: the series in 1/y² for y²·(log y - 1/2y - ψ(y))."""


def lgamma(x: Value) -> Value:
    wide = op.Cast(x, to=ir.DataType.DOUBLE)
    is_low = op.Less(wide, _double(0.5))
    up = op.Where(is_low, op.Sub(_double(1), wide), wide)
    is_small = op.Less(up, _double(STEPS))
    product = up
    for step in range(1, STEPS):
        product = op.Mul(product, op.Add(up, _double(step)))
    y = op.Where(is_small, op.Add(up, _double(STEPS)), up)
    inverse = op.Reciprocal(y)
    series = op.Mul(polynomial(op.Mul(inverse, inverse), LOGARITHM, ir.DataType.DOUBLE), inverse)
    logarithm = op.Sub(op.Mul(op.Sub(y, _double(0.5)), op.Log(y)), y)
    logarithm = op.Add(op.Add(logarithm, _double(0.5 * math.log(2 * math.pi))), series)
    logarithm = op.Where(is_small, op.Sub(logarithm, op.Log(product)), logarithm)
    sine = op.Abs(op.Sin(op.Mul(_double(math.pi), _from_nearest(wide))))
    reflected = op.Sub(op.Log(op.Div(_double(math.pi), sine)), logarithm)
    result = op.Where(is_low, reflected, logarithm)
    return op.Cast(op.Where(op.IsInf(wide), _double(math.inf), result), to=result_type(x))


def digamma(x: Value) -> Value:
    """NaN at negative integers, as PyTorch has it; an infinity of the other sign at zero."""
    wide = op.Cast(x, to=ir.DataType.DOUBLE)
    is_low = op.Less(wide, _double(0.5))
    up = op.Where(is_low, op.Sub(_double(1), wide), wide)
    sums = op.Reciprocal(up)
    for step in range(1, STEPS):
        sums = op.Add(sums, op.Reciprocal(op.Add(up, _double(step))))
    y = op.Add(up, _double(STEPS))
    inverse = op.Reciprocal(y)
    square = op.Mul(inverse, inverse)
    series = op.Mul(polynomial(square, DERIVATIVE, ir.DataType.DOUBLE), square)
    value = op.Sub(op.Sub(op.Log(y), op.Mul(_double(0.5), inverse)), op.Add(series, sums))
    angle = op.Mul(_double(math.pi), _from_nearest(wide))
    cotangent = op.Div(op.Mul(_double(math.pi), op.Cos(angle)), op.Sin(angle))
    result = op.Where(is_low, op.Sub(value, cotangent), value)
    is_pole = op.And(op.Less(wide, _double(0)), op.Equal(wide, op.Floor(wide)))
    result = op.Where(is_pole, _double(math.nan), result)
    is_zero = op.Equal(wide, _double(0))
    result = op.Where(is_zero, op.Neg(op.Reciprocal(wide)), result)
    return op.Cast(result, to=result_type(x))


def _double(value: float) -> Value:
    return number(float(value), ir.DataType.DOUBLE)


def _from_nearest(x: Value) -> Value:
    """The distance from the nearest integer, which is a period of tan(πx): exact at integers."""
    return op.Sub(x, op.Floor(op.Add(x, _double(0.5))))
