"""Computes layers that carry a state from token to token: linear attention, causal convolutions.

Shapes use B for the batch, C channels, T tokens, N heads of queries, G heads of keys and values, K
and V the sizes of a head's key and value.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from toolkit.oracle.operators.microsoft.activations import sigmoid
from toolkit.oracle.operators.microsoft.base import Fused, Outputs, refuse_unless
from toolkit.oracle.operators.states import activated, attended, causal, shared, split
from toolkit.tensors import Array


class LinearAttention(Fused):
    """Attention without a softmax, as ONNX's LinearAttention; each of N and G may be a multiple of
    the other. ONNX Runtime's CPU has no kernel for state_window."""

    def compute(
        self,
        query: Array,
        key: Array,
        value: Array,
        past_state: Array | None = None,
        decay: Array | None = None,
        beta: Array | None = None,
        *,
        q_num_heads: int,
        kv_num_heads: int,
        chunk_size: int = 64,
        scale: float = 0.0,
        update_rule: str = "gated_delta",
        state_window: int = 0,
    ) -> Outputs:
        refuse_unless(not state_window, "state_window")
        return attended(
            (split(query, q_num_heads), split(key, kv_num_heads), split(value, kv_num_heads)),
            past_state,
            None if decay is None else split(decay, kv_num_heads),
            None if beta is None else split(beta, beta.shape[2]),
            scale,
            update_rule,
        )


class CausalConvWithState(Fused):
    """A causal convolution of each channel, and what it saw last: x (B, C, T) or, with
    channels_last, (B, T, channels…).

    ONNX Runtime's CPU has no kernel for two and three dimensions, for state_window and for the
    attributes that its documentation gives to CUDA.
    """

    def compute(
        self,
        x: Array,
        weight: Array,
        bias: Array | None = None,
        past_state: Array | None = None,
        activation: str = "none",
        ndim: int = 1,
        dilation: int = 1,
        channels_last: int = 0,
        state_channels_last: int = -1,
        **unknown: int,
    ) -> Outputs:
        refuse_unless(ndim == 1, f"ndim {ndim}")
        refuse_unless(state_channels_last == -1, "state_channels_last")
        for name, value in unknown.items():
            refuse_unless(not value, name)
        given, past = x, past_state
        if channels_last:
            given, past = _channels_first(x), None if past is None else _channels_first(past)
        result, state = causal(given, weight, bias, past, dilation)
        outputs = activated(result, activation), state
        return tuple(_channels_last(each, x) for each in outputs) if channels_last else outputs


def _channels_first(x: Array) -> Array:
    """(B, T, channels…) → (B, C, T)."""
    return x.reshape(*x.shape[:2], -1).swapaxes(1, 2)


def _channels_last(x: Array, like: Array) -> Array:
    """(B, C, T) → (B, T, channels…), of as many axes as `like`."""
    return np.ascontiguousarray(x.swapaxes(1, 2)).reshape(len(x), -1, *like.shape[2:])


class VarlenCausalConvWithState(Fused):
    """A causal convolution of each channel of several sequences one behind the other: x (tokens,
    C), initial_state (B, C, (k - 1)·dilation). `cumulative` says where each begins and ends.

    ONNX Runtime's CPU has no kernel for kernel_delta; captured states are refused too.
    """

    def compute(
        self,
        x: Array,
        weight: Array,
        cumulative: Array,
        bias: Array | None = None,
        initial_state: Array | None = None,
        capture_count: Array | None = None,
        kernel_delta: Array | None = None,
        previous_mask: Array | None = None,
        activation: str = "none",
        dilation: int = 1,
        state_update_capacity: int = 0,
        delta_offset: int = 0,
        group_size: int = 1,
    ) -> Outputs:
        refuse_unless(kernel_delta is None, "kernel_delta")
        refuse_unless(not state_update_capacity, "state_update_capacity")
        assert initial_state is not None
        results, states = [], []
        for number, (first, end) in enumerate(itertools.pairwise(cumulative)):
            own = x[first:end].T[None]
            past = initial_state[number : number + 1]
            result, state = causal(own, weight, bias, past, dilation)
            results.append(result[0].T)
            states.append(state[0])
        return activated(np.concatenate(results), activation), np.stack(states)


NORM = 1e-6
"""What ONNX Runtime adds to the square of a length before it divides by its root."""


class GatedDeltaNet(Fused):
    """Linear attention of sequences one behind the other, with its gates: query (tokens, N, K), key
    (tokens, N, K), value (tokens, G, V), states (B, G, V, K); N divides G.

    The tokens may be two axes (B, T); query, key and value may be packed into the query. `a_log`
    and `dt_bias` belong to the gate's activation. Captured states are refused.
    """

    def compute(
        self,
        query: Array,
        key: Array | None = None,
        value: Array | None = None,
        cu_seqlens: Array | None = None,
        decay: Array | None = None,
        beta: Array | None = None,
        initial_state: Array | None = None,
        a_log: Array | None = None,
        dt_bias: Array | None = None,
        capture_count: Array | None = None,
        state_update_active: Array | None = None,
        update_rule: str = "gated_delta",
        scale: float = 0.0,
        chunk_size: int = 64,
        qk_l2_norm: int = 0,
        gate_activation: str = "none",
        gate_lower_bound: float = -5.0,
        beta_activation: str = "none",
        state_update_capacity: int = 0,
    ) -> Outputs:
        refuse_unless(not state_update_capacity, "state_update_capacity")
        axes = query.shape[: query.ndim - (1 if key is None else 2)]
        if key is None:
            assert initial_state is not None
            query, key, value = _unpacked(query, initial_state)
        assert value is not None
        q, k, v = (each.reshape(-1, *each.shape[-2:]) for each in (query, key, value))
        if qk_l2_norm:
            q, k = (each / np.sqrt((each**2).sum(-1, keepdims=True) + NORM) for each in (q, k))
        if decay is not None:
            decay = decay.reshape(len(v), v.shape[1], -1)
            decay = _gate(decay, a_log, dt_bias, gate_activation, gate_lower_bound)
        if beta is not None:
            beta = beta.reshape(len(v), -1, 1)
            beta = sigmoid(beta) if beta_activation == "sigmoid" else beta
        ends = _ends(cu_seqlens, initial_state, len(v))
        k, v = shared(k, v)
        results, states = [], []
        for number, (first, end) in enumerate(itertools.pairwise(ends)):
            out, state = attended(
                (_by_head(q[first:end]), _by_head(k[first:end]), _by_head(v[first:end])),
                None if initial_state is None else initial_state[number][None].swapaxes(-1, -2),
                None if decay is None else _by_head(decay[first:end]),
                None if beta is None else _by_head(beta[first:end]),
                scale,
                update_rule,
            )
            results.append(out[0])
            states.append(state[0].swapaxes(-1, -2))
        return np.concatenate(results).reshape(*axes, *v.shape[1:]), np.stack(states)


def _by_head(x: Array) -> Array:
    """(T, heads, size) → (1, heads, T, size)."""
    return x.swapaxes(0, 1)[None]


def _unpacked(packed: Array, state: Array) -> tuple[Array, Array, Array]:
    """Parts query, key and value, whose sizes the state (B, G, V, K) tells."""
    _, heads, value, key = state.shape
    queries = (packed.shape[-1] - heads * value) // 2
    q, k, v = np.split(packed, [queries, 2 * queries], axis=-1)
    return (
        q.reshape(*q.shape[:-1], -1, key),
        k.reshape(*k.shape[:-1], -1, key),
        v.reshape(*v.shape[:-1], heads, value),
    )


def _gate(
    x: Array, a_log: Array | None, bias: Array | None, activation: str, lowest: float
) -> Array:
    """Gives the logarithm of the decay, (tokens, G, 1 or K), from what the model computed."""
    if activation == "none":
        return x
    assert a_log is not None
    assert bias is not None
    rate = np.exp(a_log)[:, None]
    moved = x + bias.reshape(x.shape[1], -1)
    if activation in ("softplus", "qwen"):
        return np.asarray(-rate * np.logaddexp(0, moved))
    refuse_unless(activation in ("sigmoid", "kda"), f"gate_activation {activation}")
    return lowest * sigmoid(rate * moved)


def _ends(cumulative: Array | None, state: Array | None, tokens: int) -> Sequence[int]:
    """Says where each sequence begins and the last one ends."""
    if cumulative is not None:
        return [int(end) for end in cumulative]
    assert state is not None
    return range(0, tokens + 1, tokens // len(state))


class LinearAttentionGate(Fused):
    """The decay, decay_scale·softplus(a + dt_bias), and the update rate, sigmoid(b), of a gated
    delta rule: a and b (B, T, heads)."""

    def compute(
        self, a: Array, dt_bias: Array, decay_scale: Array, b: Array | None = None
    ) -> Outputs:
        decay = np.asarray(decay_scale * np.logaddexp(0, a + dt_bias))
        return (decay,) if b is None else (decay, sigmoid(b))


OWN = (
    CausalConvWithState,
    GatedDeltaNet,
    LinearAttention,
    LinearAttentionGate,
    VarlenCausalConvWithState,
)
