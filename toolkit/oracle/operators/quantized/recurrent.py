"""Runs an LSTM whose matrices are of 8 bits."""

from __future__ import annotations

from typing import Any

import numpy as np

from toolkit.oracle.operators.quantized.rounding import DOMAIN, Outputs, dynamic, shifted, wide
from toolkit.oracle.operators.recurrent import LSTM, Direction
from toolkit.tensors import Array


class DynamicQuantizeLSTM(LSTM):
    """ONNX's LSTM with 8-bit weights w (D, I, 4·H) and r (D, H, 4·H), transposed to ONNX's.

    The whole input has one scale, and so has the hidden state of all sequences at each step; both
    are quantised to uint8 by their own range. ONNX Runtime's kernel with several threads may give
    parts of a large batch a scale each.
    """

    op_domain = DOMAIN
    op_schema = None

    def _run(
        self,
        x: Array,
        w: Array,
        r: Array,
        b: Array | None = None,
        lengths: Array | None = None,
        *more: Array | None,
        **given: Any,
    ) -> Outputs:
        states, parameters = more[:3], more[3:]
        w_scale, w_zero, r_scale, r_zero = (a for a in parameters if a is not None)
        wide_w = weights(w, w_scale, w_zero).astype(x.dtype)
        wide_r = weights(r, r_scale, r_zero).astype(x.dtype)
        return super()._run(quantised(x), wide_w, wide_r, b, lengths, *states, **given)

    def step(
        self, x: Array, states: list[Array], of: Direction, given: dict[str, Any]
    ) -> list[Array]:
        hidden, cell = states
        return super().step(x, [quantised(hidden), cell], of, given)


def quantised(x: Array) -> Array:
    """Gives the numbers that uint8 keeps of a tensor, in its type."""
    integers, scale, zero = dynamic(x)
    return np.asarray((shifted(integers, zero) * scale).astype(x.dtype))


def weights(q: Array, scale: Array, zero: Array) -> Array:
    """The numbers of weights (D, I, 4·H), transposed; a scale for each direction, (D,), or for each
    of its columns too, (D, 4·H)."""
    each = len(q), 1, -1
    return np.swapaxes(shifted(q, zero.reshape(each)) * wide(scale).reshape(each), 1, 2)
