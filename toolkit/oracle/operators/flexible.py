"""Computes attention whose scores and probabilities pass through graphs of the model's own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from onnx.reference.op_run import OpRun

from toolkit.tensors import Array

Outputs: TypeAlias = tuple[Array, ...]


class FlexAttention(OpRun):
    """softmax(Q·Kᵀ·scale)·V with `score_mod` before the softmax and `prob_mod` behind it.

    q (B, N, S, K), k (B, G, T, K), v (B, G, T, V); G divides N. `softmax_precision` names a type in
    which a kernel computes; the oracle's is float64. The evaluator's own rounds the scale to
    float32.
    """

    op_domain = "ai.onnx.preview"

    def need_context(self) -> bool:
        return True  # its graphs may take any result from around it

    def _run(
        self,
        q: Array,
        k: Array,
        v: Array,
        prob_mod: Any = None,
        scale: float | None = None,
        score_mod: Any = None,
        softmax_precision: int | None = None,
        *,
        context: Mapping[str, Any],
        attributes: Any = None,
    ) -> Outputs:
        def changed(values: Array, by: Any) -> Array:
            """Hands values to an evaluator of one input and one output, where there is one."""
            if by is None:
                return values
            (result,) = by.run(None, {**context, by.input_names[0]: values}, attributes=attributes)
            return np.asarray(result)

        k, v = (np.repeat(each, q.shape[1] // each.shape[1], axis=1) for each in (k, v))
        scores = q @ k.swapaxes(-1, -2) * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)
        scores = changed(scores, score_mod)
        powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
        return (changed(powers / powers.sum(axis=-1, keepdims=True), prob_mod) @ v,)
