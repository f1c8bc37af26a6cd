"""Picks values at positions that the model computes."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from onnx.reference.op_run import OpRun
from onnx.reference.ops.op_resize import Resize as _Resize

from toolkit.tensors import Array

Outputs: TypeAlias = tuple[Array, ...]


class AffineGrid(OpRun):
    """The positions from -1 to 1 of an output's pixels, moved by a matrix for each image: theta
    (N, r, r + 1) → (N, out…, r)."""

    def _run(self, theta: Array, size: Array, align_corners: int = 0) -> Outputs:
        spatial = [int(s) for s in size[2:]]
        lines = []
        for s in spatial:
            step = np.arange(s, dtype=np.float64)
            lines.append(
                (2 * step / (s - 1) - 1 if s > 1 else step * 0)
                if align_corners
                else (2 * step + 1) / s - 1
            )
        axes = np.meshgrid(*lines, indexing="ij")[::-1]
        points = np.stack([*axes, np.ones(spatial)], axis=-1)  # (…, rank + 1)
        return (np.einsum("...k,nrk->n...r", points, theta),)


class Resize(_Resize):
    """The evaluator's Resize, but for align_corners with scales.

    There the corners are those of the output as it is, in whole pixels: so the standard's words,
    PyTorch and ONNX Runtime have it. The evaluator takes scale times size, unrounded.
    """

    def _run(  # type: ignore[override]
        self,
        x: Array,
        roi: Array | None = None,
        scales: Array | None = None,
        sizes: Array | None = None,
        **given: Any,
    ) -> Outputs:
        corners = given.get("coordinate_transformation_mode") == "align_corners"
        if corners and sizes is None and scales is not None:
            axes = given.get("axes") or range(x.ndim)
            old = np.array([x.shape[axis] for axis in axes])
            sizes, scales = np.floor(old * scales).astype(np.int64), None
        result: Outputs = super()._run(x, roi, scales, sizes, **given)
        return result


class GridSample(OpRun):
    """Samples x (N, C, H, W) at grid (N, h, w, 2) → (N, C, h, w), linearly or nearest.

    Raises NotImplementedError for cubic sampling and for three spatial dimensions.
    """

    def _run(
        self,
        x: Array,
        grid: Array,
        align_corners: int = 0,
        mode: str = "linear",
        padding_mode: str = "zeros",
    ) -> Outputs:
        if x.ndim != 4 or mode not in ("linear", "bilinear", "nearest"):
            raise NotImplementedError(f"GridSample in mode {mode} on {x.ndim} dimensions")
        at = [
            _pixel(grid[..., 1 - axis], x.shape[2 + axis], bool(align_corners), padding_mode)
            for axis in range(2)
        ]  # (N, H, W) each, in pixels
        if mode == "nearest":
            return (_pick(x, [np.rint(a) for a in at]),)
        low = [np.floor(a) for a in at]
        out = np.zeros((*x.shape[:2], *grid.shape[1:3]))
        for dy in (0, 1):
            for dx in (0, 1):
                share = np.abs(1 - dy - (at[0] - low[0])) * np.abs(1 - dx - (at[1] - low[1]))
                out += share[:, None] * _pick(x, [low[0] + dy, low[1] + dx])
        return (out,)


def _pixel(position: Array, size: int, corners: bool, padding: str) -> Array:
    """Turns positions from -1 to 1 into pixels, and brings them inside as the padding asks."""
    at = (position + 1) / 2 * (size - 1) if corners else ((position + 1) * size - 1) / 2
    if padding == "border":
        return np.clip(at, 0, size - 1)
    if padding == "reflection":
        low, high = (0.0, size - 1.0) if corners else (-0.5, size - 0.5)
        span = high - low
        if span == 0:
            return np.zeros_like(at)
        folded = np.abs((at - low + span) % (2 * span) - span)
        return np.clip(low + span - (span - folded) if corners else low + folded, 0, size - 1)
    return at


def _pick(x: Array, at: list[Array]) -> Array:
    """Picks values at whole pixels; zero outside. x (N, C, H, W), at (N, h, w) → (N, C, h, w)."""
    inside = np.ones(at[0].shape, bool)
    index = []
    for axis, position in enumerate(at):
        size = x.shape[2 + axis]
        inside &= (position >= 0) & (position <= size - 1)
        index.append(np.clip(position, 0, size - 1).astype(int))
    rows = np.arange(len(x))[:, None, None]
    picked = x[rows, :, index[0], index[1]]  # (N, h, w, C)
    return np.moveaxis(np.where(inside[..., None], picked, 0), -1, 1)
