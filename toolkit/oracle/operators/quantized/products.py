"""Multiplies matrices of integers. float64 holds such sums exactly up to 2^53, and has BLAS."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx.reference.op_run import OpRun

from toolkit.oracle.operators.quantized.rounding import (
    DOMAIN,
    MicrosoftRounding,
    Outputs,
    Rounding,
    Steps,
    dynamic,
    shifted,
    single,
    wide,
    zero_of,
)
from toolkit.tensors import Array


def product(a: Array, b: Array, a_zero: Array | None = None, b_zero: Array | None = None) -> Array:
    """The product of (a - a_zero) and (b - b_zero) in float64, whose values are whole."""
    left = shifted(a, None if a_zero is None else rows(a_zero))
    return np.asarray(left @ shifted(b, None if b_zero is None else columns(b_zero, b)))


def rows(parameter: Array) -> Array:
    """Brings what holds for each row of a left matrix to a column; one holds for all."""
    if parameter.ndim != 1:
        return parameter
    return parameter.reshape(()) if parameter.size == 1 else parameter[:, None]


def columns(parameter: Array, of: Array) -> Array:
    """Brings what holds for each column of a right matrix to a row, that of a vector to a scalar;
    more dimensions stay: they are (…, 1, N) already."""
    if parameter.ndim != 1:
        return parameter
    return parameter.reshape(()) if parameter.size == 1 or of.ndim == 1 else parameter


def int32(whole: Array) -> Array:
    """Makes int32 of whole numbers; a sum beyond it wraps, as in every kernel."""
    return np.asarray(whole).astype(np.int64).astype(np.int32)


class MatMulInteger(OpRun):
    """The product of 8-bit matrices in int32; the evaluator multiplies int32 without BLAS and takes
    a zero point for each row for one of each column."""

    def _run(
        self, a: Array, b: Array, a_zero: Array | None = None, b_zero: Array | None = None
    ) -> Outputs:
        return (int32(product(a, b, a_zero, b_zero)),)


class MatMulInteger16(OpRun):
    """The product of 16-bit matrices in 32 bits."""

    op_domain = DOMAIN
    op_schema = None

    def _run(self, a: Array, b: Array) -> Outputs:
        if (a.dtype.name, b.dtype.name) != ("int16", "int16"):
            # Documented, but no kernel on the processor takes them.
            raise NotImplementedError(f"{a.dtype.name} times {b.dtype.name}")
        return (int32(product(a, b)),)


class MatMulIntegerToFloat(OpRun):
    """The product of 8-bit matrices as floats: MatMulInteger, the scales, a bias."""

    op_domain = DOMAIN
    op_schema = None

    def _run(
        self,
        a: Array,
        b: Array,
        a_scale: Array,
        b_scale: Array,
        a_zero: Array | None = None,
        b_zero: Array | None = None,
        bias: Array | None = None,
    ) -> Outputs:
        # Documented for each column of A too, but the kernel takes one.
        scale = single(wide(a_scale)) * columns(wide(b_scale), b)
        result = product(a, b, None if a_zero is None else single(a_zero), b_zero) * scale
        return ((result if bias is None else result + bias).astype(a_scale.dtype),)


class DynamicQuantizeMatMul(OpRun):
    """A float matrix, quantised to uint8 by its own range, times an 8-bit one, as floats."""

    op_domain = DOMAIN
    op_schema = None

    def _run(
        self,
        a: Array,
        b: Array,
        b_scale: Array,
        b_zero: Array | None = None,
        bias: Array | None = None,
    ) -> Outputs:
        integers, scale, zero = dynamic(a)
        result = product(integers, b, zero, b_zero) * (wide(scale) * columns(wide(b_scale), b))
        return ((result if bias is None else result + bias).astype(a.dtype),)


class QLinearMatMul(Rounding):
    """The product of 8-bit matrices in 8 bits. A has one scale or one for each row, B one or one
    for each column."""

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
        left, right = rows(wide(a_scale)), columns(wide(b_scale), b)
        result = product(a, b, a_zero, b_zero)
        return result * (left * right / rows(wide(y_scale))), rows(zero_of(y_zero, a))


class QGemm(MicrosoftRounding):
    """alpha · A·B + C of 8-bit matrices, in 8 bits or, where the output has no scale, in floats.

    C is int32 in units of alpha · a_scale · b_scale. A has one scale, B one or one for each column.
    """

    def _run(self, *inputs: Any, **given: Any) -> Outputs:
        numbers, _ = self.steps(*inputs, **given)
        if len(inputs) > 7 and inputs[7] is not None:
            return super()._run(*inputs, **given)
        return (numbers.astype(inputs[1].dtype),)

    def steps(
        self,
        a: Array,
        a_scale: Array,
        a_zero: Array,
        b: Array,
        b_scale: Array,
        b_zero: Array,
        c: Array | None = None,
        y_scale: Array | None = None,
        y_zero: Array | None = None,
        *,
        alpha: float = 1.0,
        transA: int = 0,
        transB: int = 0,
    ) -> Steps:
        left, right = a.T if transA else a, b.T if transB else b
        whole = product(left, right, single(a_zero), b_zero)
        whole = whole if c is None else whole + c
        numbers = whole * (alpha * single(wide(a_scale)) * columns(wide(b_scale), right))
        if y_scale is not None:
            numbers = numbers / single(wide(y_scale))
        return numbers, zero_of(y_zero, a)
