"""Computes attention whose heads of queries share heads of keys and values (Ainslie et al., GQA,
2023), with a cache.

Shapes use B for the batch, N heads of queries, G heads of keys, S tokens, C rows of the cache, H
the size of a head.

What ONNX Runtime's CPU kernel does where its documentation is silent:

- G1. It is a prompt where total_sequence_length is S: then nothing is past, all S keys go into the
  cache, and what was in it is gone. Else `seqlens_k` + 1 - S keys are past, for each sequence.
- G2. Rows of the cache behind those keys are 0.
- G3. A score is scaled, then capped, then the bias is added.
- G4. `head_sink` is one more score of each head, which has no value; smooth_softmax is a sink of 0,
  and the sinks count where both are given.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from toolkit.oracle.operators.microsoft.attention import joined, split
from toolkit.oracle.operators.microsoft.base import Fused, Outputs, product, refuse_unless
from toolkit.oracle.operators.microsoft.rotary import rotated
from toolkit.tensors import Array


@dataclass(frozen=True)
class _Lengths:
    """How the tokens of each sequence lie in its cache."""

    past: Array
    """Keys that were there before: (B)."""
    total: Array
    """Keys that are there afterwards: (B)."""
    valid: Array
    """Tokens of the chunk that are none of the padding at its end: (B)."""

    @classmethod
    def of(cls, seqlens: Array, tokens: int, most: int, query_seqlens: Array | None) -> _Lengths:
        """Reads them from a node's inputs (rule G1)."""
        total = seqlens.reshape(-1).astype(np.int64) + 1
        if query_seqlens is not None:
            valid = query_seqlens.reshape(-1).astype(np.int64)
            return cls(total - valid, total, valid)
        if most == tokens:
            return cls(np.zeros_like(total), total, np.full_like(total, tokens))
        return cls(total - tokens, total, np.full_like(total, tokens))


class GroupQueryAttention(Fused):
    """Attention of queries (B, S, N·H) to keys and values (B, S, G·H) and a cache (B, G, C, H).

    Query, key and value may be packed into the query (B, S, (N + 2·G)·H). With a window of W a
    token sees itself and the W - 1 before it. ONNX Runtime's CPU has no kernel for q_norm_weight
    and k_norm_weight; quantized and sliding caches are refused too.
    """

    def compute(
        self,
        query: Array,
        key: Array | None = None,
        value: Array | None = None,
        past_key: Array | None = None,
        past_value: Array | None = None,
        seqlens_k: Array | None = None,
        total_sequence_length: Array | None = None,
        cos_cache: Array | None = None,
        sin_cache: Array | None = None,
        position_ids: Array | None = None,
        attention_bias: Array | None = None,
        head_sink: Array | None = None,
        k_scale: Array | None = None,
        v_scale: Array | None = None,
        q_norm_weight: Array | None = None,
        k_norm_weight: Array | None = None,
        query_seqlens: Array | None = None,
        num_heads: int = 1,
        kv_num_heads: int = 1,
        scale: float | None = None,
        softcap: float = 0.0,
        do_rotary: int = 0,
        rotary_interleaved: int = 0,
        causal: int = 1,
        local_window_size: int = -1,
        smooth_softmax: int = -1,
        qk_output: int = 0,
        **unknown: object,
    ) -> Outputs:
        _refuse(q_norm_weight, k_norm_weight, k_scale, v_scale, unknown)
        assert seqlens_k is not None
        assert total_sequence_length is not None
        q, k, v = _heads(query, key, value, num_heads, kv_num_heads)
        most = int(total_sequence_length.reshape(()))
        lengths = _Lengths.of(seqlens_k, q.shape[2], most, query_seqlens)
        if do_rotary:
            assert cos_cache is not None
            assert sin_cache is not None
            at = _positions(position_ids, lengths, q.shape[2], prompt=most == q.shape[2])
            cos, sin = (
                each[np.minimum(at, len(each) - 1)][:, None] for each in (cos_cache, sin_cache)
            )
            q = rotated(q, cos, sin, bool(rotary_interleaved))
            k = rotated(k, cos, sin, bool(rotary_interleaved))
        rows = max(most, 0 if past_key is None else past_key.shape[2])
        keys = _cached(past_key, k, lengths, rows)
        values = _cached(past_value, v, lengths, rows)
        scores = (scale or 1 / math.sqrt(q.shape[-1])) * product(
            q, _shared(keys, q).swapaxes(-1, -2)
        )
        if softcap > 0:
            scores = softcap * np.tanh(scores / softcap)
        if attention_bias is not None:
            missing = rows - attention_bias.shape[3]
            scores = scores + np.pad(attention_bias, [(0, 0)] * 3 + [(0, missing)])
        seen = _seen(lengths, q.shape[2], rows, bool(causal), local_window_size)
        sink = head_sink if head_sink is not None else np.zeros(1) if smooth_softmax == 1 else None
        weights = _softmax(scores, seen, sink)
        out = joined(product(weights, _shared(values, q)))
        shown = (weights if qk_output == 2 else np.where(seen, scores, 0))[..., :most]
        return out, keys, values, shown


def _refuse(*given: object) -> None:
    *inputs, attributes = given
    names = ("q_norm_weight", "k_norm_weight", "k_scale", "v_scale")
    for name, value in zip(names, inputs, strict=True):
        refuse_unless(value is None, name)
    assert isinstance(attributes, dict)
    for name, value in attributes.items():
        # Quantized and sliding caches, and norms that only other processors' kernels know.
        refuse_unless(value in (0, "NONE") or name.endswith("_epsilon"), name)


def _heads(
    query: Array, key: Array | None, value: Array | None, heads: int, kv_heads: int
) -> tuple[Array, Array, Array]:
    """Gives queries (B, N, S, H), keys and values (B, G, S, H)."""
    if key is not None:
        assert value is not None
        return split(query, heads), split(key, kv_heads), split(value, kv_heads)
    together = split(query, heads + 2 * kv_heads)
    q, k, v = np.split(together, [heads, heads + kv_heads], axis=1)
    return q, k, v


def _positions(given: Array | None, lengths: _Lengths, tokens: int, prompt: bool) -> Array:
    """Gives the position of each token: (B, S). Of a prompt only the first that is given counts."""
    if given is not None and not prompt:
        return given.reshape(-1, tokens)
    first = 0 if given is None else int(given.flat[0])
    return np.asarray(lengths.past[:, None] + np.arange(tokens) + first)


def _cached(past: Array | None, new: Array, lengths: _Lengths, rows: int) -> Array:
    """Lays the new keys or values behind the past ones: (B, G, C, H), 0 behind both (rule G2)."""
    batch, heads, _, size = new.shape
    cache = np.zeros((batch, heads, rows, size), new.dtype)
    for each in range(batch):
        before, count = int(lengths.past[each]), int(lengths.valid[each])
        if past is not None:
            cache[each, :, :before] = past[each, :, :before]
        cache[each, :, before : before + count] = new[each, :, :count]
    return cache


def _shared(kept: Array, q: Array) -> Array:
    """Repeats heads of keys or values for the heads of queries that share them: (B, N, C, H)."""
    return np.repeat(kept, q.shape[1] // kept.shape[1], axis=1)


def _seen(lengths: _Lengths, tokens: int, rows: int, causal: bool, window: int) -> Array:
    """Says which rows of the cache a token sees: (B, 1, S, C)."""
    at = np.arange(rows)
    own = (lengths.past[:, None] + np.arange(tokens))[..., None]
    seen = at < lengths.total[:, None, None]
    if causal:
        seen = seen & (at <= own)
        if window > 0:
            seen = seen & (at > own - window)
    return np.broadcast_to(seen[:, None], (len(own), 1, tokens, rows))


def _softmax(scores: Array, seen: Array, sink: Array | None) -> Array:
    """The softmax of what is seen, with one more score of each head where there are sinks (G4)."""
    scores = np.where(seen, scores, -np.inf)
    highest = scores.max(axis=-1, keepdims=True, initial=-np.inf)
    if sink is not None:
        highest = np.maximum(highest, sink.reshape(1, -1, 1, 1))
    # A token of the padding may see nothing.
    powers = np.exp(scores - np.where(np.isneginf(highest), 0, highest))
    total = powers.sum(axis=-1, keepdims=True)
    if sink is not None:
        total = total + np.exp(sink.reshape(1, -1, 1, 1) - highest)
    return np.asarray(powers / np.where(total == 0, 1, total))


class SparseAttention(Fused):
    """Attention of queries (B, S, N·H) to those blocks of a cache (B, G, C, H) that a layout names
    for each block of queries (Abdin et al., Phi-3, 2024).

    Heads take the layouts in turns. Row r of a layout has the columns from block_rows[r] to
    block_rows[r + 1]. A token sees its own past only. Of sequences of several lengths ONNX
    Runtime's CPU kernel reads scores that it did not write: they are as its documentation says.
    """

    def compute(
        self,
        query: Array,
        key: Array | None,
        value: Array | None,
        past_key: Array,
        past_value: Array,
        block_rows: Array,
        block_columns: Array,
        total_sequence_length: Array,
        key_totals: Array,
        cos_cache: Array | None = None,
        sin_cache: Array | None = None,
        *,
        num_heads: int,
        kv_num_heads: int,
        sparse_block_size: int,
        scale: float | None = None,
        do_rotary: int = 0,
        rotary_interleaved: int = 0,
    ) -> Outputs:
        q, k, v = _heads(query, key, value, num_heads, kv_num_heads)
        lengths = _Lengths.of(key_totals - 1, q.shape[2], int(total_sequence_length.item()), None)
        if do_rotary:
            assert cos_cache is not None
            assert sin_cache is not None
            at = lengths.past[:, None] + np.arange(q.shape[2])
            cos, sin = cos_cache[at][:, None], sin_cache[at][:, None]
            q, k = (rotated(each, cos, sin, bool(rotary_interleaved)) for each in (q, k))
        rows = past_key.shape[2]
        keys, values = _written(past_key, k, lengths), _written(past_value, v, lengths)
        scores = (scale or 1 / math.sqrt(q.shape[-1])) * product(
            q, _shared(keys, q).swapaxes(-1, -2)
        )
        seen = _seen(lengths, q.shape[2], rows, True, -1)
        layouts = np.stack([_blocks(*each) for each in zip(block_rows, block_columns, strict=True)])
        of_head = layouts[np.arange(num_heads) % len(layouts)]  # (N, blocks, blocks)
        own = (lengths.past[:, None] + np.arange(q.shape[2])) // sparse_block_size  # (B, S)
        blocks = of_head[:, own].swapaxes(0, 1)  # (B, N, S, blocks)
        named = blocks[..., np.arange(rows) // sparse_block_size]
        weights = _softmax(scores, seen & named, None)
        return joined(product(weights, _shared(values, q))), keys, values


def _written(cache: Array, new: Array, lengths: _Lengths) -> Array:
    """Copies a cache (B, G, C, H) with the new keys or values behind the past ones of each
    sequence; the rows behind them are as before."""
    copy = cache.copy()
    for each, before in enumerate(lengths.past):
        copy[each, :, before : before + new.shape[2]] = new[each]
    return copy


def _blocks(rows: Array, columns: Array) -> Array:
    """Says which blocks of keys each block of queries sees, from compressed rows."""
    count = len(rows) - 1
    seen = np.zeros((count, count), bool)
    row = np.repeat(np.arange(count), np.diff(rows))
    seen[row, columns[: rows[-1]]] = True
    return seen


OWN = (GroupQueryAttention, SparseAttention)
