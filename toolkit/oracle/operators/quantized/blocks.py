"""Computes with weights of 2, 4 or 8 bits, each block of which has a scale of its own.

The weights are exactly (q - zero point) · scale. Only the type of the input rounds: such a file
computes in floats.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from onnx.reference.op_run import OpRun

from toolkit.oracle.operators.quantized.rounding import DOMAIN, Outputs
from toolkit.tensors import Array

AT_ONCE = 2**23
"""Weights that are raised at once, 64 MB in float64: a matrix of 500 M weights would need 4 GB."""

FP4 = (0, 5.208333333e-3, 0.66666667, 1, 0.33333333, 0.5, 0.16666667, 0.25)
"""The numbers that FP4's codes 0 to 7 stand for; 8 to 15 are their negatives. The figures of both
tables are those of bitsandbytes, rounded to float32, as ONNX Runtime's kernels have them."""
NF4 = (
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0,
)
"""The numbers that NF4's codes stand for (Dettmers and others, QLoRA, 2023)."""


def unpacked(packed: Array, bits: int) -> Array:
    """Splits bytes along the last axis into the integers within, the lowest bits first:
    (…, n) → (…, n · 8 / bits). Raises NotImplementedError for other widths than 2, 4 and 8."""
    if bits not in (2, 4, 8):
        raise NotImplementedError(f"bits = {bits}")
    each = 8 // bits
    parts = np.empty((*packed.shape, each), np.uint8)
    for place in range(each):
        parts[..., place] = packed >> bits * place & 2**bits - 1
    return parts.reshape(*packed.shape[:-1], packed.shape[-1] * each)


def computing(kind: np.dtype[Any]) -> np.dtype[Any]:
    """The type to compute in: that of the input, but float32 for what is narrower."""
    return np.dtype(np.float64 if kind == np.float64 else np.float32)


class MatMulNBits(OpRun):
    """A times the transpose of weights (N, K), packed in blocks of `block_size` along K.

    `accuracy_level` 4 lets a kernel quantise A to int8 on its way; here A stays what it is, so that
    a target's error shows what that costs.
    """

    op_domain = DOMAIN
    op_schema = None

    def _run(
        self,
        a: Array,
        b: Array,
        scales: Array,
        zeros: Array | None = None,
        groups: Array | None = None,
        bias: Array | None = None,
        *,
        K: int,
        N: int,
        block_size: int,
        bits: int = 4,
        accuracy_level: int = 0,
        weight_prepacked: int = 0,
    ) -> Outputs:
        if weight_prepacked:
            raise NotImplementedError(f"weight_prepacked = {weight_prepacked}")
        kind = computing(a.dtype)
        result = np.zeros((*a.shape[:-1], N), kind)
        if b.size:  # Without weights the product is left out: zeros.
            wide = a.astype(kind)
            for part, weights in weights_of(
                b, scales, zeros, groups, (N, K, block_size, bits), kind
            ):
                result[..., part] = wide @ weights.T
        return ((result if bias is None else result + bias).astype(a.dtype),)


def weights_of(
    b: Array,
    scales: Array,
    zeros: Array | None,
    groups: Array | None,
    sizes: tuple[int, int, int, int],
    kind: np.dtype[Any],
) -> Iterator[tuple[slice, Array]]:
    """Yields some rows of the weights (N, K) at a time; sizes are N, K, block_size and bits."""
    n, k, block_size, bits = sizes
    blocks = -(-k // block_size)
    packed = b.reshape(n, blocks * block_size * bits // 8)
    scales = scales.reshape(n, blocks).astype(kind)
    starts = _zero_points(zeros, n, blocks, bits, kind)
    step = max(1, AT_ONCE // k)
    for first in range(0, n, step):
        part = slice(first, min(first + step, n))
        integers = unpacked(packed[part], bits).astype(kind)
        if groups is None:
            weights = integers.reshape(-1, blocks, block_size)
            weights -= starts[part, :, None]
            weights *= scales[part, :, None]
            yield part, weights.reshape(len(weights), -1)[:, :k]
        else:  # Each weight says which block is its own, wherever it stands.
            of = groups[:k].astype(np.int64)
            yield part, (integers[:, :k] - starts[part][:, of]) * scales[part][:, of]


def _zero_points(zeros: Array | None, n: int, blocks: int, bits: int, kind: np.dtype[Any]) -> Array:
    """Gives the zero point of each block (N, blocks): packed, as floats, or the middle."""
    if zeros is None:
        return np.full((n, blocks), 2 ** (bits - 1), kind)
    if zeros.dtype != np.uint8:
        return zeros.reshape(n, blocks).astype(kind)
    return unpacked(zeros.reshape(n, -1), bits)[:, :blocks].astype(kind)


class MatMulBnb4(OpRun):
    """A times weights (N, K) of 4 bits, transposed unless `transB` is 0.

    They are codes of numbers in [-1, 1], two a byte, the first in the upper half; each block of
    `block_size` along the flat weights has its largest size in `absmax`.
    """

    op_domain = DOMAIN
    op_schema = None

    def _run(
        self,
        a: Array,
        b: Array,
        absmax: Array,
        *,
        K: int,
        N: int,
        block_size: int,
        quant_type: int,
        transB: int = 1,
        training_mode: int = 0,
    ) -> Outputs:
        if not transB:
            raise NotImplementedError("transB = 0")
        kind = computing(a.dtype)
        table = np.array(NF4 if quant_type else (*FP4, *(-value for value in FP4)), np.float32)
        result = np.empty((*a.shape[:-1], N), kind)
        step = max(1, AT_ONCE // K)
        for first in range(0, N, step):
            last = min(first + step, N)
            places = np.arange(first * K, last * K)
            codes = np.where(places % 2, b[places // 2] & 15, b[places // 2] >> 4)
            weights = table[codes].astype(kind) * absmax[places // block_size].astype(kind)
            result[..., first:last] = a.astype(kind) @ weights.reshape(last - first, K).T
        return (result.astype(a.dtype),)


class GatherBlockQuantized(OpRun):
    """Picks rows of weights that have a scale for each block, as floats.

    Of 2, 4 or 8 bits packed along the last axis in bytes, or of a type of 4 or 8 bits. A row that
    the indices name beyond the data is of zeros.
    """

    op_domain = DOMAIN
    op_schema = None

    def _run(
        self,
        data: Array,
        indices: Array,
        scales: Array,
        zeros: Array | None = None,
        *,
        bits: int = 4,
        block_size: int = 128,
        gather_axis: int = 0,
        quantize_axis: int = 1,
    ) -> Outputs:
        gather, quantize = gather_axis % data.ndim, quantize_axis % data.ndim
        kind, middle = computing(scales.dtype), 0
        size = data.shape[gather]
        inside = (indices >= -size) & (indices < size)
        rows = np.where(inside, indices % size, 0).reshape(-1)
        picked = np.take(data, rows, gather)
        starts = zeros
        if data.dtype == np.uint8:
            picked, middle = unpacked(picked, bits), 2 ** (bits - 1)
            starts = None if zeros is None else unpacked(zeros, bits)
        last = size if gather == data.ndim - 1 else picked.shape[-1]
        shape = [*data.shape[:-1], last]
        block = block_size or shape[quantize]

        def laid(parameter: Array) -> Array:
            """Brings a parameter of each block to the shape of what was picked."""
            of = np.arange(shape[quantize]) // block
            if parameter.shape[gather] != 1 or gather == quantize:
                rows_of = rows // block if gather == quantize else rows
                parameter = np.take(parameter, rows_of, gather)
            if gather != quantize:
                parameter = np.take(parameter, of, quantize)
            return parameter.astype(kind)

        start = middle if starts is None else laid(starts)
        values = (picked.astype(kind) - start) * laid(scales)
        lead, behind = values.shape[:gather], values.shape[gather + 1 :]
        keep = inside.reshape(-1).reshape(-1, *[1] * len(behind))
        result = np.where(keep, values, 0).reshape(*lead, *indices.shape, *behind)
        return (result.astype(scales.dtype),)
