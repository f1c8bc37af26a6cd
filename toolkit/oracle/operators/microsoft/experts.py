"""Computes mixtures of experts (Shazeer et al., Outrageously Large Neural Networks, 2017)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from toolkit.oracle.operators.microsoft.activations import sigmoid, softmax, swiglu
from toolkit.oracle.operators.microsoft.base import Fused, Outputs, refuse_unless
from toolkit.tensors import Array

ACTIVATIONS: Mapping[str, Callable[[Array], Array]] = {
    "gelu": lambda x: 0.5 * x * (1 + np.tanh(0.7978845608028654 * (x + 0.044715 * x**3))),
    "identity": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "silu": lambda x: x * sigmoid(x),
}
"""What stands between an expert's two products, by `activation_type`; swiglu apart from these.
gelu is the tanh that approximates it, as the CPU kernel has it."""

LEAST = 1e-20
"""The least share of which a router takes the logarithm."""


def routed(logits: Array, k: int, normalize: bool) -> tuple[Array, Array]:
    """Gives the k experts of each token and their weights, both (tokens, k), from (tokens, E).

    Among equals the expert of the higher number comes first, as in ONNX Runtime's CPU kernel.
    """
    shares = softmax(logits)
    experts = np.argsort(shares, axis=-1, kind="stable")[:, : -k - 1 : -1]
    weights = np.take_along_axis(shares, experts, axis=-1)
    return experts, weights / weights.sum(axis=-1, keepdims=True) if normalize else weights


class MoE(Fused):
    """Sums what the k best experts of each token make of it, weighted by the router's softmax.

    input (…, D), router_probs (tokens, E) before the softmax, weights (E, rows, columns). swiglu
    has gate and rest of its first product in turns (swiglu_fusion 1). ONNX Runtime's CPU has no
    kernel for the other layouts, for fc3, nor for relu2 and geglu; use_sparse_mixer, which that
    kernel does not describe, is refused too.
    """

    def compute(
        self,
        x: Array,
        router: Array,
        fc1: Array,
        fc1_bias: Array | None,
        fc2: Array,
        fc2_bias: Array | None = None,
        fc3: Array | None = None,
        fc3_bias: Array | None = None,
        k: int = 1,
        activation_type: str = "relu",
        normalize_routing_weights: int = 0,
        activation_alpha: float = 1.0,
        activation_beta: float = 0.0,
        swiglu_limit: float | None = None,
        swiglu_fusion: int = 0,
        swiglu_limit_after_activation: int = 0,
        use_sparse_mixer: int = 0,
    ) -> Outputs:
        refuse_unless(fc3 is None and fc3_bias is None, "fc3_experts_weights")
        refuse_unless(not use_sparse_mixer, "use_sparse_mixer")
        refuse_unless(not swiglu_limit_after_activation, "swiglu_limit_after_activation")

        def activated(hidden: Array) -> Array:
            if activation_type != "swiglu":
                return ACTIVATIONS[activation_type](hidden)
            gate, up = hidden[:, ::2], hidden[:, 1::2]
            return swiglu(gate, up, activation_alpha, activation_beta, swiglu_limit)

        refuse_unless(
            activation_type in ACTIVATIONS or activation_type == "swiglu",
            f"activation_type {activation_type}",
        )
        refuse_unless(
            activation_type != "swiglu" or swiglu_fusion == 1, f"swiglu_fusion {swiglu_fusion}"
        )
        tokens = x.reshape(-1, x.shape[-1])
        experts, weights = routed(router, k, bool(normalize_routing_weights))
        out = np.zeros_like(tokens)
        for expert in np.unique(experts):
            token, rank = np.nonzero(experts == expert)
            hidden = tokens[token] @ fc1[expert].T
            hidden = activated(hidden if fc1_bias is None else hidden + fc1_bias[expert])
            result = hidden @ fc2[expert].T
            result = result if fc2_bias is None else result + fc2_bias[expert]
            # Each token has an expert once, so no row stands twice in `token`.
            out[token] += weights[token, rank][:, None] * result
        return (out.reshape(x.shape),)


class MoEGroupRouter(Fused):
    """Chooses the k best experts among those of the best groups (DeepSeek-V3, 2024), and gives them
    the logarithm of their sigmoid and all others a sentinel: (tokens, E).

    A group is as good as the sum of its `group_topk` best experts, whose biases count for choosing
    only. Instead, the sigmoids with and without biases may be asked for. ONNX Runtime's CPU has no
    kernel for projection_weight.
    """

    def compute(
        self,
        logits: Array,
        expert_bias: Array,
        projection_weight: Array | None = None,
        *,
        top_k: int,
        n_group: int = 1,
        topk_group: int = 1,
        group_topk: int = 2,
        router_sentinel: float = -10000.0,
    ) -> Outputs:
        refuse_unless(projection_weight is None, "projection_weight")
        shares = sigmoid(logits.reshape(-1, logits.shape[-1]))
        biased = shares + expert_bias
        groups = biased.reshape(len(shares), n_group, -1)
        best = -np.sort(-groups, axis=-1)[..., :group_topk].sum(axis=-1)
        open_groups = _best(best, topk_group)[..., None]
        candidates = np.where(open_groups, groups, -np.inf).reshape(shares.shape)
        routed = np.log(np.maximum(shares, LEAST))
        return np.where(_best(candidates, top_k), routed, router_sentinel), biased, shares


def _best(values: Array, count: int) -> Array:
    """Says which are the largest along the last axis; the first ones among equals."""
    order = np.argsort(-values, axis=-1, kind="stable")
    return np.asarray(np.argsort(order, axis=-1) < count)


OWN = (MoE, MoEGroupRouter)
