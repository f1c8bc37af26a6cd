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


OWN = (MoE,)
