"""Modified Bessel functions of the first kind: a power series near zero, Hankel's beyond.

All terms of the power series are positive, so that nothing is lost in any type.
"""

from __future__ import annotations

import math
from fractions import Fraction

import onnx_ir as ir

from toolkit.exporter.translations.nodes import Value, computed, number, op, polynomial

BORDER = 18
"""Hankel's series has an error of exp(-2x): 2e-16 from here on."""
NEAR_TERMS = 36
"""The power series at the border: its next term is 1e-17 of the sum."""
FAR_TERMS = 28
"""Hankel's series at the border: its next term is below 1e-16."""


def i0(x: Value) -> Value:
    return _bessel(x, 0, scaled=False)


def i0e(x: Value) -> Value:
    return _bessel(x, 0, scaled=True)


def i1(x: Value) -> Value:
    return _bessel(x, 1, scaled=False)


def i1e(x: Value) -> Value:
    return _bessel(x, 1, scaled=True)


def _bessel(x: Value, order: int, *, scaled: bool) -> Value:
    """I of an order, times exp(-|x|) where `scaled`."""
    return computed(x, lambda each, dtype: _series(each, dtype, order, scaled))


def _series(x: Value, dtype: ir.DataType, order: int, scaled: bool) -> Value:
    absolute, border = op.Abs(x), number(BORDER, dtype)
    is_near = op.LessOrEqual(absolute, border)
    # Each series sees the numbers of its own side only: the other's may overflow.
    small = op.Div(op.Where(is_near, absolute, border), border)
    near = polynomial(op.Mul(small, small), _near(order), dtype)
    large = op.Where(is_near, border, absolute)
    far = polynomial(op.Div(border, large), _far(order), dtype)
    far = op.Div(far, op.Sqrt(op.Mul(number(2 * math.pi, dtype), large)))
    if order:
        near = op.Mul(near, small)
    if scaled:
        near = op.Mul(near, op.Exp(op.Neg(absolute)))
    else:
        far = op.Mul(far, op.Exp(large))
    value = op.Where(is_near, near, far)
    return op.Mul(value, op.Sign(x)) if order else value


def _near(order: int) -> list[float]:
    """Coefficients in (x/BORDER)² of the power series, over x/BORDER for the first order."""
    half = Fraction(BORDER, 2)
    return [
        float(half ** (2 * k + order) / (math.factorial(k) * math.factorial(k + order)))
        for k in range(NEAR_TERMS)
    ]


def _far(order: int) -> list[float]:
    """Coefficients in BORDER/x of Hankel's series."""
    term, terms = Fraction(1), []
    for k in range(FAR_TERMS):
        terms.append(float(term))
        term *= Fraction((2 * k + 1) ** 2 - 4 * order**2, 8 * (k + 1) * BORDER)
    return terms
