"""Dynamically quantized files, run with 8-bit products of which no processor of ours decides.

Processors with AVX2 but without VNNI multiply unsigned by signed bytes with vpmaddubsw: it adds the
products of neighbouring pairs in 16 bits and saturates. 255·127 + 255·127 = 64,770 does not fit
into 32,767, so the same int8 file is right on one processor and wrong on another. Both are planted
here, in numpy: products summed in 32 bits, and products whose pairs saturate. Weights of seven bits
(`reduce_range`) never saturate: 2·255·64 = 32,640.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
from onnx import ModelProto
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from toolkit.tensors import Array, Feed

Product: TypeAlias = Callable[[Array, Array], Array]
"""uint8 (M, K) times int8 (K, N) → int32 (M, N)."""


def quantized(
    model: ModelProto, folder: Path, *, per_channel: bool, reduce_range: bool = False
) -> ModelProto:
    """The model as ONNX Runtime's dynamic quantization writes it: uint8 inputs, int8 weights."""
    from onnxruntime.quantization import quantize_dynamic

    onnx.save(model, folder / "model.onnx")
    quantize_dynamic(
        folder / "model.onnx",
        folder / "int8.onnx",
        per_channel=per_channel,
        reduce_range=reduce_range,
    )
    return onnx.load(folder / "int8.onnx")


def exact_product(a: Array, b: Array) -> Array:
    """Sums in 32 bits, as VNNI's vpdpbusd does."""
    return a.astype(np.int32) @ b.astype(np.int32)


def saturating_product(a: Array, b: Array) -> Array:
    """Sums pairs along K in 16 bits that saturate, as AVX2's vpmaddubsw does, and these in 32."""
    if a.shape[1] % 2:
        a, b = np.pad(a, [(0, 0), (0, 1)]), np.pad(b, [(0, 1), (0, 0)])
    pairs = [
        a[:, start::2, None].astype(np.int32) * b[None, start::2].astype(np.int32)
        for start in (0, 1)
    ]  # (M, K / 2, N) each
    return np.asarray(np.clip(pairs[0] + pairs[1], -(2**15), 2**15 - 1).sum(axis=1), np.int32)


def integer_runner(
    model: ModelProto, each: Sequence[Feed], product: Product
) -> list[dict[str, Array]]:
    """Runs a quantized file on the ONNX reference evaluator, its integer products by `product`."""
    session = ReferenceEvaluator(model, new_ops=_operators(product))
    names = [o.name for o in model.graph.output]
    results = (session.run(names, dict(feed)) for feed in each)
    return [{n: np.asarray(a) for n, a in zip(names, outputs, strict=True)} for outputs in results]


def _operators(product: Product) -> list[type[OpRun]]:
    """MatMulInteger and ConvInteger; the evaluator goes by the names of the classes."""

    def less_zero_point(a: Array, b: Array, zero: Array | None) -> Array:
        """The product of a - zero and b. The zero point is taken off afterwards, as kernels do."""
        offset = 0 if zero is None else int(zero) * b.astype(np.int32).sum(axis=0)
        return product(a, b) - offset

    class MatMulInteger(OpRun):
        def _run(self, a: Array, b: Array, *zeros: Array | None) -> tuple[Array]:
            zero, weight_zero = (*zeros, None, None)[:2]
            _demand_bytes(a, b, weight_zero)
            rows = less_zero_point(a.reshape(-1, a.shape[-1]), b, zero)  # (M, N)
            return (rows.reshape(*a.shape[:-1], b.shape[1]),)

    class ConvInteger(OpRun):
        def _run(self, x: Array, w: Array, *zeros: Array | None, **given: Any) -> tuple[Array]:
            zero, weight_zero = (*zeros, None, None)[:2]
            _demand_bytes(x, w, weight_zero)
            top, left, bottom, right = given["pads"]
            border = [(0, 0), (0, 0), (top, bottom), (left, right)]
            # Padding is the number 0, which stands at the zero point.
            padded = np.pad(x, border, constant_values=0 if zero is None else int(zero))
            windows = np.lib.stride_tricks.sliding_window_view(padded, w.shape[2:], (2, 3))
            rows = windows.transpose(0, 2, 3, 1, 4, 5)  # (B, H, W, C, kernel…)
            flat = rows.reshape(-1, w[0].size)
            sums = less_zero_point(flat, w.reshape(len(w), -1).T, zero)  # (B·H·W, C_out)
            return (np.moveaxis(sums.reshape(*rows.shape[:3], len(w)), -1, 1),)

    return [MatMulInteger, ConvInteger]


def _demand_bytes(a: Array, b: Array, zero: Array | None) -> None:
    """The pairs above are those of uint8 by int8; a weight's zero point would be a further sum."""
    assert (a.dtype.name, b.dtype.name) == ("uint8", "int8")
    assert zero is None or not np.any(zero)
