"""Computes the operators of com.microsoft that move, choose or compare elements; most have a
younger like in ONNX."""

from __future__ import annotations

import numpy as np

from toolkit.oracle.operators import elementwise, kernels
from toolkit.oracle.operators.microsoft.base import Fused, Outputs, refuse_unless
from toolkit.tensors import Array


class ExpandDims(Fused):
    """Inserts an axis of the size 1."""

    def compute(self, x: Array, axis: Array) -> Outputs:
        return (np.expand_dims(x, int(axis.reshape(()))),)


class Trilu(Fused):
    """Keeps one triangle of the last two dimensions, and the diagonal k."""

    def compute(self, x: Array, k: Array | None = None, upper: int = 1) -> Outputs:
        diagonal = 0 if k is None else int(k.reshape(()))
        return ((np.triu if upper else np.tril)(x, diagonal),)


class Range(Fused):
    """Counts from a start by steps up to a limit, which is left out."""

    def compute(self, start: Array, limit: Array, delta: Array | None = None) -> Outputs:
        first, last = start.reshape(()), limit.reshape(())
        step = np.ones_like(first) if delta is None else delta.reshape(())
        count = max(0, int(np.ceil((last - first) / step)))
        return ((first + step * np.arange(count)).astype(start.dtype),)


class Unique(Fused):
    """Lists the values of a vector in the order of their first occurrence, where each value stands
    in that list, and how often each occurs."""

    def compute(self, x: Array) -> Outputs:
        _, first, where, counts = np.unique(
            x, return_index=True, return_inverse=True, return_counts=True
        )
        order = np.argsort(first)
        rank = np.argsort(order)
        return x[first[order]], rank[where].astype(np.int64), counts[order].astype(np.int64)


class Pad(elementwise.Pad):
    """Pads or cuts, as ONNX's Pad, by `pads` of one or two dimensions."""

    op_domain = "com.microsoft"
    op_schema = None

    def _run(  # type: ignore[override]
        self, data: Array, pads: Array, value: Array | None = None, mode: str = "constant"
    ) -> Outputs:
        return super()._run(data, pads.reshape(-1), value, None, mode)


class UnfoldTensor(Fused):
    """Lays windows along one dimension into a new last one."""

    def compute(self, x: Array, size: int, dim: int = -1, step: int = 1) -> Outputs:
        windows = np.lib.stride_tricks.sliding_window_view(x, size, dim % x.ndim)
        every = [slice(None)] * x.ndim
        every[dim] = slice(None, None, step)
        return (np.ascontiguousarray(windows[tuple(every)]),)


class GatherND(Fused):
    """Picks slices by the last dimension of the indices."""

    def compute(self, data: Array, indices: Array) -> Outputs:
        return (np.asarray(data[tuple(np.moveaxis(indices, -1, 0))]),)


class CDist(Fused):
    """Distances of all pairs of rows: a (M, N), b (K, N) → (M, K).

    ONNX Runtime's CPU has kernels for sqeuclidean and euclidean only; others are refused.
    """

    def compute(self, a: Array, b: Array, metric: str = "sqeuclidean") -> Outputs:
        refuse_unless(metric in ("sqeuclidean", "euclidean"), f"metric {metric}")
        # Pair by pair: |a|² + |b|² - 2ab would cancel between rows that lie close together.
        squares = np.stack([((a - row) ** 2).sum(axis=1) for row in b], axis=1)
        return (squares if metric == "sqeuclidean" else np.sqrt(squares),)


class Inverse(Fused):
    """The inverse of each matrix in the last two dimensions."""

    def compute(self, x: Array) -> Outputs:
        return (np.linalg.inv(x),)


class CropAndResize(Fused):
    """Crops boxes from images x (N, C, H, W) and brings each to one size, with aligned corners.

    rois (R, 4) as y1, x1, y2, x2 in shares of the image; crop_size (height, width).
    """

    def compute(
        self,
        x: Array,
        rois: Array,
        batch_indices: Array,
        crop_size: Array,
        mode: str = "bilinear",
        extrapolation_value: float = 0.0,
    ) -> Outputs:
        height, width = (int(size) for size in crop_size)
        out = np.full((len(rois), x.shape[1], height, width), extrapolation_value, x.dtype)
        for number, (y1, x1, y2, x2) in enumerate(rois):
            image = x[batch_indices[number]]
            rows, down = _sampled(y1, y2, image.shape[1], height)
            columns, across = _sampled(x1, x2, image.shape[2], width)
            inside = np.ix_(np.arange(len(image)), down, across)
            if mode == "nearest":
                near = [np.floor(at + 0.5).astype(np.int64) for at in (rows, columns)]
                out[number][inside] = image[:, near[0]][:, :, near[1]]
            else:
                out[number][inside] = between(between(image, rows, 1), columns, 2)
        return (out,)


def _sampled(first: float, last: float, size: int, count: int) -> tuple[Array, Array]:
    """Gives the coordinates of samples that lie inside an axis, and which samples these are."""
    if count > 1:
        at = first * (size - 1) + np.arange(count) * (last - first) * (size - 1) / (count - 1)
    else:
        at = np.array([0.5 * (first + last) * (size - 1)])
    inside = np.nonzero((at >= 0) & (at <= size - 1))[0]
    return at[inside], inside


def between(x: Array, at: Array, axis: int) -> Array:
    """Interpolates linearly along an axis at coordinates inside it."""
    low = np.floor(at).astype(np.int64)
    share = (at - low).reshape([-1 if i == axis else 1 for i in range(x.ndim)])
    below, above = np.take(x, low, axis), np.take(x, np.ceil(at).astype(np.int64), axis)
    return np.asarray(below + (above - below) * share)


class GridSample(Fused):
    """Samples images x (N, C, H, W) at the coordinates of a grid (N, height, width, 2)."""

    def compute(
        self,
        x: Array,
        grid: Array,
        mode: str = "bilinear",
        padding_mode: str = "zeros",
        align_corners: int = 0,
    ) -> Outputs:
        import torch

        image, places = kernels.tensor(x), kernels.tensor(grid)
        sampled = torch.nn.functional.grid_sample(
            image, places, mode, padding_mode, bool(align_corners)
        )
        return (kernels.array(sampled),)


class DynamicTimeWarping(Fused):
    """The cheapest path from the first to the last element of a matrix of costs (M, N), by steps
    down, right or both: (2, steps), rows and columns."""

    def compute(self, cost: Array) -> Outputs:
        cost = cost.reshape(cost.shape[-2:])
        rows, columns = cost.shape
        total = np.full((rows + 1, columns + 1), np.inf)
        total[0, 0] = 0
        for row, column in np.ndindex(rows, columns):
            before = total[row : row + 2, column : column + 2]
            before[1, 1] = cost[row, column] + min(before[0, 0], before[0, 1], before[1, 0])
        path = [(rows - 1, columns - 1)]
        while path[-1] != (0, 0):
            row, column = path[-1]
            # total has a border before the first row and column.
            came = [
                (total[row, column], row - 1, column - 1),
                (total[row, column + 1], row - 1, column),
                (total[row + 1, column], row, column - 1),
            ]
            _, row, column = min(came, key=lambda each: each[0])
            path.append((row, column))
        return (np.array(path[::-1], np.int32).T,)


class Rfft(Fused):
    """The Fourier transform of the last `signal_ndim` dimensions of real numbers; real and
    imaginary parts are a new last dimension. ONNX Runtime's CPU has no kernel of it."""

    def compute(
        self, x: Array, signal_ndim: int = 1, onesided: int = 1, normalized: int = 0
    ) -> Outputs:
        refuse_unless(bool(onesided), "onesided 0")
        refuse_unless(not normalized, "normalized")
        result = np.fft.rfftn(x, axes=range(-signal_ndim, 0))
        return (np.stack([result.real, result.imag], axis=-1),)


class Irfft(Fused):
    """The inverse of Rfft, of an even number of points. ONNX Runtime's CPU has no kernel of it."""

    def compute(
        self, x: Array, signal_ndim: int, onesided: int = 1, normalized: int = 0
    ) -> Outputs:
        refuse_unless(bool(onesided), "onesided 0")
        refuse_unless(not normalized, "normalized")
        values = x[..., 0] + 1j * x[..., 1]
        return (np.fft.irfftn(values, axes=range(-signal_ndim, 0)),)


OWN = (
    CDist,
    CropAndResize,
    DynamicTimeWarping,
    ExpandDims,
    GatherND,
    GridSample,
    Inverse,
    Irfft,
    Pad,
    Range,
    Rfft,
    Trilu,
    UnfoldTensor,
    Unique,
)
