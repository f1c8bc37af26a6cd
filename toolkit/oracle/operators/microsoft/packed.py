"""Computes transformers on the tokens of a batch without padding, one sequence behind the other.

ONNX Runtime's tools write these operators, for which its CPU has no kernels. Shapes use B for the
batch, S for its longest sequence, D hidden elements, N heads of the size H.
"""

from __future__ import annotations

import itertools

import numpy as np

from toolkit.oracle.operators.microsoft.attention import attend, split
from toolkit.oracle.operators.microsoft.base import Fused, Outputs, product
from toolkit.tensors import Array


class RemovePadding(Fused):
    """Keeps the first tokens of each sequence: x (B, S, D) → (tokens, D). Also gives the place of
    each token and then those of the padding, (B, S); where sequences begin and end; and the length
    of the longest."""

    def compute(self, x: Array, counts: Array) -> Outputs:
        is_token = np.arange(x.shape[1]) < counts[:, None]
        places = np.arange(is_token.size, dtype=np.int32)
        order = np.concatenate([places[is_token.ravel()], places[~is_token.ravel()]])
        ends = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
        most = np.array([counts.max()], np.int32)
        return x[is_token], order.reshape(is_token.shape), ends, most


class RestorePadding(Fused):
    """Puts tokens (tokens, D) back in their places, (B, S), and 0 in the padding."""

    def compute(self, x: Array, places: Array) -> Outputs:
        padded = np.zeros((places.size, x.shape[1]), x.dtype)
        padded[places.ravel()[: len(x)]] = x
        return (padded.reshape(*places.shape, -1),)


class PackedAttention(Fused):
    """Self-attention with its projections: x (tokens, D), weights (D, 3·N·H)."""

    def compute(
        self,
        x: Array,
        weights: Array,
        bias: Array,
        places: Array,
        ends: Array,
        attention_bias: Array | None = None,
        *,
        num_heads: int,
        qkv_hidden_sizes: list[int] | None = None,
        scale: float | None = None,
    ) -> Outputs:
        sizes = qkv_hidden_sizes or [weights.shape[1] // 3] * 3
        q, k, v = np.split(product(x, weights) + bias, np.cumsum(sizes)[:2], axis=-1)
        return (_attended((q, k, v), ends, num_heads, scale, attention_bias),)


class PackedMultiHeadAttention(Fused):
    """Self-attention of projected queries, keys and values (tokens, N·H), which may be packed into
    the query (tokens, N, 3, H)."""

    def compute(
        self,
        query: Array,
        key: Array | None,
        value: Array | None,
        bias: Array | None,
        places: Array,
        ends: Array,
        attention_bias: Array | None = None,
        *,
        num_heads: int,
        scale: float | None = None,
        mask_filter_value: float | None = None,
    ) -> Outputs:
        if key is None:
            q, k, v = query.transpose(2, 0, 1, 3).reshape(3, len(query), -1)
        else:
            assert value is not None
            q, k, v = query, key, value
        if bias is not None:
            sizes = np.cumsum([q.shape[1], k.shape[1]])
            q, k, v = (
                each + own for each, own in zip((q, k, v), np.split(bias, sizes), strict=True)
            )
        return (_attended((q, k, v), ends, num_heads, scale, attention_bias),)


def _attended(
    qkv: tuple[Array, Array, Array],
    ends: Array,
    heads: int,
    scale: float | None,
    bias: Array | None,
) -> Array:
    """Lets the tokens of each sequence attend to each other; the bias is (B or 1, N or 1, S, S)."""
    results = []
    for number, (first, end) in enumerate(itertools.pairwise(ends)):
        q, k, v = (split(each[None, first:end], heads) for each in qkv)
        own = None
        if bias is not None:
            length = end - first
            own = bias[number % len(bias)][None, :, :length, :length]
        results.append(attend(q, k, v, scale, own).out[0])
    return np.concatenate(results)


OWN = (PackedAttention, PackedMultiHeadAttention, RemovePadding, RestorePadding)
