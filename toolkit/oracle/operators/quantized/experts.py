"""Runs a mixture of experts with weights of a few bits."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx.reference.op_run import OpRun

from toolkit.oracle.operators.quantized.blocks import computing, unpacked
from toolkit.oracle.operators.quantized.rounding import DOMAIN, Outputs
from toolkit.tensors import Array


def _sigmoid(x: Array) -> Array:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))


def _gelu(x: Array) -> Array:
    """The tanh that approximates GELU: all kernels of this operator have it."""
    return np.asarray(0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))))


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": lambda x: np.maximum(x, 0),
    "gelu": _gelu,
    "silu": lambda x: x * _sigmoid(x),
    "identity": lambda x: x,
}
"""The activations of one number."""


@dataclass(frozen=True)
class ExpertWeights:
    """One layer of all E experts, from I inputs to O outputs."""

    packed: Array
    """(E, O, I · bits / 8) uint8."""
    scales: Array
    """(E, O), or (E, O, I / block) for blocks."""
    bias: Array | None
    """(E, O)."""
    zeros: Array | None
    """Packed like the weights along the last axis of the scales."""
    bits: int

    def applied(self, expert: int, x: Array) -> Array:
        """Runs one expert: x (T, I) → (T, O)."""
        integers = unpacked(self.packed[expert], self.bits)[:, : x.shape[1]].astype(x.dtype)
        scales = self.scales[expert].astype(x.dtype)
        starts = np.full(scales.shape, 2 ** (self.bits - 1), x.dtype)
        if self.zeros is not None:
            each = unpacked(self.zeros[expert], self.bits)
            starts = each[..., : scales.shape[-1]].astype(x.dtype)
        columns = scales.reshape(len(scales), -1).shape[1]
        block = x.shape[1] // columns
        weights = integers - _along(starts, columns, block)
        result = x @ (weights * _along(scales, columns, block)).T
        return np.asarray(result if self.bias is None else result + self.bias[expert])


def _along(parameter: Array, columns: int, block: int) -> Array:
    """Repeats what each block has for all its inputs: (O, I / block) or (O,) → (O, I)."""
    return np.repeat(parameter.reshape(-1, columns), block, axis=1)


@dataclass(frozen=True)
class Gate:
    """SwiGLU: how an expert joins its gate g and its linear half l."""

    alpha: float
    beta: float
    limit: float | None

    def joined(self, g: Array, l: Array) -> Array:  # noqa: E741 - the letters of the definition
        """G · sigmoid(alpha · G) · (L + beta), with G cut above and L on both sides."""
        if self.limit is not None:
            g, l = np.minimum(g, self.limit), np.clip(l, -self.limit, self.limit)  # noqa: E741
        return np.asarray(g * _sigmoid(self.alpha * g) * (l + self.beta))


class QMoE(OpRun):
    """Sends each token through its k best experts, whose weights have 2, 4 or 8 bits.

    x (…, H), router (T, E). ONNX Runtime's kernel quantises activations to int8 where the weights
    have 8 bits in blocks, or at `accuracy_level` 4; here they stay what they are.
    """

    op_domain = DOMAIN
    op_schema = None

    def _run(self, x: Array, router: Array, *more: Array | None, **given: Any) -> Outputs:
        _check(more, given)
        inputs = (*more, *[None] * (13 - len(more)))
        kind = computing(x.dtype)
        tokens = x.reshape(-1, x.shape[-1]).astype(kind)
        first, second = _layer(inputs, 1, given), _layer(inputs, 2, given)
        chosen, shares = routes(router.astype(kind), inputs[12], given)
        result = np.zeros_like(tokens)
        for expert in range(router.shape[1]):
            rows, ranks = np.nonzero(chosen == expert)
            if len(rows):
                hidden = activated(first.applied(expert, tokens[rows]), given)
                result[rows] += shares[rows, ranks][:, None] * second.applied(expert, hidden)
        return (result.reshape(x.shape).astype(x.dtype),)


def routes(router: Array, weights: Array | None, given: dict[str, Any]) -> tuple[Array, Array]:
    """Picks the k experts of each token (T, k) and their shares: the softmax over the picked, or
    the numbers of `weights` (T, E), which `normalize_routing_weights` brings to the sum 1."""
    chosen = np.argsort(-router, axis=1, kind="stable")[:, : given.get("k", 1)]
    if weights is None:
        picked = np.take_along_axis(router, chosen, 1)
        powers = np.exp(picked - picked.max(axis=1, keepdims=True))
        return chosen, powers / powers.sum(axis=1, keepdims=True)
    shares = np.take_along_axis(weights.astype(router.dtype), chosen, 1)
    if given.get("normalize_routing_weights"):
        shares = shares / shares.sum(axis=1, keepdims=True)
    return chosen, shares


def activated(values: Array, given: dict[str, Any]) -> Array:
    """Applies the activation: (T, I) → (T, I); swiglu takes (T, 2·I), gate and half in turns."""
    activation = given.get("activation_type", "relu")
    if activation != "swiglu":
        return ACTIVATIONS[activation](values)
    gate = Gate(
        given.get("activation_alpha", 1.0),
        given.get("activation_beta", 0.0),
        given.get("swiglu_limit"),
    )
    return gate.joined(values[:, ::2], values[:, 1::2])


def _layer(inputs: tuple[Array | None, ...], number: int, given: dict[str, Any]) -> ExpertWeights:
    packed, scales, bias = inputs[3 * number - 3 : 3 * number]
    if packed is None or scales is None:
        raise NotImplementedError(f"fc{number} without weights or scales")
    return ExpertWeights(
        packed, scales, bias, inputs[8 + number], given.get("expert_weight_bits", 4)
    )


def _check(more: tuple[Array | None, ...], given: dict[str, Any]) -> None:
    """Raises NotImplementedError for what ONNX Runtime does not compute on the processor."""
    if given.get("quant_type", "int") != "int":
        raise NotImplementedError(f"quant_type = {given['quant_type']}")
    for name in ("use_sparse_mixer", "swiglu_limit_after_activation"):
        if given.get(name):
            raise NotImplementedError(f"{name} = 1")
    for name in ("fc1_expert_weight_bits", "fc2_expert_weight_bits", "fc3_expert_weight_bits"):
        if given.get(name, given.get("expert_weight_bits", 4)) != given.get(
            "expert_weight_bits", 4
        ):
            raise NotImplementedError(f"{name} = {given[name]}")
    if given.get("weights_prepacked") == 1:
        raise NotImplementedError("weights_prepacked = 1")
    activation, fusion = given.get("activation_type", "relu"), given.get("swiglu_fusion", 0)
    if activation not in (*ACTIVATIONS, "swiglu"):
        raise NotImplementedError(f"activation_type = {activation}")
    if activation == "swiglu" and fusion != 1:
        raise NotImplementedError(f"swiglu_fusion = {fusion}")
    if any(part is not None for part in (*more[6:9], *more[11:12])):
        raise NotImplementedError("fc3")
    if any(extra is not None for extra in more[13:]):
        raise NotImplementedError("global scales or scales of activations")
