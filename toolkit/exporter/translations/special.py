"""Special functions: inverses of the normal distribution, scaled errors, and Bessel functions.

Each is a quotient or series without cancellation, in the input's own type, with coefficients that
are good to float64.
"""

from __future__ import annotations

import math

import onnx_ir as ir

from toolkit.exporter.translations.nodes import Value, computed, lifting, number, op, polynomial

# M. J. Wichura, algorithm AS 241 (1988): the normal quantile to 1e-16, in three ranges.
MIDDLE = (
    (
        3.3871328727963666080e0,
        1.3314166789178437745e2,
        1.9715909503065514427e3,
        1.3731693765509461125e4,
        4.5921953931549871457e4,
        6.7265770927008700853e4,
        3.3430575583588128105e4,
        2.5090809287301226727e3,
    ),
    (
        1.0,
        4.2313330701600911252e1,
        6.8718700749205790830e2,
        5.3941960214247511077e3,
        2.1213794301586595867e4,
        3.9307895800092710610e4,
        2.8729085735721942674e4,
        5.2264952788528545610e3,
    ),
)
NEAR = (
    (
        1.42343711074968357734e0,
        4.63033784615654529590e0,
        5.76949722146069140550e0,
        3.64784832476320460504e0,
        1.27045825245236838258e0,
        2.41780725177450611770e-1,
        2.27238449892691845833e-2,
        7.74545014278341407640e-4,
    ),
    (
        1.0,
        2.05319162663775882187e0,
        1.67638483018380384940e0,
        6.89767334985100004550e-1,
        1.48103976427480074590e-1,
        1.51986665636164571966e-2,
        5.47593808499534494600e-4,
        1.05075007164441684324e-9,
    ),
)
FAR = (
    (
        6.65790464350110377720e0,
        5.46378491116411436990e0,
        1.78482653991729133580e0,
        2.96560571828504891230e-1,
        2.65321895265761230930e-2,
        1.24266094738807843860e-3,
        2.71155556874348757815e-5,
        2.01033439929228813265e-7,
    ),
    (
        1.0,
        5.99832206555887937690e-1,
        1.36929880922735805310e-1,
        1.48753612908506148525e-2,
        7.86869131145613259100e-4,
        1.84631831751005468180e-5,
        1.42151175831644588870e-7,
        2.04426310338993978564e-15,
    ),
)
# W. H. Press et al., Numerical Recipes (2007), 6.2.2: log(erfcx(x)/t) in t = 2/(2 + x), by
# Chebyshev.
SCALED_ERROR = (
    -1.3026537197817094,
    6.4196979235649026e-1,
    1.9476473204185836e-2,
    -9.561514786808631e-3,
    -9.46595344482036e-4,
    3.66839497852761e-4,
    4.2523324806907e-5,
    -2.0278578112534e-5,
    -1.624290004647e-6,
    1.303655835580e-6,
    1.5626441722e-8,
    -8.5238095915e-8,
    6.529054439e-9,
    5.059343495e-9,
    -9.91364156e-10,
    -2.27365122e-10,
    9.6467911e-11,
    2.394038e-12,
    -6.886027e-12,
    8.94487e-13,
    3.13092e-13,
    -1.12708e-13,
    3.81e-16,
    7.106e-15,
    -1.523e-15,
    -9.4e-17,
    1.21e-16,
    -2.8e-17,
)


def erfinv(x: Value) -> Value:
    return computed(x, _erfinv)


def ndtri(p: Value) -> Value:
    return computed(p, _ndtri)


def erfcx(x: Value) -> Value:
    """exp(x²) erfc(x)."""
    return computed(x, _erfcx)


def _erfinv(x: Value, dtype: ir.DataType) -> Value:
    half = number(0.5, dtype)
    tail = op.Mul(half, op.Sub(number(1, dtype), op.Abs(x)))
    return op.Mul(_quantile(op.Mul(half, x), tail, dtype), number(math.sqrt(0.5), dtype))


def _ndtri(p: Value, dtype: ir.DataType) -> Value:
    tail = op.Min(p, op.Sub(number(1, dtype), p))
    return _quantile(op.Sub(p, number(0.5, dtype)), tail, dtype)


def _erfcx(x: Value, dtype: ir.DataType) -> Value:
    two, absolute = number(2, dtype), op.Abs(x)
    t = op.Div(two, op.Add(two, absolute))
    right = op.Mul(t, op.Exp(_chebyshev(op.Sub(op.Mul(number(4, dtype), t), two), dtype)))
    left = op.Sub(op.Mul(two, op.Exp(op.Mul(x, x))), right)
    return op.Where(op.Less(x, number(0, dtype)), left, right)


def _quantile(q: Value, tail: Value, dtype: ir.DataType) -> Value:
    """The normal quantile at 1/2 + q, with the probability beyond it on its side."""
    absolute = op.Abs(q)
    inner = op.Sub(number(0.180625, dtype), op.Mul(q, q))
    middle = op.Mul(q, _ratio(inner, MIDDLE, dtype))
    r = op.Sqrt(op.Neg(op.Log(tail)))
    near = _ratio(op.Sub(r, number(1.6, dtype)), NEAR, dtype)
    far = _ratio(op.Sub(r, number(5, dtype)), FAR, dtype)
    outer = op.Where(op.LessOrEqual(r, number(5, dtype)), near, far)
    outer = op.Where(op.Equal(tail, number(0, dtype)), number(math.inf, dtype), outer)
    outer = op.Mul(op.Sign(q), outer)
    return op.Where(op.LessOrEqual(absolute, number(0.425, dtype)), middle, outer)


def _ratio(
    x: Value, quotient: tuple[tuple[float, ...], tuple[float, ...]], dtype: ir.DataType
) -> Value:
    above, below = (polynomial(x, coefficients, dtype) for coefficients in quotient)
    return op.Div(above, below)


def _chebyshev(twice: Value, dtype: ir.DataType) -> Value:
    """The sum by Clenshaw, of `twice` the argument, at a multiple that keeps small terms."""
    factor = lifting(SCALED_ERROR)
    first, *others = (number(factor * each, dtype) for each in SCALED_ERROR)
    before, last = number(0, dtype), others.pop()
    for coefficient in reversed(others):
        before, last = last, op.Add(op.Sub(op.Mul(twice, last), before), coefficient)
    half = op.Mul(number(0.5, dtype), op.Add(op.Mul(twice, last), first))
    return op.Div(op.Sub(half, before), number(factor, dtype))
