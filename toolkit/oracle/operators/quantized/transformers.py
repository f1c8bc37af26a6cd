"""Computes the parts of a transformer that have 8-bit weights."""

from __future__ import annotations

import math

import numpy as np
from onnx.reference.op_run import OpRun

from toolkit.oracle.operators.quantized.products import columns, product
from toolkit.oracle.operators.quantized.rounding import DOMAIN, Outputs, numbers, single, wide
from toolkit.tensors import Array


class QAttention(OpRun):
    """Self-attention of x (B, S, I) with 8-bit weights (I, 3·N·H): projected, then in floats.

    A past of P tokens comes before those of the input; T = P + S.
    """

    op_domain = DOMAIN
    op_schema = None

    def _run(
        self,
        x: Array,
        weights: Array,
        bias: Array,
        x_scale: Array,
        w_scale: Array,
        mask: Array | None = None,
        x_zero: Array | None = None,
        w_zero: Array | None = None,
        past: Array | None = None,
        *,
        num_heads: int,
        unidirectional: int = 0,
        do_rotary: int = 0,
        past_present_share_buffer: int = 0,
        mask_filter_value: float = -10000.0,
        scale: float = 0.0,
    ) -> Outputs:
        if do_rotary or past_present_share_buffer:
            named = "do_rotary" if do_rotary else "past_present_share_buffer"
            raise NotImplementedError(f"{named} = 1")
        kind = x_scale.dtype
        factor = single(wide(x_scale)) * columns(wide(w_scale), weights)
        zero = None if x_zero is None else single(x_zero)
        projected = product(x, weights, zero, w_zero) * factor + bias  # (B, S, 3·N·H)
        b, s, width = projected.shape
        parts = projected.astype(kind).reshape(b, s, 3, num_heads, -1)
        q, k, v = parts.transpose(2, 0, 3, 1, 4)  # (B, N, S, H) each
        state = np.stack([k, v])
        present = state if past is None else np.concatenate([past, state], axis=3)
        k, v = present  # (B, N, T, H)
        scores = q @ k.swapaxes(2, 3) * kind.type(scale or 1 / math.sqrt(q.shape[-1]))
        scores = scores + padding(mask, b, s, k.shape[2], mask_filter_value)[:, None]
        if unidirectional:
            later = np.triu(np.ones((s, k.shape[2]), bool), k.shape[2] - s + 1)
            scores = np.where(later, np.finfo(kind).min, scores)
        powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
        shares = (powers / powers.sum(axis=-1, keepdims=True)).astype(kind)
        output = (shares @ v).transpose(0, 2, 1, 3).reshape(b, s, width // 3)
        return output, present


def padding(mask: Array | None, b: int, s: int, t: int, filtered: float) -> Array:
    """Gives what a mask adds to the scores: (B, S, T) or what broadcasts to it.

    A mask is the number of tokens of each sequence (B,), those numbers and then the first tokens
    (2·B,), or 1 for each token that counts: (B, T), (B, S, T). One of width 1 masks nothing.
    """
    if mask is None or (mask.ndim == 2 and mask.shape[1] == 1 and t > 1):
        return np.zeros((1, 1, 1))
    if mask.ndim == 1:
        tokens = np.arange(t)
        kept = tokens < mask[:b, None]
        if len(mask) == 2 * b:
            kept &= tokens >= mask[b:, None]
        return np.where(kept, 0.0, filtered)[:, None]
    if mask.ndim == 2:
        return np.where(mask > 0, 0.0, filtered)[:, None]
    if mask.ndim == 3:
        return np.where(mask > 0, 0.0, filtered)
    raise NotImplementedError(f"a mask of {mask.ndim} dimensions")


class QEmbedLayerNormalization(OpRun):
    """The sum of embeddings, layer normalised; all tables are of 8 bits.

    Ids (B, S) → (B, S, H), and how many tokens of each row the mask keeps, (B,).
    """

    op_domain = DOMAIN
    op_schema = None

    def _run(
        self,
        ids: Array,
        segments: Array | None,
        words: Array,
        positions: Array,
        segment_table: Array | None,
        gamma: Array,
        beta: Array,
        mask: Array | None,
        words_scale: Array,
        positions_scale: Array,
        segment_scale: Array | None,
        gamma_scale: Array,
        beta_scale: Array,
        words_zero: Array,
        positions_zero: Array,
        segment_zero: Array | None,
        gamma_zero: Array,
        beta_zero: Array,
        *,
        epsilon: float = 1e-12,
    ) -> Outputs:
        total = numbers(words[ids], wide(words_scale), single(words_zero))
        here = positions[: ids.shape[1]]
        total = total + numbers(here, wide(positions_scale), single(positions_zero))
        if segments is not None and segment_table is not None and segment_scale is not None:
            rows = segment_table[segments]
            total = total + numbers(rows, wide(segment_scale), segment_zero)
        centred = total - total.mean(axis=-1, keepdims=True)
        deviation = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + epsilon)
        factor = numbers(gamma, wide(gamma_scale), single(gamma_zero))
        shift = numbers(beta, wide(beta_scale), single(beta_zero))
        result = (centred / deviation * factor + shift).astype(words_scale.dtype)
        counts = np.zeros(len(ids)) if mask is None else (mask == 1).sum(axis=1)
        return result, counts.astype(np.int32)
