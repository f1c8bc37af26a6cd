"""Computes the operators that need one step of numpy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from onnx import helper
from onnx.reference.op_run import OpRun

from toolkit.tensors import Array

Outputs: TypeAlias = tuple[Array, ...]


class BitCast(OpRun):
    """Reads bits as another type of the same width.

    Raises NotImplementedError for a float of another width, as one that is raised has.
    """

    def _run(self, x: Array, to: int) -> Outputs:
        dtype = helper.tensor_dtype_to_np_dtype(to)
        if dtype.itemsize != x.dtype.itemsize:
            raise NotImplementedError(f"reads the bits of what is {x.dtype.name} here as {dtype}")
        return (x.view(dtype),)


class GatherElements(OpRun):
    """Picks elements along one axis; along the others the indices may be shorter than the data."""

    def _run(self, data: Array, indices: Array, axis: int = 0) -> Outputs:
        axis %= data.ndim
        cut = tuple(
            slice(None) if i == axis else slice(size) for i, size in enumerate(indices.shape)
        )
        return (np.take_along_axis(data[cut], indices.astype(np.int64), axis),)


class GlobalMaxPool(OpRun):
    """The maximum over all spatial dimensions, which stay with the size 1."""

    def _run(self, x: Array) -> Outputs:
        return (x.max(axis=tuple(range(2, x.ndim)), keepdims=True),)


class MeanVarianceNormalization(OpRun):
    """Brings what lies along `axes` to the mean 0 and the deviation 1."""

    def _run(self, x: Array, axes: Sequence[int] | None = None) -> Outputs:
        over = tuple(axes or (0, 2, 3))
        centred = x - x.mean(axis=over, keepdims=True)
        # 1e-9 is added to the deviation, not to the variance: so does the function of the standard.
        return (centred / (np.sqrt((centred**2).mean(axis=over, keepdims=True)) + 1e-9),)


class LRN(OpRun):
    """Local response normalization over neighbouring channels: x (N, C, …)."""

    def _run(self, x: Array, alpha: float, beta: float, bias: float, size: int) -> Outputs:
        before, behind = (size - 1) // 2, size // 2
        squares = np.pad(x**2, [(0, 0), (before, behind), *[(0, 0)] * (x.ndim - 2)])
        around = np.lib.stride_tricks.sliding_window_view(squares, size, 1).sum(axis=-1)
        return (x / (bias + alpha / size * around) ** beta,)


class Pad(OpRun):
    """Pads or, where a pad is negative, cuts."""

    def _run(
        self,
        data: Array,
        pads: Array,
        constant_value: Array | None = None,
        axes: Array | None = None,
        mode: str = "constant",
    ) -> Outputs:
        along = range(data.ndim) if axes is None else [int(a) % data.ndim for a in axes]
        widths = [(0, 0)] * data.ndim
        for position, axis in enumerate(along):
            widths[axis] = (int(pads[position]), int(pads[position + len(along)]))
        # A negative pad cuts; what is cut is gone before anything is added.
        cut = tuple(
            slice(max(0, -a), size - max(0, -b))
            for (a, b), size in zip(widths, data.shape, strict=True)
        )
        grow = [(max(0, a), max(0, b)) for a, b in widths]
        if mode == "constant":
            fill = 0 if constant_value is None else np.asarray(constant_value).reshape(())
            return (np.pad(data[cut], grow, constant_values=fill),)
        return (np.pad(data[cut], grow, mode=mode),)  # type: ignore[call-overload]
