"""Quantises and dequantises: one scale for a tensor, for each row of an axis, or for each block."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx.reference.op_run import OpRun

from toolkit.oracle.operators.quantized.rounding import (
    Outputs,
    Rounding,
    Steps,
    dynamic,
    rounded,
    shifted,
)
from toolkit.tensors import Array


class QuantizeLinear(Rounding):
    """round(x / scale) + zero point, in integers of 2 to 16 bits; or the nearest float of 8 or 4
    bits. `precision` says in which type kernels divide; here that of x is kept."""

    def _run(
        self,
        x: Array,
        scale: Array,
        zero: Array | None = None,
        axis: int = 1,
        saturate: int = 1,
        block_size: int = 0,
        output_dtype: int = 0,
        precision: int = 0,
    ) -> Outputs:
        kind = _kind(zero, output_dtype)
        scales = spread(scale, x.shape, axis, block_size)
        if not _integral(kind):
            # Those of 4 bits have no Inf: their cast is always to the largest number.
            to = onnx.numpy_helper.saturate_cast if saturate else np.ndarray.astype
            return (to(x / scales, kind),)
        numbers, zero = self.steps(x, scale, zero, axis, saturate, block_size, output_dtype)
        return (rounded(numbers, zero),)

    def steps(
        self,
        x: Array,
        scale: Array,
        zero: Array | None = None,
        axis: int = 1,
        saturate: int = 1,
        block_size: int = 0,
        output_dtype: int = 0,
        precision: int = 0,
    ) -> Steps:
        zeros = np.zeros(scale.shape, _kind(zero, output_dtype)) if zero is None else zero
        numbers = x / spread(scale, x.shape, axis, block_size)
        return numbers, spread(zeros, x.shape, axis, block_size)


class DequantizeLinear(OpRun):
    """(q - zero point) · scale, exactly: the evaluator reads a bias of 32 bits as float32."""

    def _run(
        self,
        q: Array,
        scale: Array,
        zero: Array | None = None,
        axis: int = 1,
        block_size: int = 0,
        output_dtype: int = 0,
    ) -> Outputs:
        zeros = None if zero is None else spread(zero, q.shape, axis, block_size)
        numbers = shifted(q, zeros) * spread(scale, q.shape, axis, block_size).astype(np.float64)
        kind = onnx.helper.tensor_dtype_to_np_dtype(output_dtype) if output_dtype else scale.dtype
        return (numbers.astype(kind),)


class DynamicQuantizeLinear(OpRun):
    """Quantises to uint8 by the range of the floats themselves; the evaluator has its scale in
    float32 whatever the input is."""

    def _run(self, x: Array) -> Outputs:
        return dynamic(x)


def spread(parameter: Array, shape: tuple[int, ...], axis: int, block_size: int = 0) -> Array:
    """Brings scales or zero points to a form that fits a tensor of `shape`.

    One fits everything; a row of them lies along `axis`; with `block_size` each holds for so many
    elements along `axis`, the last perhaps for fewer.
    """
    if block_size:
        axis %= len(shape)
        cut = tuple(slice(size) if i == axis else slice(None) for i, size in enumerate(shape))
        return np.asarray(np.repeat(parameter, block_size, axis)[cut])
    if parameter.size == 1:
        return parameter.reshape(())
    if parameter.ndim != 1:
        raise NotImplementedError(f"scales of {parameter.ndim} dimensions without block_size")
    return parameter.reshape([-1 if i == axis % len(shape) else 1 for i in range(len(shape))])


def _kind(zero: Array | None, output_dtype: int) -> np.dtype[Any]:
    if zero is not None:
        return zero.dtype
    return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(output_dtype or onnx.TensorProto.UINT8))


def _integral(kind: np.dtype[Any]) -> bool:
    # The floats of 8 bits are of ml_dtypes; their kind is that of its integers, V or f by version.
    return "int" in kind.name
