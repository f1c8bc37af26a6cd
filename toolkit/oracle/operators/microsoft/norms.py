"""Computes normalizations and what is fused before them."""

from __future__ import annotations

from typing import Any

import numpy as np

from toolkit.oracle.operators.microsoft.activations import sigmoid
from toolkit.oracle.operators.microsoft.base import Fused, Outputs, refuse_unless
from toolkit.tensors import Array

EPSILON = 1e-12
"""What ONNX Runtime adds to a variance where a fused node does not state it."""


def layer_norm(x: Array, epsilon: float, axes: tuple[int, ...] = (-1,)) -> Outputs:
    """Brings x along `axes` to the mean 0 and the deviation 1: also gives mean and 1 / deviation
    (Ba et al., Layer Normalization, 2016)."""
    mean = x.mean(axis=axes, keepdims=True)
    centred = x - mean
    inverse = 1 / np.sqrt((centred**2).mean(axis=axes, keepdims=True) + epsilon)
    return centred * inverse, mean, inverse


def rms_norm(x: Array, epsilon: float, axes: tuple[int, ...] = (-1,)) -> tuple[Array, Array]:
    """Divides x by its root mean square along `axes`: also gives 1 / that (Zhang and Sennrich, Root
    Mean Square Layer Normalization, 2019)."""
    inverse = np.asarray(1 / np.sqrt((x**2).mean(axis=axes, keepdims=True) + epsilon))
    return x * inverse, inverse


class SkipLayerNormalization(Fused):
    """The layer normalization of x + skip + bias, which is the last output.

    x (B, S, D) or (B, D); skip may lack the batch, or have it with the size 1.
    """

    def compute(
        self,
        x: Array,
        skip: Array,
        gamma: Array,
        beta: Array | None = None,
        bias: Array | None = None,
        epsilon: float = EPSILON,
    ) -> Outputs:
        summed = x + skip if bias is None else x + skip + bias
        normal, mean, inverse = layer_norm(summed, epsilon)
        scaled = normal * gamma
        return scaled if beta is None else scaled + beta, mean, inverse, summed


class SkipSimplifiedLayerNormalization(Fused):
    """The RMS normalization of x + skip + bias, which is the last output; the mean is 0."""

    def compute(
        self,
        x: Array,
        skip: Array,
        gamma: Array,
        bias: Array | None = None,
        epsilon: float = EPSILON,
    ) -> Outputs:
        summed = x + skip if bias is None else x + skip + bias
        normal, inverse = rms_norm(summed, epsilon)
        return normal * gamma, np.zeros_like(inverse), inverse, summed


class SimplifiedLayerNormalization(Fused):
    """The RMS normalization over all dimensions from `axis` on, times a scale.

    ONNX Runtime's files have it in ONNX's own domain, where ONNX has none of that name. The type of
    `stash_type`, in which a kernel computes, is that of the oracle here.
    """

    op_domain = ""

    def compute(
        self, x: Array, scale: Array, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
    ) -> Outputs:
        normal, inverse = rms_norm(x, epsilon, tuple(range(axis % x.ndim, x.ndim)))
        return normal * scale, inverse


class EmbedLayerNormalization(Fused):
    """The layer normalization of the sum of a token's embeddings: of its word, its position and,
    where they are given, its segment.

    input_ids (B, S), embeddings (rows, D). The second output is how many ones the mask has for each
    sequence, 0 without one; the third is the sum.
    """

    def compute(
        self,
        input_ids: Array,
        segment_ids: Array | None,
        words: Array,
        positions: Array,
        segments: Array | None,
        gamma: Array,
        beta: Array,
        mask: Array | None = None,
        position_ids: Array | None = None,
        epsilon: float = EPSILON,
        mask_index_type: int = 0,
    ) -> Outputs:
        at = np.arange(input_ids.shape[1])[None] if position_ids is None else position_ids
        summed = words[input_ids] + positions[at]
        if segments is not None:
            summed = summed + segments[segment_ids]
        normal, _, _ = layer_norm(summed, epsilon)
        ones = np.zeros(len(input_ids), bool) if mask is None else (mask == 1).sum(axis=1)
        return normal * gamma + beta, ones.astype(np.int32), summed


class GroupNorm(Fused):
    """Brings each group of channels, over all places, to the mean 0 and the deviation 1; then scale
    and shift of each channel, and SiLU where `activation` is 1 (Wu and He, Group Normalization,
    2018). Channels are the last dimension, or with channels_last 0 the second. ONNX Runtime's CPU
    has no kernel of it."""

    def compute(
        self,
        x: Array,
        gamma: Array,
        beta: Array,
        *,
        groups: int,
        activation: int,
        channels_last: int = 1,
        epsilon: float = 1e-5,
    ) -> Outputs:
        refuse_unless(activation in (0, 1), f"activation {activation}")
        last = x if channels_last else np.moveaxis(x, 1, -1)  # (N, H, W, C)
        grouped = last.reshape(len(x), -1, groups, last.shape[-1] // groups)
        normal = layer_norm(grouped, epsilon, (1, 3))[0].reshape(last.shape) * gamma + beta
        active = normal * sigmoid(normal) if activation else normal
        return (active if channels_last else np.ascontiguousarray(np.moveaxis(active, -1, 1)),)


class SkipGroupNorm(GroupNorm):
    """The group normalization of x + skip + bias, which is the last output; a skip of two
    dimensions, (N, C), is the same at all places."""

    def compute(  # type: ignore[override]
        self,
        x: Array,
        gamma: Array,
        beta: Array,
        skip: Array,
        bias: Array | None = None,
        *,
        channels_last: int = 1,
        **how: Any,
    ) -> Outputs:
        def laid(channels: Array) -> Array:
            """Lays (N or 1, C) along the channels of x."""
            places = (1, 1) if channels_last else ()
            behind = () if channels_last else (1, 1)
            return channels.reshape(len(channels), *places, -1, *behind)

        summed = x + (laid(skip) if skip.ndim == 2 else skip)
        if bias is not None:
            summed = summed + laid(bias[None])
        (normal,) = super().compute(summed, gamma, beta, channels_last=channels_last, **how)
        return normal, summed


class GatedRMSNorm(Fused):
    """The RMS normalization of each group of elements that the scale is long, times the scale and
    an activated gate."""

    def compute(
        self,
        x: Array,
        scale: Array,
        gate: Array,
        activation: str = "silu",
        epsilon: float = 1e-5,
    ) -> Outputs:
        refuse_unless(activation in ("silu", "swish", "sigmoid"), f"activation {activation}")
        normal, _ = rms_norm(x.reshape(*x.shape[:-1], -1, len(scale)), epsilon)
        share = sigmoid(gate)
        opened = share if activation == "sigmoid" else gate * share
        return ((normal * scale).reshape(x.shape) * opened,)


OWN = (
    EmbedLayerNormalization,
    GatedRMSNorm,
    GroupNorm,
    SimplifiedLayerNormalization,
    SkipGroupNorm,
    SkipLayerNormalization,
    SkipSimplifiedLayerNormalization,
)
