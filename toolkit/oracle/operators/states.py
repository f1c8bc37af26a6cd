"""Computes layers that carry a state from token to token: causal convolutions, linear attention.

Shapes use B for the batch, C channels, T tokens, N heads of queries, G heads of keys and values, K
and V the sizes of a head's key and value.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from onnx.reference.op_run import OpRun

from toolkit.oracle.operators import kernels
from toolkit.oracle.operators.recurrent import ACTIVATIONS
from toolkit.tensors import Array

Outputs: TypeAlias = tuple[Array, ...]


def causal(
    x: Array, weight: Array, bias: Array | None, past: Array | None, dilation: int = 1
) -> tuple[Array, Array]:
    """Convolves each channel with its own kernel, over a token and those before it.

    x (B, C, T), weight (C, 1, k), past (B, C, (k - 1)·dilation), zeros where it is left out. Also
    gives the next past.
    """
    from torch.nn import functional

    before = (weight.shape[2] - 1) * dilation
    if past is None:
        past = np.zeros((*x.shape[:2], before), x.dtype)
    seen = np.concatenate([past, x], axis=2)
    result = functional.conv1d(
        kernels.tensor(seen),
        kernels.tensor(weight),
        None if bias is None else kernels.tensor(bias),
        dilation=dilation,
        groups=x.shape[1],
    )
    return kernels.array(result), seen[:, :, seen.shape[2] - before :]


def activated(x: Array, name: str) -> Array:
    """Applies what `activation` names. Raises NotImplementedError for what it may not name."""
    if name not in ("none", "silu", "swish"):
        raise NotImplementedError(f"activation {name}")
    return x if name == "none" else x * ACTIVATIONS["sigmoid"](x)


class CausalConvWithState(OpRun):
    """A causal convolution of each channel x (B, C, T), and the last k - 1 elements that it saw."""

    def _run(
        self,
        x: Array,
        weight: Array,
        bias: Array | None = None,
        past_state: Array | None = None,
        activation: str = "none",
    ) -> Outputs:
        result, state = causal(x, weight, bias, past_state)
        return activated(result, activation), state


def split(x: Array, heads: int) -> Array:
    """(B, T, N·K) → (B, N, T, K)."""
    return x.reshape(*x.shape[:2], heads, -1).transpose(0, 2, 1, 3)


RULES = {
    "linear": (False, False),
    "gated": (True, False),
    "delta": (False, True),
    "gated_delta": (True, True),
}
"""Name of an update rule → whether it has a decay, and an update rate."""


def attended(
    qkv: tuple[Array, Array, Array],
    state: Array | None,
    decay: Array | None,
    beta: Array | None,
    scale: float,
    rule: str,
) -> tuple[Array, Array]:
    """Lets queries read a state into which each token writes; gives what they read, (B, T, N·V),
    and the last state.

    Queries (B, N, T, K), keys (B, G, T, K), values (B, G, T, V), state (B, G, K, V), zeros where it
    is left out. It decays by exp(decay), of (B, G, T, 1 or K); with beta, (B, G or 1, T, 1), a
    token writes that share of the difference between its value and what the state had for its key
    (the delta rule). One of N and G is a multiple of the other: neighbouring heads share. A scale
    of 0 stands for 1/√K. Raises NotImplementedError where a rule lacks an input.
    """
    if RULES.get(rule) != (decay is not None, beta is not None):
        raise NotImplementedError(f"update_rule {rule} with these inputs")
    q, k, v = qkv
    if state is None:
        state = np.zeros((*k.shape[:2], k.shape[3], v.shape[3]), v.dtype)
    read = []
    for token in range(q.shape[2]):
        key, value = k[:, :, token], v[:, :, token]
        if decay is not None:
            state = state * np.exp(decay[:, :, token])[..., None]
        if beta is not None:
            value = beta[:, :, token] * (value - (key[..., None, :] @ state)[..., 0, :])
        state = state + key[..., :, None] * value[..., None, :]
        query, source = shared(q[:, :, token], state)
        read.append((query[..., None, :] @ source)[..., 0, :])
    out = np.stack(read, axis=1) * (scale or 1 / math.sqrt(q.shape[3]))  # (B, T, N, V)
    return out.reshape(*out.shape[:2], -1), state


def shared(a: Array, b: Array) -> tuple[Array, Array]:
    """Repeats heads, the second dimension, of the one that has fewer."""
    heads = max(a.shape[1], b.shape[1])
    return np.repeat(a, heads // a.shape[1], axis=1), np.repeat(b, heads // b.shape[1], axis=1)


class LinearAttention(OpRun):
    """Attention without a softmax: a state collects keys times values (Katharopoulos et al., 2020;
    Yang et al., Gated Delta Networks, 2025).

    query (B, T, N·K), key (B, T, G·K), value (B, T, G·V), states (B, G, K, V), decay (B, T, G·K)
    or (B, T, G), beta (B, T, G) or (B, T, 1).
    """

    def _run(
        self,
        query: Array,
        key: Array,
        value: Array,
        past_state: Array | None = None,
        decay: Array | None = None,
        beta: Array | None = None,
        chunk_size: int = 64,
        kv_num_heads: int = 1,
        q_num_heads: int = 1,
        scale: float = 0.0,
        update_rule: str = "gated_delta",
    ) -> Outputs:
        return attended(
            (split(query, q_num_heads), split(key, kv_num_heads), split(value, kv_num_heads)),
            past_state,
            None if decay is None else split(decay, kv_num_heads),
            None if beta is None else split(beta, beta.shape[2]),
            scale,
            update_rule,
        )


OWN = (CausalConvWithState, LinearAttention)
