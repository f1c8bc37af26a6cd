"""Computes convolutions and pools with what is fused to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from toolkit.oracle.operators.microsoft.activations import activate
from toolkit.oracle.operators.microsoft.base import Outputs
from toolkit.oracle.operators.pools import MaxPool
from toolkit.oracle.operators.products import Conv, ConvTranspose
from toolkit.tensors import Array


class FusedConv(Conv):
    """activation(convolution + B + Z): x (N, C, in…), w (M, C / group, kernel…)."""

    op_domain = "com.microsoft"
    op_schema = None

    def _run(  # type: ignore[override]
        self,
        x: Array,
        w: Array,
        b: Array | None = None,
        z: Array | None = None,
        activation: str = "",
        activation_params: Sequence[float] = (),
        **given: Any,
    ) -> Outputs:
        (result,) = super()._run(x, w, b, **given)
        return (activate(result if z is None else result + z, activation, activation_params),)


class NhwcFusedConv(FusedConv):
    """As FusedConv, of x and Z (N, in…, C). ONNX Runtime's CPU has no kernel of it."""

    def _run(  # type: ignore[override]
        self,
        x: Array,
        w: Array,
        b: Array | None = None,
        z: Array | None = None,
        **given: Any,
    ) -> Outputs:
        added = None if z is None else np.moveaxis(z, -1, 1)
        (result,) = super()._run(np.moveaxis(x, -1, 1), w, b, added, **given)
        return (np.ascontiguousarray(np.moveaxis(result, 1, -1)),)


class NhwcConv(NhwcFusedConv):
    """The convolution of x (N, in…, C). ONNX Runtime's CPU has no kernel of it."""


class ConvTransposeWithDynamicPads(ConvTranspose):
    """The transposed convolution whose pads are an input."""

    op_domain = "com.microsoft"
    op_schema = None

    def _run(  # type: ignore[override]
        self, x: Array, w: Array, pads: Array, b: Array | None = None, **given: Any
    ) -> Outputs:
        return super()._run(x, w, b, **{**given, "pads": [int(p) for p in pads]})


class NhwcMaxPool(MaxPool):
    """The maximum of each window of x (N, in…, C), whose numbers have 8 bits."""

    op_domain = "com.microsoft"
    op_schema = None

    def _run(self, x: Array, **given: Any) -> Outputs:
        (pooled,) = super()._run(np.moveaxis(x, -1, 1), **given)
        return (np.ascontiguousarray(np.moveaxis(pooled, 1, -1)),)


OWN = (ConvTransposeWithDynamicPads, FusedConv, NhwcConv, NhwcFusedConv, NhwcMaxPool)
