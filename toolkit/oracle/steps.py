"""Brings numbers that lie at the edge of a step onto it, before an operator takes the step.

Where a graph turns a float into an integer, the smallest rounding decides at the edge: of
log(16 / 8) / log(16) · 8, a bucket of T5's relative positions, float64 makes 2, and 1.99999999 with
the constant log(16) as torch writes it into a file, in float32. Both are the same function. So in
float64 a number that float32 cannot tell from an integer is that integer, in a file and in a
PyTorch module alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto

from toolkit.tensors import Array

if TYPE_CHECKING:
    import torch

EDGE = 2.0**-21
"""The largest distance from an integer, relative to it above 1: four roundings to float32."""
OPERATORS = {"Floor", "Ceil"}
"""ONNX's operators that take steps, besides Cast to an integer."""
INTEGERS = {
    *(TensorProto.INT8, TensorProto.INT16, TensorProto.INT32, TensorProto.INT64),
    *(TensorProto.UINT8, TensorProto.UINT16, TensorProto.UINT32, TensorProto.UINT64),
}


def takes(operator: str, to: int) -> bool:
    """Says whether an operator of ONNX takes a step; `to` is the type that a Cast gives."""
    return operator in OPERATORS or (operator == "Cast" and to in INTEGERS)


def onto(values: Array) -> Array:
    """Gives float64 numbers with those at an edge on it; anything else as it is.

    >>> onto(np.array([1.99999999, 1.9999, -3.0000001]))
    array([ 2.    ,  1.9999, -3.    ])
    """
    if not isinstance(values, np.ndarray) or values.dtype != np.float64:
        return values
    with np.errstate(invalid="ignore"):
        nearest = np.rint(values)
        edge = np.abs(values - nearest) <= EDGE * np.maximum(1.0, np.abs(nearest))
    return np.where(edge, nearest, values)


def tensor_onto(values: torch.Tensor) -> torch.Tensor:
    """Does the same with a tensor of PyTorch."""
    import torch

    if values.dtype != torch.float64:
        return values
    nearest = values.round()
    edge = (values - nearest).abs() <= EDGE * nearest.abs().clamp(min=1.0)
    return torch.where(edge, nearest, values)
