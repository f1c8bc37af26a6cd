"""Computes layers that carry a state from token to token: causal convolutions, linear attention.

Shapes use B for the batch, C channels, T tokens, N heads of queries, G heads of keys and values, K
and V the sizes of a head's key and value.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
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
    gives all that was convolved, the past and x: its end is the next state.
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
    return kernels.array(result), seen


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
        result, seen = causal(x, weight, bias, past_state)
        return activated(result, activation), seen[:, :, seen.shape[2] - weight.shape[2] + 1 :]


def split(x: Array, heads: int) -> Array:
    """(B, T, N·K) → (B, N, T, K)."""
    return x.reshape(*x.shape[:2], heads, -1).transpose(0, 2, 1, 3)


def recurred(
    q: Array,
    k: Array,
    v: Array,
    state: Array,
    decay: Array | None,
    beta: Array | None,
) -> Iterator[tuple[Array, Array]]:
    """Yields for each token what its queries read, (B, N, V), and the state after it, (B, G, K, V).

    q (B, N, T, K), k (B, G, T, K), v (B, G, T, V). A state decays by exp(decay), of (B, G, T, 1 or
    K); where there is beta, (B, G or 1, T, 1), a token writes that share of the difference between
    its value and what the state had for its key (the delta rule). One of N and G is a multiple of
    the other: neighbouring heads share.
    """
    for token in range(q.shape[2]):
        key, value = k[:, :, token], v[:, :, token]
        if decay is not None:
            state = state * np.exp(decay[:, :, token])[..., None]
        if beta is not None:
            kept = (key[..., None, :] @ state)[..., 0, :]
            value = beta[:, :, token] * (value - kept)
        state = state + key[..., :, None] * value[..., None, :]
        query, source = shared(q[:, :, token], state)
        yield (query[..., None, :] @ source)[..., 0, :], state


def shared(a: Array, b: Array) -> tuple[Array, Array]:
    """Repeats heads, the second dimension, of the one that has fewer."""
    heads = max(a.shape[1], b.shape[1])
    return np.repeat(a, heads // a.shape[1], axis=1), np.repeat(b, heads // b.shape[1], axis=1)


def refuse_unless_stated(update_rule: str, decay: Array | None, beta: Array | None) -> None:
    """Raises NotImplementedError where the rule and the inputs that it needs do not go together."""
    needed = {
        "linear": (False, False),
        "gated": (True, False),
        "delta": (False, True),
        "gated_delta": (True, True),
    }
    if needed.get(update_rule) != (decay is not None, beta is not None):
        raise NotImplementedError(f"update_rule {update_rule} with these inputs")


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
        refuse_unless_stated(update_rule, decay, beta)
        q, k, v = split(query, q_num_heads), split(key, kv_num_heads), split(value, kv_num_heads)
        if past_state is None:
            past_state = np.zeros((len(k), kv_num_heads, k.shape[3], v.shape[3]), q.dtype)
        steps = recurred(
            q,
            k,
            v,
            past_state,
            None if decay is None else split(decay, kv_num_heads),
            None if beta is None else split(beta, beta.shape[2]),
        )
        read, states = zip(*steps, strict=True)
        out = np.stack(read, axis=1) * (scale or 1 / math.sqrt(q.shape[3]))  # (B, T, N, V)
        return out.reshape(*out.shape[:2], -1), states[-1]


OWN = (CausalConvWithState, LinearAttention)
