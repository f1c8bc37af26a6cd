"""Names the precision classes and rounds float32 arrays to each of them, in numpy."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np

from toolkit.tensors import Array

Precision: TypeAlias = Literal["float32", "tf32", "float16", "bfloat16", "int8"]

ORDER: tuple[Precision, ...] = ("float32", "tf32", "float16", "bfloat16", "int8")
"""Finest first."""

RANK: dict[Precision, int] = {"float32": 0, "tf32": 1, "float16": 1, "bfloat16": 2, "int8": 3}
"""The coarseness of each class. tf32 and float16 hold the same eleven bits of significand: neither
is more precise."""


def rounded(array: Array, bits: int) -> Array:
    """Rounds to so many bits of significand, to nearest, ties to even.

    The exponents stay float32's. A finite value stays finite: what would round past the largest is
    cut instead (attention masks hold -3.4e38).
    """
    values = np.asarray(array, np.float32)
    drop = np.uint32(24 - bits)
    raw = values.view(np.uint32)
    # Half a unit of the last kept bit, less one; the odd ones get it whole. A carry out of the
    # significand goes into the exponent, as it should.
    sums = raw >> drop
    sums &= np.uint32(1)
    # In place: the weights of a model are rounded so, 100 million of them or more.
    sums += np.uint32((1 << (24 - bits - 1)) - 1)
    sums += raw
    sums &= _mask(bits)
    kept: Array = sums.view(np.float32)
    if np.isfinite(kept).all():
        return kept
    return np.where(np.isfinite(kept) | ~np.isfinite(values), kept, truncated(values, bits))


def truncated(array: Array, bits: int) -> Array:
    """Cuts to so many bits of significand, towards zero."""
    return _cut(np.asarray(array, np.float32).view(np.uint32), bits).view(np.float32)


def _cut(raw: Array, bits: int) -> Array:
    return raw & _mask(bits)


def _mask(bits: int) -> np.uint32:
    return np.uint32(0xFFFFFFFF << (24 - bits) & 0xFFFFFFFF)


def through_float16(array: Array) -> Array:
    """Rounds to float16 and back; what is too large becomes infinite."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(array, np.float32).astype(np.float16).astype(np.float32)


def through_int8(array: Array, axis: int | None = None) -> Array:
    """Rounds to 8-bit integers and back, symmetric about 0.

    There is one scale for all, or one for each index of `axis`.
    """
    values = np.asarray(array, np.float32)
    others = None if axis is None else tuple(i for i in range(values.ndim) if i != axis)
    largest = np.max(np.abs(values), axis=others, keepdims=True, initial=0.0)
    scale = np.where(largest > 0, largest / np.float32(127), np.float32(1)).astype(np.float32)
    return np.asarray(np.rint(values / scale) * scale, np.float32)


def from_bfloat16(bits: Array) -> Array:
    """Gives the float32 values of bfloat16 numbers that travel as uint16."""
    return (np.asarray(bits).astype(np.uint32) << np.uint32(16)).view(np.float32)


def real(array: Array, onnx_type: str) -> Array:
    """Gives a float tensor's values in numpy's own floats, of any width: not copied where it has
    such a type. Complex tensors as `numbers` gives them."""
    return array if array.dtype.kind == "f" else numbers(array, onnx_type)


def numbers(array: Array, onnx_type: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Gives a float tensor's values in float64.

    A complex tensor gets one more axis, the last, with the real and the imaginary part.
    """
    if onnx_type == "bfloat16" and array.dtype == np.uint16:
        array = from_bfloat16(array)
    if np.iscomplexobj(array):
        array = np.stack([array.real, array.imag], axis=-1)
    return np.asarray(array, np.float64)
