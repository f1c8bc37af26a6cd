"""Computes attention over heads (Vaswani et al., Attention Is All You Need, 2017).

Shapes use B for the batch, N heads, S queries, T keys, P keys of the past, H the size of a head.

What ONNX Runtime's CPU kernels do where their documentation is silent:

- A1. A padded key gets `mask_filter_value` added to its score (-10000 where it is not stated), so a
  query all of whose keys are padded attends to them as if none were.
- A2. A key behind a query gets float32's lowest number in place of what the padding says. Query s
  is as old as key P + s, also where there are more keys than queries; the last sees all of them.
- A3. A value of a mask is padding where it is 0 or less.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from toolkit.oracle.operators.microsoft.activations import softmax
from toolkit.oracle.operators.microsoft.base import Fused, Outputs, product, refuse_unless
from toolkit.tensors import Array

LOWEST = float(np.finfo(np.float32).min)
FILTER = -10000.0
"""What `mask_filter_value` is where a node does not state it."""


@dataclass(frozen=True)
class Attended:
    """The result of one attention."""

    out: Array
    """(B, S, N·H), the heads side by side."""
    scores: Array
    """What the softmax is made of: (B, N, S, T)."""


def attend(q: Array, k: Array, v: Array, scale: float | None, *added: Array | None) -> Attended:
    """Lets queries (B, N, S, H) attend to keys (B, N, T, H) and values (B, N, T, H of the values).

    `added` are summed with the scaled products: each can be broadcast to (B, N, S, T).
    """
    scores = np.asarray((scale or 1 / math.sqrt(q.shape[-1])) * product(q, k.swapaxes(-1, -2)))
    for each in added:
        scores = scores if each is None else scores + each
    return Attended(joined(product(softmax(scores), v)), scores)


def split(x: Array, heads: int) -> Array:
    """(B, S, N·H) → (B, N, S, H)."""
    return x.reshape(*x.shape[:2], heads, x.shape[2] // heads).transpose(0, 2, 1, 3)


def joined(x: Array) -> Array:
    """(B, N, S, H) → (B, S, N·H)."""
    b, n, s, h = x.shape
    return x.transpose(0, 2, 1, 3).reshape(b, s, n * h)


def mask(
    padding: Array | None,
    scores: tuple[int, int, int],
    filtered: float,
    dtype: np.dtype[np.generic],
    past: int | None = None,
) -> Array | None:
    """Gives what is added to the scores: (B, 1, S, T); None where nothing is hidden.

    `scores` is (B, S, T); `past` is P where a query sees no later keys, else None. The padding has
    one of the forms that ONNX Runtime documents:

    - (B, T) or (B, S, T): 0 hides a key; (B, 1) and (1, 1) hide none
    - (B): how many keys there are; 2·B: where they end, then where they begin; 3·B + 2: how many
      there are, then what the CPU kernel does not read

    Raises NotImplementedError for (B, 1, M, M), which that kernel does not know.
    """
    batch, queries, keys = scores
    if padding is None and (past is None or queries == 1):
        return None
    hidden = np.zeros((batch, 1, queries, keys), dtype)
    if padding is not None and not _hides_none(padding, keys):
        hidden += np.where(_shown(padding, batch, keys), 0, filtered).astype(dtype)
    if past is not None:
        behind = np.arange(keys) > np.arange(queries)[:, None] + past
        behind[-1] = False
        hidden = np.where(behind, np.array(LOWEST, dtype), hidden)
    return hidden


def _hides_none(padding: Array, keys: int) -> bool:
    return padding.ndim == 2 and padding.shape[1] == 1 != keys


def _shown(padding: Array, batch: int, keys: int) -> Array:
    """Says which keys are no padding, in a form that is broadcast to (B, 1, S, T)."""
    refuse_unless(padding.ndim < 4, "a mask of four dimensions")
    if padding.ndim > 1:
        return np.asarray(padding.reshape(batch, 1, -1, keys) > 0)
    at = np.arange(keys)
    shown = at < padding[:batch, None]
    if len(padding) == 2 * batch:
        shown &= at >= padding[batch:, None]
    return np.asarray(shown[:, None, None, :])


def extended(past: Array | None, new: Array) -> Array:
    """Lays keys or values (B, N, S, H) behind those of the past."""
    return new if past is None else np.concatenate([past, new], axis=2)


class Attention(Fused):
    """Self-attention with its projections: input (B, S, D), weights (D, 3·N·H), past and present
    (2, B, N, T, H).

    ONNX Runtime's CPU has no kernel for do_rotary, past_present_share_buffer and masks of four
    dimensions; a present whose keys and values have heads of two sizes has no shape.
    """

    def compute(
        self,
        x: Array,
        weights: Array,
        bias: Array | None = None,
        mask_index: Array | None = None,
        past: Array | None = None,
        attention_bias: Array | None = None,
        past_sequence_length: Array | None = None,
        num_heads: int = 1,
        unidirectional: int = 0,
        scale: float | None = None,
        mask_filter_value: float = FILTER,
        qkv_hidden_sizes: list[int] | None = None,
        do_rotary: int = 0,
        rotary_embedding_dim: int = 0,
        past_present_share_buffer: int = 0,
    ) -> Outputs:
        refuse_unless(not do_rotary, "do_rotary")
        refuse_unless(not past_present_share_buffer, "past_present_share_buffer")
        projected = product(x, weights) if bias is None else product(x, weights) + bias
        sizes = qkv_hidden_sizes or [weights.shape[1] // 3] * 3
        q, k, v = (
            split(part, num_heads) for part in np.split(projected, np.cumsum(sizes)[:2], axis=-1)
        )
        if past is not None:
            k, v = extended(past[0], k), extended(past[1], v)
        shape = (x.shape[0], x.shape[1], k.shape[2])
        before = k.shape[2] - x.shape[1] if unidirectional else None
        hidden = mask(mask_index, shape, mask_filter_value, x.dtype, before)
        attended = attend(q, k, v, scale, attention_bias, hidden)
        if not self.asks_for(1):
            return (attended.out,)
        refuse_unless(k.shape == v.shape, "a present of heads of two sizes")
        return attended.out, np.stack([k, v])


class MultiHeadAttention(Fused):
    """Attention of projected queries (B, S, N·H) to keys and values (B, T, N·H).

    Keys and values may be packed (B, T, N, 2, H), or all three (B, S, N, 3, H): ONNX Runtime's CPU
    has no kernel for these, so they are as its documentation says. Keys and values (B, N, T, H) are
    an encoder's. With `past_sequence_length` the past is a buffer that has room for the new keys.
    The last output has the scores.
    """

    def compute(
        self,
        query: Array,
        key: Array | None = None,
        value: Array | None = None,
        bias: Array | None = None,
        key_padding_mask: Array | None = None,
        attention_bias: Array | None = None,
        past_key: Array | None = None,
        past_value: Array | None = None,
        past_sequence_length: Array | None = None,
        cache_indirection: Array | None = None,
        num_heads: int = 1,
        unidirectional: int = 0,
        scale: float | None = None,
        mask_filter_value: float = FILTER,
    ) -> Outputs:
        refuse_unless(cache_indirection is None, "cache_indirection")
        q, k, v = _unpacked(query, key, value, bias, num_heads)
        new = k.shape[2]
        if past_sequence_length is None:
            k, v = extended(past_key, k), extended(past_value, v)
            present = k, v
        else:
            at = int(past_sequence_length.reshape(()))
            present = written(past_key, k, at), written(past_value, v, at)
            k, v = (each[:, :, : at + new] for each in present)
        shape = (q.shape[0], q.shape[2], k.shape[2])
        before = k.shape[2] - new if unidirectional else None
        hidden = mask(key_padding_mask, shape, mask_filter_value, q.dtype, before)
        attended = attend(q, k, v, scale, attention_bias, hidden)
        return attended.out, *present, attended.scores


def written(buffer: Array | None, new: Array, at: int) -> Array:
    """Copies a buffer (B, N, M, H) of keys or values with the new ones at a position."""
    assert buffer is not None
    copy = buffer.copy()
    copy[:, :, at : at + new.shape[2]] = new
    return copy


def _unpacked(
    query: Array, key: Array | None, value: Array | None, bias: Array | None, heads: int
) -> tuple[Array, Array, Array]:
    """Gives queries, keys and values (B, N, ·, H) with their biases, from any documented form."""
    if key is None:
        q, k, v = query.transpose(3, 0, 2, 1, 4)
    elif key.ndim == 5:
        q = split(query, heads)
        k, v = key.transpose(3, 0, 2, 1, 4)
    elif key.ndim == 4:
        # The keys of an encoder have their bias already: that of the queries alone is added.
        assert value is not None
        return split(query if bias is None else query + bias[: query.shape[2]], heads), key, value
    else:
        assert value is not None
        q, k, v = split(query, heads), split(key, heads), split(value, heads)
    if bias is None:
        return q, k, v
    size = heads * q.shape[-1]
    parts = np.split(bias, [size, 2 * size])
    biased = (
        each + part.reshape(1, heads, 1, -1) for each, part in zip((q, k, v), parts, strict=True)
    )
    q, k, v = biased
    return q, k, v


class DecoderMaskedMultiHeadAttention(Fused):
    """Attention of one query for each sequence to a buffer of keys and values, or to an encoder's.

    Self-attention has keys (B, 1, N·H) and buffers (B, N, M, H), into which they are written at
    `past_sequence_length`; cross-attention has keys (B, N, T, H) and no past. ONNX Runtime's CPU
    kernel computes self-attention only with past_present_share_buffer. Beams are refused.
    """

    def compute(
        self,
        query: Array,
        key: Array | None = None,
        value: Array | None = None,
        mask_index: Array | None = None,
        attention_bias: Array | None = None,
        past_key: Array | None = None,
        past_value: Array | None = None,
        past_sequence_length: Array | None = None,
        beam_width: Array | None = None,
        cache_indirection: Array | None = None,
        bias: Array | None = None,
        num_heads: int = 1,
        scale: float | None = None,
        mask_filter_value: float = FILTER,
        past_present_share_buffer: int = 0,
        output_qk: int = 0,
    ) -> Outputs:
        refuse_unless(cache_indirection is None, "cache_indirection")
        if key is None:
            query, key, value = np.split(query, 3, axis=-1)
        q, k, v = _unpacked(query, key, value, bias, num_heads)
        present: tuple[Array, ...] = (k, v)
        if past_key is not None:
            refuse_unless(bool(past_present_share_buffer), "a past without a shared buffer")
            assert past_sequence_length is not None
            at = int(past_sequence_length.reshape(()))
            present = written(past_key, k, at), written(past_value, v, at)
            k, v = (each[:, :, : at + 1] for each in present)
        hidden = mask(mask_index, (q.shape[0], 1, k.shape[2]), mask_filter_value, q.dtype)
        attended = attend(q, k, v, scale, attention_bias, hidden)
        return attended.out, *present, attended.scores


OWN = (Attention, DecoderMaskedMultiHeadAttention, MultiHeadAttention)
