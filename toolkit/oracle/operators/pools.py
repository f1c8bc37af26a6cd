"""Pools: padded with what does not count, then seen through windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from onnx.reference.op_run import OpRun

from toolkit.tensors import Array

Outputs: TypeAlias = tuple[Array, ...]


class _Pool(OpRun):
    """Rules: the standard's shape formula (ceil_mode, auto_pad); a window that would begin in the
    end padding is left out, as in PyTorch and ONNX Runtime."""

    def windows(self, x: Array, fill: float, given: dict[str, Any]) -> tuple[Array, Array]:
        """The windows (N, C, out…, kernel…) and the same of a mask of what is no ceil padding."""
        kernel = list(given["kernel_shape"])
        rank = len(kernel)
        strides = given.get("strides") or [1] * rank
        dilations = given.get("dilations") or [1] * rank
        reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
        pads = _pads(x.shape[2:], reach, strides, given)
        outs, extra = [], []
        for i, size in enumerate(x.shape[2:]):
            out, more = _out(size, pads[i], reach[i], strides[i], bool(given.get("ceil_mode")))
            outs.append(out)
            extra.append(more)
        grow = [(0, 0), (0, 0), *((a, b + m) for (a, b), m in zip(pads, extra, strict=True))]
        counts = np.pad(
            np.ones([1, 1, *(s + a + b for s, (a, b) in zip(x.shape[2:], pads, strict=True))]),
            [(0, 0), (0, 0), *((0, m) for m in extra)],
        )
        inside = np.pad(np.ones([1, 1, *x.shape[2:]]), grow)
        counts = counts if given.get("count_include_pad") else inside
        padded = np.pad(x, grow, constant_values=fill)
        cut = (
            slice(None),
            slice(None),
            *(slice(0, (o - 1) * s + 1, s) for o, s in zip(outs, strides, strict=True)),
            *(slice(None, None, d) for d in dilations),
        )

        def seen(a: Array) -> Array:
            view = np.lib.stride_tricks.sliding_window_view(a, reach, tuple(range(2, 2 + rank)))
            return view[cut]

        return seen(padded), seen(counts)


def _out(size: int, pads: tuple[int, int], reach: int, stride: int, ceil: bool) -> tuple[int, int]:
    """The output's size along one axis, and how much padding ceil_mode adds behind."""
    room = size + sum(pads) - reach
    out = (-(-room // stride) if ceil else room // stride) + 1
    if ceil and (out - 1) * stride >= size + pads[0]:
        out -= 1
    return out, max(0, (out - 1) * stride + reach - size - sum(pads))


def _pads(
    sizes: Sequence[int], reach: Sequence[int], strides: Sequence[int], given: dict[str, Any]
) -> list[tuple[int, int]]:
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
    def _run(self, x: Array, **given: Any) -> Outputs:
        lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
        windows, _ = self.windows(x, lowest, {**given, "count_include_pad": 0})
        rank = x.ndim - 2
        values = windows.max(axis=tuple(range(-rank, 0)))
        if len(self.onnx_node.output) == 1:
            return (values,)
        places = np.arange(x.size, dtype=np.float64).reshape(x.shape)
        if given.get("storage_order"):
            places = (
                np.arange(x.size, dtype=np.float64)
                .reshape(*x.shape[:2], *x.shape[:1:-1])
                .transpose(0, 1, *range(x.ndim - 1, 1, -1))
            )
        of, _ = self.windows(places, -1, {**given, "count_include_pad": 0})
        first = windows.reshape(*values.shape, -1).argmax(axis=-1)
        flat = of.reshape(*values.shape, -1)
        return values, np.take_along_axis(flat, first[..., None], -1)[..., 0].astype(np.int64)


class AveragePool(_Pool):
    def _run(self, x: Array, **given: Any) -> Outputs:
        windows, counts = self.windows(x, 0, given)
        over = tuple(range(-(x.ndim - 2), 0))
        return (windows.sum(axis=over) / counts.sum(axis=over),)


class LpPool(_Pool):
    def _run(self, x: Array, p: int = 2, **given: Any) -> Outputs:
        windows, _ = self.windows(np.abs(x) ** p, 0, given)
        return (windows.sum(axis=tuple(range(-(x.ndim - 2), 0))) ** (1 / p),)
