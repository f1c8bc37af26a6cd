"""Computes hyper-connections (Zhu et al., 2024), which carry several branches of the hidden state
side by side, and the gates that go with them.

Shapes use C branches and H hidden elements; most operators take them apart, (…, C, H), or side by
side, (…, C·H).
"""

from __future__ import annotations

import math

import numpy as np

from toolkit.oracle.operators.microsoft.activations import sigmoid
from toolkit.oracle.operators.microsoft.base import Fused, Outputs, refuse_unless
from toolkit.oracle.operators.microsoft.norms import rms_norm
from toolkit.tensors import Array

LEAST = 1e-6
"""The least product of key and query, by its size, of which EngramGate takes the root."""


def _apart(x: Array, branches: int) -> Array:
    """(…, C·H) → (…, C, H), where a number of branches is stated."""
    return x.reshape(*x.shape[:-1], branches, -1) if branches else x


def _as(gates: Array, streams: Array) -> Array:
    """Gives gates (…, C), (…, C, 1), (…, C, H) or (…, C·H) so that they multiply (…, C, H)."""
    return gates.reshape(*streams.shape[:-1], -1)


class BranchwiseRMSNorm(Fused):
    """The RMS normalization of each branch, times a scale of (C·H), (C, H) or (H)."""

    def compute(
        self, x: Array, scale: Array | None = None, num_branches: int = 0, epsilon: float = 1e-5
    ) -> Outputs:
        normal, _ = rms_norm(_apart(x, num_branches), epsilon)
        if scale is not None:
            normal = normal * scale.reshape(-1, normal.shape[-1])
        return (normal.reshape(x.shape),)


class HyperConnectionPreMix(Fused):
    """Sums the branches, each times its gate, to one (…, H)."""

    def compute(
        self, streams: Array, pre_mix: Array, num_branches: int = 0, reduction_scale: float = 1.0
    ) -> Outputs:
        apart = _apart(streams, num_branches)
        return (reduction_scale * (apart * _as(pre_mix, apart)).sum(axis=-2),)


class HyperConnectionPostMix(Fused):
    """Mixes the branches by a matrix (…, from, to), and adds one output (…, H) to each, times its
    gate."""

    def compute(
        self,
        streams: Array,
        block_output: Array,
        post_mix: Array,
        stream_mix: Array | None = None,
        num_branches: int = 0,
    ) -> Outputs:
        apart = _apart(streams, num_branches)
        mixed = apart if stream_mix is None else stream_mix.swapaxes(-1, -2) @ apart
        added = _as(post_mix, apart) * block_output[..., None, :]
        return ((mixed + added).reshape(streams.shape),)


class GatedAdd(Fused):
    """x + y times a gate of each row. ONNX Runtime's CPU has no kernel for gate_weight."""

    def compute(self, x: Array, y: Array, gate: Array, gate_weight: Array | None = None) -> Outputs:
        refuse_unless(gate_weight is None, "gate_weight")
        return (x + y * gate,)


class EngramGate(Fused):
    """A value (B, S, H) times a gate of each branch, from key and query (B, S, C, H); also its RMS
    normalization, times `conv_scale` (C, H)."""

    def compute(
        self,
        key: Array,
        query: Array,
        value: Array,
        key_scale: Array,
        query_scale: Array,
        conv_scale: Array | None = None,
        epsilon: float = 1e-5,
    ) -> Outputs:
        keys, queries = (
            rms_norm(each, epsilon)[0] * scale
            for each, scale in ((key, key_scale), (query, query_scale))
        )
        dot = (keys * queries).sum(axis=-1, keepdims=True) / math.sqrt(key.shape[-1])
        gate = sigmoid(np.sign(dot) * np.sqrt(np.maximum(np.abs(dot), LEAST)))
        gated = gate * value[:, :, None]
        if conv_scale is None:
            return (gated,)
        return gated, rms_norm(gated, epsilon)[0] * conv_scale


OWN = (
    BranchwiseRMSNorm,
    EngramGate,
    GatedAdd,
    HyperConnectionPostMix,
    HyperConnectionPreMix,
)
