"""Computes on 8-bit tensors element by element: back to numbers, the operation, rounded again."""

from __future__ import annotations

import numpy as np

from toolkit.oracle.operators.quantized.rounding import (
    MicrosoftRounding,
    Steps,
    numbers,
    single,
    wide,
    zero_of,
)
from toolkit.tensors import Array


class QLinearAdd(MicrosoftRounding):
    """A + B."""

    def steps(
        self,
        a: Array,
        a_scale: Array,
        a_zero: Array | None,
        b: Array,
        b_scale: Array,
        b_zero: Array | None,
        y_scale: Array,
        y_zero: Array | None = None,
    ) -> Steps:
        total = numbers(a, wide(a_scale), a_zero) + numbers(b, wide(b_scale), b_zero)
        return total / single(wide(y_scale)), zero_of(y_zero, a)


class QLinearMul(MicrosoftRounding):
    """A · B."""

    def steps(
        self,
        a: Array,
        a_scale: Array,
        a_zero: Array | None,
        b: Array,
        b_scale: Array,
        b_zero: Array | None,
        y_scale: Array,
        y_zero: Array | None = None,
    ) -> Steps:
        result = numbers(a, wide(a_scale), a_zero) * numbers(b, wide(b_scale), b_zero)
        return result / single(wide(y_scale)), zero_of(y_zero, a)


class QLinearSigmoid(MicrosoftRounding):
    """1 / (1 + e^-x)."""

    def steps(
        self,
        x: Array,
        x_scale: Array,
        x_zero: Array | None,
        y_scale: Array,
        y_zero: Array | None = None,
    ) -> Steps:
        result = 0.5 * (1 + np.tanh(0.5 * numbers(x, wide(x_scale), x_zero)))
        return result / single(wide(y_scale)), zero_of(y_zero, x)


class QLinearLeakyRelu(MicrosoftRounding):
    """x where it is positive, else alpha · x."""

    def steps(
        self,
        x: Array,
        x_scale: Array,
        x_zero: Array | None,
        y_scale: Array,
        y_zero: Array | None = None,
        *,
        alpha: float = 0.01,
    ) -> Steps:
        values = numbers(x, wide(x_scale), x_zero)
        result = np.where(values >= 0, values, alpha * values)
        return result / single(wide(y_scale)), zero_of(y_zero, x)


class QLinearSoftmax(MicrosoftRounding):
    """The softmax along an axis; where `opset` is below 13, over all dimensions from the axis on.

    ONNX Runtime's kernel multiplies by the whole part of 1 / y_scale, which differs unless that is
    a whole number (its quantizer writes 1/256), and lets the int8 of a probability of 1 wrap to
    -128; here both are as documented.
    """

    def steps(
        self,
        x: Array,
        x_scale: Array,
        x_zero: Array | None,
        y_scale: Array,
        y_zero: Array | None = None,
        *,
        opset: int,
        axis: int = -1,
    ) -> Steps:
        axis %= x.ndim
        over = (axis,) if opset >= 13 else tuple(range(axis, x.ndim))
        # The zero point moves all alike: no softmax sees it.
        values = numbers(x, wide(x_scale))
        powers = np.exp(values - values.max(axis=over, keepdims=True))
        result = powers / powers.sum(axis=over, keepdims=True)
        return result / single(wide(y_scale)), zero_of(y_zero, x)


class QLinearWhere(MicrosoftRounding):
    """X where the condition holds, else Y."""

    def steps(
        self,
        condition: Array,
        x: Array,
        x_scale: Array,
        x_zero: Array,
        y: Array,
        y_scale: Array,
        y_zero: Array,
        z_scale: Array,
        z_zero: Array,
    ) -> Steps:
        picked = np.where(
            condition, numbers(x, wide(x_scale), x_zero), numbers(y, wide(y_scale), y_zero)
        )
        return picked / single(wide(z_scale)), z_zero


class QLinearConcat(MicrosoftRounding):
    """Joins tensors, each given as its integers, scale and zero point, along an axis."""

    def steps(self, y_scale: Array, y_zero: Array, *parts: Array, axis: int) -> Steps:
        triples = zip(parts[::3], parts[1::3], parts[2::3], strict=True)
        joined = np.concatenate([numbers(q, wide(scale), zero) for q, scale, zero in triples], axis)
        return joined / single(wide(y_scale)), y_zero
