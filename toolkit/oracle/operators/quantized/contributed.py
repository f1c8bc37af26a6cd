"""ONNX Runtime's own variants of operators that ONNX has under the same name."""

from __future__ import annotations

from typing import Any

import numpy as np

from toolkit.oracle.operators.quantized import convolutions, linear
from toolkit.oracle.operators.quantized.rounding import DOMAIN, Steps
from toolkit.tensors import Array


class QuantizeLinear(linear.QuantizeLinear):
    """Its own before ONNX's had 16 and 4 bits: the same."""

    op_domain = DOMAIN
    op_schema = None


class DequantizeLinear(linear.DequantizeLinear):
    """Its own before ONNX's had 16 and 4 bits: the same."""

    op_domain = DOMAIN
    op_schema = None


class QLinearConv(convolutions.QLinearConv):
    """ONNX's, and with `channels_last` of x (N, in…, C)."""

    op_domain = DOMAIN
    op_schema = None

    def steps(self, x: Array, *more: Any, channels_last: int = 0, **given: Any) -> Steps:
        if not channels_last:
            return super().steps(x, *more, **given)
        first = np.ascontiguousarray(np.moveaxis(x, -1, 1))
        numbers, zero = super().steps(first, *more, **given)
        return np.moveaxis(numbers, 1, -1), zero
