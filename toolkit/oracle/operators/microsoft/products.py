"""Computes matrix products with what is fused to them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from toolkit.oracle.operators.microsoft.activations import activate, fast_gelu
from toolkit.oracle.operators.microsoft.base import Fused, Outputs, product, refuse_unless
from toolkit.tensors import Array


def turned(x: Array, transpose: int, transpose_batch: int) -> Array:
    """Brings a factor into the form that is multiplied.

    `transpose_batch` moves the first dimension before the last, `transpose` then swaps the last
    two. A vector stays as it is.
    """
    if x.ndim < 2:
        return x
    if transpose_batch:
        x = np.moveaxis(x, 0, -2)
    return x.swapaxes(-1, -2) if transpose else x


class FusedMatMul(Fused):
    """alpha·A·B as numpy.matmul multiplies, of factors that may be transposed before."""

    def compute(
        self,
        a: Array,
        b: Array,
        alpha: float = 1.0,
        transA: int = 0,
        transB: int = 0,
        transBatchA: int = 0,
        transBatchB: int = 0,
    ) -> Outputs:
        result = product(turned(a, transA, transBatchA), turned(b, transB, transBatchB))
        return (np.asarray(alpha * result),)


class TransposeMatMul(FusedMatMul):
    """FusedMatMul under its older name."""


class FusedMatMulActivation(FusedMatMul):
    """FusedMatMul with an activation behind it. ONNX Runtime's CPU has no kernel of it."""

    def compute(  # type: ignore[override]
        self,
        a: Array,
        b: Array,
        activation: str = "",
        activation_alpha: float | None = None,
        activation_beta: float | None = None,
        activation_gamma: float | None = None,
        activation_axis: int | None = None,
        **how: float,
    ) -> Outputs:
        refuse_unless(activation_axis is None, "activation_axis")
        (result,) = super().compute(a, b, **how)  # type: ignore[arg-type]
        params = stated(activation_alpha, activation_beta, activation_gamma)
        return (activate(result, activation, params),)


class FusedGemm(Fused):
    """activation(alpha·A·B + beta·C), of factors that may be transposed before."""

    def compute(
        self,
        a: Array,
        b: Array,
        c: Array | None = None,
        alpha: float = 1.0,
        beta: float = 1.0,
        transA: int = 0,
        transB: int = 0,
        activation: str = "",
        activation_alpha: float | None = None,
        activation_beta: float | None = None,
        activation_gamma: float | None = None,
    ) -> Outputs:
        result = alpha * product(turned(a, transA, 0), turned(b, transB, 0))
        summed = result if c is None else result + beta * c
        params = stated(activation_alpha, activation_beta, activation_gamma)
        return (activate(summed, activation, params),)


class GemmFastGelu(Fused):
    """FastGelu of X·W + bias. ONNX Runtime's CPU has no kernel of it."""

    def compute(self, x: Array, w: Array, bias: Array | None = None) -> Outputs:
        result = product(x, w)
        return (fast_gelu(result if bias is None else result + bias),)


def stated(*params: float | None) -> Sequence[float]:
    """Lists the parameters of an activation that a node states: alpha, beta, gamma."""
    return [each for each in params if each is not None]


OWN = (FusedGemm, FusedMatMul, FusedMatMulActivation, GemmFastGelu, TransposeMatMul)
