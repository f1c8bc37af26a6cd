"""Computes pools: the input is padded with what does not count, then seen through windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from onnx.reference.op_run import OpRun

from toolkit.tensors import Array

Outputs: TypeAlias = tuple[Array, ...]


@dataclass(frozen=True)
class _Axis:
    """The windows of a pool along one spatial axis."""

    out: int
    """The output's size."""
    reach: int
    """Elements from the first to the last of one window."""
    stride: int
    dilation: int
    pads: tuple[int, int]
    extra: int
    """Padding that ceil_mode adds behind; it counts in no average."""


class _Pool(OpRun):
    """A pool by the standard's shape formula (ceil_mode, auto_pad).

    A window that would begin in the end padding is left out, as in PyTorch and ONNX Runtime.
    """

    def windows(self, x: Array, fill: float, given: dict[str, Any]) -> tuple[Array, Array]:
        """Gives the windows of x (N, C, in…) padded with `fill`: (N, C, out…, kernel…).

        The second array has the windows of what counts in an average, 1 or 0: (1, 1, out…,
        kernel…).
        """
        axes = _axes(x.shape[2:], given)
        grow = [(0, 0), (0, 0), *((a.pads[0], a.pads[1] + a.extra) for a in axes)]
        padded = np.pad(x, grow, constant_values=fill)
        counted = _counted(x.shape[2:], axes, padding=bool(given.get("count_include_pad")))
        return _seen(padded, axes), _seen(counted, axes)


def _axes(sizes: Sequence[int], given: Mapping[str, Any]) -> list[_Axis]:
    kernel = given["kernel_shape"]
    strides = given.get("strides") or [1] * len(kernel)
    dilations = given.get("dilations") or [1] * len(kernel)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    pads = _pads(sizes, reach, strides, given)
    axes = []
    for i, size in enumerate(sizes):
        out, extra = _out(size, pads[i], reach[i], strides[i], bool(given.get("ceil_mode")))
        axes.append(_Axis(out, reach[i], strides[i], dilations[i], pads[i], extra))
    return axes


def _counted(sizes: Sequence[int], axes: Sequence[_Axis], *, padding: bool) -> Array:
    inside = np.ones([1, 1, *sizes])
    pads = [(0, 0), (0, 0), *(a.pads for a in axes)]
    extra = [(0, 0), (0, 0), *((0, a.extra) for a in axes)]
    return np.pad(np.pad(inside, pads, constant_values=int(padding)), extra)


def _seen(array: Array, axes: Sequence[_Axis]) -> Array:
    spatial = tuple(range(2, 2 + len(axes)))
    reach = [a.reach for a in axes]
    view = np.lib.stride_tricks.sliding_window_view(array, reach, spatial)
    return view[
        (
            slice(None),
            slice(None),
            *(slice(0, (a.out - 1) * a.stride + 1, a.stride) for a in axes),
            *(slice(None, None, a.dilation) for a in axes),
        )
    ]


def _out(size: int, pads: tuple[int, int], reach: int, stride: int, ceil: bool) -> tuple[int, int]:
    """Gives the output's size along one axis, and how much padding ceil_mode adds behind."""
    room = size + sum(pads) - reach
    out = (-(-room // stride) if ceil else room // stride) + 1
    if ceil and (out - 1) * stride >= size + pads[0]:
        out -= 1
    return out, max(0, (out - 1) * stride + reach - size - sum(pads))


def _pads(
    sizes: Sequence[int], reach: Sequence[int], strides: Sequence[int], given: Mapping[str, Any]
) -> list[tuple[int, int]]:
    """Gives the padding before and behind each axis, by `auto_pad` or as `pads` says."""
    rank, auto = len(reach), given.get("auto_pad") or "NOTSET"
    if auto == "VALID":
        return [(0, 0)] * rank
    if auto.startswith("SAME"):
        need = [
            max(0, (-(-size // s) - 1) * s + r - size)
            for size, r, s in zip(sizes, reach, strides, strict=True)
        ]
        small = [(n // 2, n - n // 2) for n in need]
        return small if auto == "SAME_UPPER" else [(b, a) for a, b in small]
    pads = given.get("pads") or [0] * 2 * rank
    return [(pads[i], pads[i + rank]) for i in range(rank)]


class MaxPool(_Pool):
    """The maximum of each window and, as a second output, its flat index in the input."""

    def _run(self, x: Array, **given: Any) -> Outputs:
        lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
        windows, _ = self.windows(x, lowest, {**given, "count_include_pad": 0})
        rank = x.ndim - 2
        values = windows.max(axis=tuple(range(-rank, 0)))
        if len(self.onnx_node.output) == 1:
            return (values,)
        # Exact as floats up to 2^53 elements; -1 can stand for padding.
        indices = np.arange(x.size, dtype=np.float64).reshape(x.shape)
        if given.get("storage_order"):  # 1: the flat index counts columns first
            indices = (
                np.arange(x.size, dtype=np.float64)
                .reshape(*x.shape[:2], *x.shape[:1:-1])
                .transpose(0, 1, *range(x.ndim - 1, 1, -1))
            )
        of, _ = self.windows(indices, -1, {**given, "count_include_pad": 0})
        first = windows.reshape(*values.shape, -1).argmax(axis=-1)
        flat = of.reshape(*values.shape, -1)
        return values, np.take_along_axis(flat, first[..., None], -1)[..., 0].astype(np.int64)


class AveragePool(_Pool):
    """The mean of each window."""

    def _run(self, x: Array, **given: Any) -> Outputs:
        windows, counts = self.windows(x, 0, given)
        over = tuple(range(-(x.ndim - 2), 0))
        return (windows.sum(axis=over) / counts.sum(axis=over),)


class LpPool(_Pool):
    """The p-norm of each window."""

    def _run(self, x: Array, p: int = 2, **given: Any) -> Outputs:
        windows, _ = self.windows(np.abs(x) ** p, 0, given)
        return (windows.sum(axis=tuple(range(-(x.ndim - 2), 0))) ** (1 / p),)
