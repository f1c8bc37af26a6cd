"""One recurrent layer, as exporter/recurrent.py writes it: RNN, GRU or LSTM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx_ir as ir

from toolkit.exporter.translations.nodes import Value, axes, op

GATES = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "Tanh": (0,), "Relu": (0,)}
"""The places of ONNX's gates among PyTorch's: input, output, forget, cell of input, forget, cell,
output; update, reset, new of reset, update, new."""
NAMES = {"LSTM": "lstm", "GRU": "gru", "Tanh": "rnn_tanh", "Relu": "rnn_relu"}
"""PyTorch's operator behind each kind of layer."""


def layer(
    x: Value,
    lengths: Value | None,
    states: Sequence[Value],
    weights: Sequence[Value],
    kind: str,
    has_biases: bool,
) -> Any:
    """x (T, B, I), lengths (B,), states (D, B, H) → the outputs (T, B, D·H), the last states."""
    each = 4 if has_biases else 2
    directions = [weights[start : start + each] for start in range(0, len(weights), each)]
    count, hidden = len(directions), int(states[0].shape[2])
    w, r = (_together([_ordered(d[i], kind) for d in directions]) for i in (0, 1))
    b = None
    if has_biases:
        halves = [[_ordered(half, kind) for half in d[2:]] for d in directions]
        b = _together([op.Concat(*pair, axis=0) for pair in halves])
    ends = None if lengths is None else op.Cast(lengths, to=ir.DataType.INT32)
    shape = {"direction": "bidirectional" if count == 2 else "forward", "hidden_size": hidden}
    if kind == "LSTM":
        y, *last = op.LSTM(x, w, r, b, ends, *states, **shape)
    elif kind == "GRU":
        y, *last = op.GRU(x, w, r, b, ends, *states, linear_before_reset=1, **shape)
    else:
        y, *last = op.RNN(x, w, r, b, ends, *states, activations=[kind] * count, **shape)
    rows = op.Transpose(y, perm=[0, 2, 1, 3])  # (T, B, D, H)
    return op.Reshape(rows, axes(0, 0, count * hidden)), *last


def _ordered(weight: Value, kind: str) -> Value:
    """The gates of a weight or a bias in ONNX's order."""
    order = GATES[kind]
    if len(order) == 1:
        return weight
    width = int(weight.shape[0]) // len(order)
    gates = [op.Slice(weight, axes(g * width), axes((g + 1) * width), axes(0)) for g in order]
    return op.Concat(*gates, axis=0)


def _together(directions: Sequence[Value]) -> Value:
    rows = [op.Unsqueeze(each, axes(0)) for each in directions]
    return rows[0] if len(rows) == 1 else op.Concat(*rows, axis=0)
