"""Computes activations, alone and with what is fused before them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from toolkit.oracle.operators import kernels
from toolkit.oracle.operators.microsoft.base import Fused, Outputs, refuse_unless
from toolkit.tensors import Array

SMALL = 4096
"""Elements up to which the error function is Python's: 0.1 µs each, without torch's threads, which
wait for each other where the cores are busy (see `base.FEW`)."""
_erf = np.vectorize(math.erf, otypes=["d"])


def erf(x: Array) -> Array:
    """The error function, in the type of its argument."""
    import torch

    if 0 < x.size <= SMALL:
        return np.asarray(_erf(x), x.dtype)
    return kernels.array(torch.special.erf(kernels.tensor(np.asarray(x))))


def sigmoid(x: Array) -> Array:
    """1 / (1 + e^-x), without overflow on either side."""
    small = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1, small) / (1 + small))


def gelu(x: Array) -> Array:
    """x·Φ(x)."""
    return np.asarray(0.5 * x * (1 + erf(x * math.sqrt(0.5))))


def fast_gelu(x: Array) -> Array:
    """The tanh that approximates x·Φ(x), with the digits of ONNX Runtime's documentation."""
    return np.asarray(0.5 * x * (1 + np.tanh(0.7978845608028654 * x + 0.035677408136300125 * x**3)))


def softmax(x: Array, axes: tuple[int, ...] = (-1,)) -> Array:
    """e^x over its sum along `axes`; NaN where all that lies along them is -inf, as ONNX Runtime
    has it."""
    if not x.size:
        return x
    powers = np.exp(x - x.max(axis=axes, keepdims=True))
    return np.asarray(powers / powers.sum(axis=axes, keepdims=True))


def _hard_sigmoid(x: Array, alpha: float = 0.2, beta: float = 0.5) -> Array:
    return np.clip(alpha * x + beta, 0, 1)


def _leaky_relu(x: Array, alpha: float = 0.01) -> Array:
    return np.where(x >= 0, x, alpha * x)


def _celu(x: Array, alpha: float = 1.0) -> Array:
    return np.where(x >= 0, x, alpha * np.expm1(np.minimum(x, 0) / alpha))


def _elu(x: Array, alpha: float = 1.0) -> Array:
    return np.where(x >= 0, x, alpha * np.expm1(np.minimum(x, 0)))


def _selu(x: Array, alpha: float = 1.6732631921768188, gamma: float = 1.0507010221481323) -> Array:
    return np.asarray(gamma * _elu(x, alpha))


def _scaled_tanh(x: Array, alpha: float, beta: float) -> Array:
    return np.asarray(alpha * np.tanh(beta * x))


def _parametric_softplus(x: Array, alpha: float, beta: float) -> Array:
    return np.asarray(alpha * np.logaddexp(beta * x, 0))


def _thresholded_relu(x: Array, alpha: float = 1.0) -> Array:
    return np.where(x > alpha, x, 0)


def _clip(x: Array, low: float = -math.inf, high: float = math.inf) -> Array:
    return np.clip(x, low, high)


ACTIVATIONS: Mapping[str, Callable[..., Array]] = {
    "Celu": _celu,
    "Clip": _clip,
    "Elu": _elu,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": lambda x: x * _hard_sigmoid(x, 1 / 6, 0.5),
    "LeakyRelu": _leaky_relu,
    "ParametricSoftplus": _parametric_softplus,
    "Relu": lambda x: np.maximum(x, 0),
    "ScaledTanh": _scaled_tanh,
    "Selu": _selu,
    "Sigmoid": sigmoid,
    "Softplus": lambda x: np.logaddexp(x, 0),
    "Softsign": lambda x: x / (1 + np.abs(x)),
    "Tanh": np.tanh,
    "ThresholdedRelu": _thresholded_relu,
}
"""Name of ONNX's operator → what it computes, with its parameters in the order of `params`."""


def activate(x: Array, name: str, params: Sequence[float] = ()) -> Array:
    """Applies the activation that a fused operator names; none where the name is empty.

    Raises NotImplementedError for a name that ONNX Runtime's CPU kernels do not know.
    """
    if not name:
        return x
    refuse_unless(name in ACTIVATIONS, f"the activation {name}")
    return np.asarray(ACTIVATIONS[name](x, *params))


class Gelu(Fused):
    """x·Φ(x)."""

    def compute(self, x: Array) -> Outputs:
        return (gelu(x),)


class FastGelu(Fused):
    """The tanh that approximates x·Φ(x), of x + bias."""

    def compute(self, x: Array, bias: Array | None = None) -> Outputs:
        return (fast_gelu(x if bias is None else x + bias),)


class QuickGelu(Fused):
    """x·sigmoid(alpha·x)."""

    def compute(self, x: Array, alpha: float = 1.702) -> Outputs:
        return (x * sigmoid(alpha * x),)


class BiasGelu(Fused):
    """x·Φ(x) of x + bias."""

    def compute(self, x: Array, bias: Array) -> Outputs:
        return (gelu(x + bias),)


class BiasAdd(Fused):
    """x (N, S, C) + bias (C) + skip (N, S, C)."""

    def compute(self, x: Array, bias: Array, skip: Array) -> Outputs:
        return (x + bias + skip,)


class BiasSplitGelu(Fused):
    """x (N, S, D) + bias (D), of which the first half multiplies the Gelu of the second."""

    def compute(self, x: Array, bias: Array) -> Outputs:
        left, right = np.split(x + bias, 2, axis=-1)
        return (left * gelu(right),)


class SwiGLU(Fused):
    """gate·sigmoid(alpha·gate)·(up + beta); `gate` holds both halves where `up` is left out.

    A positive limit clamps the gate from above and `up` on both sides. `round_activation` rounds to
    the type of the input, which in float64 is nothing.
    """

    def compute(
        self,
        gate: Array,
        up: Array | None = None,
        activation_alpha: float = 1.0,
        activation_beta: float = 0.0,
        limit: float = 0.0,
        round_activation: int = 0,
    ) -> Outputs:
        if up is None:
            gate, up = np.split(gate, 2, axis=-1)
        bound = limit if limit > 0 else None
        return (swiglu(gate, up, activation_alpha, activation_beta, bound),)


def swiglu(gate: Array, up: Array, alpha: float, beta: float, limit: float | None) -> Array:
    """gate·sigmoid(alpha·gate)·(up + beta), both clamped by `limit`, the gate from above alone."""
    if limit is not None:
        gate, up = np.minimum(gate, limit), np.clip(up, -limit, limit)
    return np.asarray(gate * sigmoid(alpha * gate) * (up + beta))


class BiasDropout(Fused):
    """x + bias + residual, as a dropout that does not train leaves it; its mask is all true."""

    def compute(
        self,
        x: Array,
        bias: Array,
        residual: Array | None = None,
        ratio: Array | None = None,
        training_mode: Array | None = None,
        seed: int | None = None,
    ) -> Outputs:
        trains = training_mode is not None and bool(np.asarray(training_mode).item())
        refuse_unless(not trains, "training_mode: it draws at random")
        summed = x + bias if residual is None else x + bias + residual
        return summed, np.ones(summed.shape, bool)


class BiasSoftmax(Fused):
    """The softmax of x + bias over all dimensions from `axis` on.

    The bias lacks the dimensions that it is repeated along: with `is_inner_broadcast` some just
    before `axis`, which have the size 1 in it, else the first ones, which may be missing.
    """

    def compute(self, x: Array, bias: Array, axis: int = 1, is_inner_broadcast: int = 0) -> Outputs:
        first = axis % x.ndim
        return (softmax(x + bias, tuple(range(first, x.ndim))),)


class ScaledSiLU(Fused):
    """z·sigmoid(z) of z = scale·x; `alpha` is the scale where no input is."""

    def compute(self, x: Array, scale: Array | None = None, alpha: float = 1.0) -> Outputs:
        scaled = x * (alpha if scale is None else scale.reshape(()))
        return (scaled * sigmoid(scaled),)


OWN = (
    BiasAdd,
    BiasDropout,
    BiasGelu,
    BiasSoftmax,
    BiasSplitGelu,
    FastGelu,
    Gelu,
    QuickGelu,
    ScaledSiLU,
    SwiGLU,
)
