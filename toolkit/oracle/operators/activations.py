"""Computes softmax, activations and the like, each element or row by itself.

Add, Sub, Mul, Div, Neg, Abs, Clip, Exp, Log, Sqrt and Tanh are not among them: numpy's float64 is
as fast as torch's, or up to six times faster (Sqrt), on one thread each.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from onnx.reference.op_run import OpRun
from onnx.reference.ops.op_elu import Elu as _Elu
from onnx.reference.ops.op_hard_sigmoid import HardSigmoid as _HardSigmoid
from onnx.reference.ops.op_leaky_relu import LeakyRelu as _LeakyRelu
from onnx.reference.ops.op_pow import Pow as _Pow
from onnx.reference.ops.op_relu import Relu as _Relu
from onnx.reference.ops.op_sigmoid import Sigmoid as _Sigmoid
from onnx.reference.ops.op_softmax import Softmax as _Softmax
from onnx.reference.ops.op_softplus import Softplus as _Softplus
from onnx.reference.ops.op_swish import Swish as _Swish
from onnx.reference.ops.op_where import Where as _Where

from toolkit.oracle.operators import kernels
from toolkit.oracle.operators.kernels import room
from toolkit.oracle.operators.large import large
from toolkit.tensors import Array

if TYPE_CHECKING:
    from torch import Tensor

Outputs: TypeAlias = tuple[Array, ...]
SIXTH = float(np.float32(1 / 6))
"""The slope of HardSwish, which the standard writes as a float32."""
POWERS = {2.0, 3.0}
"""Exponents that torch turns into products. numpy takes 46 ns for each cube; its roots and inverses
are as fast as torch's, and higher powers are rare."""


class _Erf(OpRun):
    """The error function; numpy has none."""

    def _run(self, x: Array) -> Outputs:
        return (_erf(x),)


class _Gelu(OpRun):
    """x·Φ(x), or the tanh that approximates it."""

    def _run(self, x: Array, approximate: str = "none") -> Outputs:
        if approximate == "tanh":
            return (0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x))),)
        return (0.5 * x * (1 + _erf(x / math.sqrt(2))),)


class _HardSwish(OpRun):
    """x·max(0, min(1, x / 6 + ½))."""

    def _run(self, x: Array) -> Outputs:
        gate = np.clip(x * np.float32(SIXTH) + np.float32(0.5), 0, 1)
        return ((x * gate).astype(x.dtype, copy=False),)


class _LogSoftmax(OpRun):
    """The logarithm of softmax, also where softmax itself is too small for a float."""

    def _run(self, x: Array, axis: int = -1) -> Outputs:
        if x.size == 0:
            return (x,)
        shifted = x - x.max(axis=axis, keepdims=True)
        return (shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True)),)


def _erf(x: Array) -> Array:
    import torch

    with kernels.threads(all_of_them=x.size >= kernels.MANY):
        return kernels.array(torch.erf(kernels.tensor(x)))


def softmax(x: Tensor, *, axis: int) -> Tensor:
    """Softmax along one axis."""
    import torch

    return torch.softmax(x, axis, out=room(x))


def log_softmax(x: Tensor, *, axis: int) -> Tensor:
    """The logarithm of softmax along one axis."""
    import torch

    return torch.log_softmax(x, axis, out=room(x))


def erf(x: Tensor) -> Tensor:
    """The error function."""
    import torch

    return torch.erf(x, out=room(x))


def gelu(x: Tensor, *, approximate: str = "none") -> Tensor:
    """x·Φ(x), or the tanh that approximates it, without torch's kernel, whose float64 is slow."""
    import torch

    if approximate == "tanh":
        inner = torch.mul(x, x, out=room(x)).mul_(0.044715).add_(1).mul_(x)
        outer = inner.mul_(math.sqrt(2 / math.pi)).tanh_()
    else:
        outer = torch.mul(x, math.sqrt(0.5), out=room(x)).erf_()
    return outer.add_(1).mul_(x).mul_(0.5)


def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""
    import torch

    return torch.sigmoid(x, out=room(x))


def relu(x: Tensor) -> Tensor:
    """The larger of x and 0; NaN stays."""
    import torch

    return torch.clamp_min(x, 0, out=room(x))


def leaky_relu(x: Tensor, *, alpha: float) -> Tensor:
    """x, and `alpha`·x below 0."""
    import torch

    outcome: Tensor = torch.ops.aten.leaky_relu.out(x, float(alpha), out=room(x))
    return outcome


def elu(x: Tensor, *, alpha: float) -> Tensor:
    """x, and `alpha`·(exp(x) - 1) below 0."""
    import torch

    outcome: Tensor = torch.ops.aten.elu.out(x, float(alpha), out=room(x))
    return outcome


def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x))."""
    import torch

    return torch.logaddexp(x, torch.zeros((), dtype=x.dtype), out=room(x))


def swish(x: Tensor, *, alpha: float) -> Tensor:
    """x·sigmoid(`alpha`·x)."""
    import torch

    return torch.mul(x, float(alpha), out=room(x)).sigmoid_().mul_(x)


def hard_sigmoid(x: Tensor, *, alpha: float, beta: float) -> Tensor:
    """max(0, min(1, `alpha`·x + `beta`))."""
    import torch

    return torch.mul(x, float(alpha), out=room(x)).add_(float(beta)).clamp_(0, 1)


def hard_swish(x: Tensor) -> Tensor:
    """x·max(0, min(1, x / 6 + ½))."""
    return hard_sigmoid(x, alpha=SIXTH, beta=0.5).mul_(x)


def power(x: Tensor, exponent: Tensor) -> Tensor | None:
    """Squares and cubes."""
    import torch

    one = exponent.numel() == 1 and exponent.ndim <= x.ndim
    if not one or not x.is_floating_point() or float(exponent) not in POWERS:
        return None
    return torch.pow(x, float(exponent), out=room(x))


def where(condition: Tensor, x: Tensor, y: Tensor) -> Tensor | None:
    """x where the condition holds, else y."""
    import torch

    if x.dtype != y.dtype:
        return None
    shape = np.broadcast_shapes(condition.shape, x.shape, y.shape)
    return torch.where(condition, x, y, out=room(x, shape))


OWN: tuple[type[OpRun], ...] = large(
    {
        _Elu: elu,
        _Erf: erf,
        _Gelu: gelu,
        _HardSigmoid: hard_sigmoid,
        _HardSwish: hard_swish,
        _LeakyRelu: leaky_relu,
        _LogSoftmax: log_softmax,
        _Pow: power,
        _Relu: relu,
        _Sigmoid: sigmoid,
        _Softmax: softmax,
        _Softplus: softplus,
        _Swish: swish,
        _Where: where,
    }
)
"""The operator for small arrays → the function for large ones."""
