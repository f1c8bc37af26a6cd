"""Computes convolutions and pools with what is fused to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from toolkit.oracle.operators.convolution import ConvTranspose
from toolkit.oracle.operators.microsoft.activations import activate
from toolkit.oracle.operators.microsoft.base import Fused, Outputs, refuse_unless, tensor
from toolkit.oracle.operators.pools import MaxPool
from toolkit.tensors import Array


def convolved(x: Array, w: Array, b: Array | None, given: dict[str, Any]) -> Array:
    """Convolves x (N, C, in…) of one to three spatial dimensions by ONNX's attributes."""
    import torch

    rank = x.ndim - 2
    refuse_unless(1 <= rank <= 3, f"{rank} spatial dimensions")
    strides = given.get("strides") or [1] * rank
    dilations = given.get("dilations") or [1] * rank
    reach = [(k - 1) * d + 1 for k, d in zip(w.shape[2:], dilations, strict=True)]
    pads = _pads(x.shape[2:], reach, strides, given)
    padded = np.pad(x, [(0, 0), (0, 0), *pads])
    kernel = getattr(torch.nn.functional, f"conv{rank}d")
    bias = None if b is None else tensor(b)
    result: Array = kernel(
        tensor(padded),
        tensor(w),
        bias,
        stride=tuple(strides),
        dilation=tuple(dilations),
        groups=given.get("group") or 1,
    ).numpy()
    return result


def _pads(
    sizes: Sequence[int], reach: Sequence[int], strides: Sequence[int], given: dict[str, Any]
) -> list[tuple[int, int]]:
    """Gives the padding before and behind each axis, by `auto_pad` or as `pads` says."""
    rank, auto = len(reach), given.get("auto_pad") or "NOTSET"
    if not auto.startswith("SAME"):
        pads = given.get("pads") if auto == "NOTSET" else None
        pads = pads or [0] * 2 * rank
        return list(zip(pads[:rank], pads[rank:], strict=True))
    need = [
        max(0, (-(-size // s) - 1) * s + r - size)
        for size, r, s in zip(sizes, reach, strides, strict=True)
    ]
    upper = [(n // 2, n - n // 2) for n in need]
    return upper if auto == "SAME_UPPER" else [(behind, before) for before, behind in upper]


class FusedConv(Fused):
    """activation(convolution + B + Z): x (N, C, in…), w (M, C / group, kernel…)."""

    def compute(
        self,
        x: Array,
        w: Array,
        b: Array | None = None,
        z: Array | None = None,
        activation: str = "",
        activation_params: Sequence[float] = (),
        **given: Any,
    ) -> Outputs:
        result = convolved(x, w, b, given)
        return (activate(result if z is None else result + z, activation, activation_params),)


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


OWN = (ConvTransposeWithDynamicPads, FusedConv, NhwcMaxPool)
