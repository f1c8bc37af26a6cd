"""Turns pairs of elements by an angle that grows with the position: rotary embeddings (Su et al.,
RoFormer, 2021)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from toolkit.oracle.operators.microsoft.base import Fused, Outputs, refuse_unless
from toolkit.tensors import Array


def rotated(x: Array, cos: Array, sin: Array, interleaved: bool) -> Array:
    """Turns the first 2·R elements of the last dimension and leaves the others.

    x (…, H), cos and sin (…, R), the dimensions before the last broadcast. A pair are neighbours
    where `interleaved`, else an element of the first half and its like in the second.
    """
    size = 2 * cos.shape[-1]
    turned, rest = x[..., :size], x[..., size:]
    if interleaved:
        real, imaginary = turned[..., ::2], turned[..., 1::2]
    else:
        real, imaginary = np.split(turned, 2, axis=-1)
    pair = real * cos - imaginary * sin, real * sin + imaginary * cos
    if interleaved:
        both = np.stack(pair, axis=-1).reshape(turned.shape)
    else:
        both = np.concatenate(pair, axis=-1)
    return np.concatenate([both, rest], axis=-1)


class RotaryEmbedding(Fused):
    """Rotary embedding of x (batch, sequence, hidden) or (batch, heads, sequence, head).

    Positions are one for each token (batch, sequence), or that of the first token, (1). The caches
    have a row for each position and half as many columns as elements are turned. ONNX Runtime's CPU
    kernel leaves `scale` alone, so another than 1 is refused; `is_packed_batching` allows it more
    tokens than the caches have rows and changes no result.
    """

    def compute(
        self,
        x: Array,
        positions: Array,
        cos: Array,
        sin: Array,
        interleaved: int = 0,
        num_heads: int = 0,
        rotary_embedding_dim: int = 0,
        scale: float = 1.0,
        is_packed_batching: int = 0,
    ) -> Outputs:
        refuse_unless(scale == 1.0, "scale")
        heads = x if x.ndim == 4 else self._split(x, cos, num_heads, rotary_embedding_dim)
        tokens = heads.shape[2]
        at = positions.reshape(1, 1) + np.arange(tokens) if positions.size == 1 else positions
        # The kernel takes such caches, and reads their rows as if they were narrower.
        fits = not rotary_embedding_dim or 2 * cos.shape[1] == rotary_embedding_dim
        refuse_unless(fits, "caches that are wider than what is turned")
        turned = rotated(heads, cos[at][:, None], sin[at][:, None], bool(interleaved))
        return (turned if x.ndim == 4 else turned.transpose(0, 2, 1, 3).reshape(x.shape),)

    def _split(self, x: Array, cos: Array, heads: int, turned: int) -> Array:
        """Gives x (batch, sequence, hidden) by heads: (batch, heads, sequence, head)."""
        size = x.shape[2] // heads if turned and heads else 2 * cos.shape[1]
        return x.reshape(*x.shape[:2], -1, size).transpose(0, 2, 1, 3)


class MRotaryEmbedding(RotaryEmbedding):
    """Rotary embedding by three positions for each token, (3, batch, sequence): time, height and
    width, of which each turns its section of the pairs (Wang et al., Qwen2-VL, 2024).

    Sections lie one behind the other (layout 0) or take turns (layout 1): height has every third
    pair from the second on, width from the third on, as far as three times their section.
    """

    def compute(  # type: ignore[override]
        self,
        x: Array,
        positions: Array,
        cos: Array,
        sin: Array,
        *,
        mrope_section: Sequence[int],
        mrope_layout: int = 0,
        interleaved: int = 0,
        num_heads: int = 0,
        rotary_embedding_dim: int = 0,
        scale: float = 1.0,
        is_packed_batching: int = 0,
    ) -> Outputs:
        refuse_unless(scale == 1.0, "scale")
        heads = x if x.ndim == 4 else self._split(x, cos, num_heads, rotary_embedding_dim)
        pairs = np.arange(cos.shape[1])
        if mrope_layout:
            # As far as three times its section a stream has every third pair.
            section = np.zeros_like(pairs)
            for stream in (1, 2):
                section[stream : 3 * mrope_section[stream] : 3] = stream
        else:
            section = np.repeat(np.arange(3), mrope_section)
        at = positions[section].transpose(1, 2, 0)  # (batch, sequence, pairs)
        turned = rotated(heads, cos[at, pairs][:, None], sin[at, pairs][:, None], bool(interleaved))
        return (turned if x.ndim == 4 else turned.transpose(0, 2, 1, 3).reshape(x.shape),)


OWN = (MRotaryEmbedding, RotaryEmbedding)
