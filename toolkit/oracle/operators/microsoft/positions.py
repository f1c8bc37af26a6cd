"""Computes biases of attention that depend on how far apart two tokens are.

ONNX Runtime's CPU has no kernel of either: they are as its documentation says.
"""

from __future__ import annotations

import numpy as np

from toolkit.oracle.operators.microsoft.activations import sigmoid
from toolkit.oracle.operators.microsoft.attention import split
from toolkit.oracle.operators.microsoft.base import Fused, Outputs, refuse_unless
from toolkit.tensors import Array


def buckets(distance: Array, count: int, most: int, both_ways: bool) -> Array:
    """Puts distances (key minus query) into buckets: near ones each into its own, far ones into
    buckets that grow with the logarithm (Raffel et al., T5, 2020)."""
    first = np.zeros_like(distance)
    if both_ways:
        count //= 2
        first = np.where(distance > 0, count, 0)
        distance = np.abs(distance)
    else:
        distance = np.maximum(-distance, 0)
    exact = count // 2
    # In float32 as T5 has it: a distance on a border would fall into another bucket.
    far = np.log(np.maximum(distance, 1).astype(np.float32) / np.float32(exact))
    steps = far / np.float32(np.log(most / exact)) * np.float32(count - exact)
    logarithmic = np.minimum(exact + steps.astype(np.int64), count - 1)
    return np.asarray(first + np.where(distance < exact, distance, logarithmic))


class RelativePositionBias(Fused):
    """T5's bias by the distance of query and key: (1, heads, queries, keys).

    The table has the shape (buckets, heads), yet its elements lie head by head, as ONNX Runtime's
    own conversion of T5 writes them.
    """

    def compute(
        self,
        table: Array,
        query_length: Array,
        key_length: Array,
        max_distance: int,
        is_bidirectional: int = 0,
    ) -> Outputs:
        count, heads = table.shape
        queries, keys = (int(length.reshape(())) for length in (query_length, key_length))
        distance = np.arange(keys) - np.arange(queries)[:, None]
        bucket = buckets(distance, count, max_distance, bool(is_bidirectional))
        return (table.reshape(heads, count)[:, bucket][None],)


class GatedRelativePositionBias(Fused):
    """A bias of distances, scaled for each query by two gates that the query itself opens (Chi et
    al., XLM-E, 2022): query_layer (B, S, N·H), rel_pos (1, N, S, S) → (B, N, S, S)."""

    def compute(
        self,
        query_layer: Array,
        query_bias: Array,
        rel_pos: Array,
        weight: Array,
        bias: Array,
        eco_a: Array,
        token_offset: Array | None = None,
        num_heads: int = 1,
    ) -> Outputs:
        refuse_unless(token_offset is None, "token_offset")
        gates = split(query_layer + query_bias, num_heads) @ weight + bias
        halves = sigmoid(gates.reshape(*gates.shape[:3], 2, -1).sum(axis=-1))
        update, reset = halves[..., :1], halves[..., 1:]
        return ((update * (reset * eco_a - 1) + 2) * rel_pos,)


OWN = (GatedRelativePositionBias, RelativePositionBias)
