"""Rounds numbers to integers of a scale, and brings such integers back to numbers.

A number x is stored as q = round(x / scale) + zero point, cut to the range of its type; half is
rounded to even. What is rounded here is float64 where the oracle runs, so an integer differs from
a kernel's only where x / scale lies so near the middle of two steps that float32 decides otherwise.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from onnx.reference.op_run import OpRun

from toolkit.tensors import Array

Outputs: TypeAlias = tuple[Array, ...]
Steps: TypeAlias = tuple[Array, Array]
"""Numbers in units of the output's scale, before they are rounded and shifted, and the zero point
(its type is the output's)."""

DOMAIN = "com.microsoft"
"""The domain of ONNX Runtime's own operators, each of version 1."""


class Rounding(OpRun):
    """An operator whose output are integers of a scale: `steps` computes, this rounds.

    The two are apart so that a test sees how near to the middle of two steps a number was.
    """

    def steps(self, *inputs: Any, **given: Any) -> Steps:
        """Computes the output before rounding from what the operator is given."""
        raise NotImplementedError

    def _run(self, *inputs: Any, **given: Any) -> Outputs:
        numbers, zero = self.steps(*inputs, **given)
        return (rounded(numbers, zero),)


class MicrosoftRounding(Rounding):
    """Such an operator of ONNX Runtime's own domain."""

    op_domain = DOMAIN
    op_schema = None


def rounded(numbers: Array, zero: Array) -> Array:
    """Rounds half to even, adds the zero point and cuts to the range of the zero point's type."""
    lowest, highest = limits(zero.dtype)
    whole = np.rint(numbers) + zero.astype(np.float64)
    return np.asarray(np.clip(whole, lowest, highest)).astype(zero.dtype)


def limits(kind: np.dtype[Any]) -> tuple[int, int]:
    """The smallest and the largest number of an integer type, those of 2 and 4 bits included."""
    import ml_dtypes

    info = ml_dtypes.iinfo(kind)  # type: ignore[no-untyped-call]
    return int(info.min), int(info.max)


def zero_of(zero: Array | None, like: Array) -> Array:
    """Gives a zero point that was left out the value 0, in the type of `like`."""
    return np.zeros((), like.dtype) if zero is None else zero


def shifted(integers: Array, zero: Array | None) -> Array:
    """Takes the zero point off, exactly: float64 holds every difference of 32-bit integers."""
    wide = integers.astype(np.float64)
    return wide if zero is None else wide - zero.astype(np.float64)


def numbers(integers: Array, scale: Array, zero: Array | None = None) -> Array:
    """Brings integers of one scale back to numbers, in float64: (q - zero point) · scale."""
    return shifted(integers, zero) * single(scale)


def single(scale: Array) -> Array:
    """Makes a scalar of a scale or a zero point for a whole tensor: files store some as one row.

    Raises NotImplementedError for several: no kernel of ONNX Runtime takes them where this is used.
    """
    if scale.size != 1:
        raise NotImplementedError(f"{scale.size} scales where a tensor has one")
    return scale.reshape(())


def wide(scale: Array) -> Array:
    """Raises a scale to float64: the product of two float32 scales needs 48 bits."""
    return scale.astype(np.float64)


def dynamic(x: Array) -> tuple[Array, Array, Array]:
    """Quantises floats to uint8 by their own range, which always holds 0, as
    DynamicQuantizeLinear does: → the integers, their scale and their zero point."""
    low, high = min(x.min(initial=0), 0), max(x.max(initial=0), 0)
    scale = np.asarray((high - low) / x.dtype.type(255) if high > low else 1, x.dtype)
    zero = rounded(np.asarray(-low / scale), np.zeros((), np.uint8))
    return rounded(x / scale, zero), scale, zero
