"""Convolves integers with torch's double kernels, whose sums of integers are exact."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onnx.reference.op_run import OpRun

from toolkit.oracle.operators.quantized.products import int32
from toolkit.oracle.operators.quantized.rounding import (
    Outputs,
    Rounding,
    Steps,
    shifted,
    single,
    wide,
    zero_of,
)
from toolkit.tensors import Array


def convolved(x: Array, w: Array, given: dict[str, Any]) -> Array:
    """Convolves x (N, C, in…) with w (M, C / group, kernel…), both float64 → (N, M, out…).

    Raises NotImplementedError beyond three spatial dimensions.
    """
    import torch

    rank = w.ndim - 2
    by_rank = {1: torch.conv1d, 2: torch.conv2d, 3: torch.conv3d}
    if rank not in by_rank:
        raise NotImplementedError(f"a convolution of {rank} spatial dimensions")
    strides = given.get("strides") or [1] * rank
    dilations = given.get("dilations") or [1] * rank
    reach = [(k - 1) * d + 1 for k, d in zip(w.shape[2:], dilations, strict=True)]
    pads = borders(x.shape[2:], reach, strides, given)
    # torch names the last dimension first.
    around = [width for pair in reversed(pads) for width in pair]
    padded = torch.nn.functional.pad(torch.from_numpy(x), around)
    result = by_rank[rank](
        padded,
        torch.from_numpy(w),
        stride=strides,
        dilation=dilations,
        groups=given.get("group") or 1,
    )
    return result.numpy()


def borders(
    sizes: Sequence[int], reach: Sequence[int], strides: Sequence[int], given: dict[str, Any]
) -> list[tuple[int, int]]:
    """Gives the padding before and behind each axis, by `auto_pad` or as `pads` says."""
    rank, auto = len(reach), given.get("auto_pad") or "NOTSET"
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        need = [
            max(0, (-(-size // stride) - 1) * stride + length - size)
            for size, length, stride in zip(sizes, reach, strides, strict=True)
        ]
        small = [(n // 2, n - n // 2) for n in need]
        return small if auto == "SAME_UPPER" else [(b, a) for a, b in small]
    pads = (given.get("pads") if auto == "NOTSET" else None) or [0] * 2 * rank
    return [(pads[i], pads[i + rank]) for i in range(rank)]


def channels(parameter: Array, rank: int) -> Array:
    """Brings what holds for each output channel to the form (M, 1, …); one holds for all."""
    return parameter.reshape(()) if parameter.size == 1 else parameter.reshape(-1, *[1] * rank)


class ConvInteger(OpRun):
    """The convolution of 8-bit tensors in int32; padding is the number 0."""

    def _run(
        self,
        x: Array,
        w: Array,
        x_zero: Array | None = None,
        w_zero: Array | None = None,
        **given: Any,
    ) -> Outputs:
        weights = shifted(w, None if w_zero is None else channels(w_zero, w.ndim - 1))
        start = None if x_zero is None else single(x_zero)
        return (int32(convolved(shifted(x, start), weights, given)),)


class QLinearConv(Rounding):
    """The convolution of 8-bit tensors in 8 bits. The weights have one scale or one for each output
    channel; the bias is int32 in units of x_scale · w_scale."""

    def steps(
        self,
        x: Array,
        x_scale: Array,
        x_zero: Array | None,
        w: Array,
        w_scale: Array,
        w_zero: Array | None,
        y_scale: Array,
        y_zero: Array | None = None,
        bias: Array | None = None,
        **given: Any,
    ) -> Steps:
        rank = w.ndim - 2
        weights = shifted(w, None if w_zero is None else channels(w_zero, rank + 1))
        start = None if x_zero is None else single(x_zero)
        whole = convolved(shifted(x, start), weights, given)
        if bias is not None:
            whole = whole + bias.reshape(-1, *[1] * rank)
        scale = single(wide(x_scale)) * channels(wide(w_scale), rank) / single(wide(y_scale))
        return whole * scale, zero_of(y_zero, x)
