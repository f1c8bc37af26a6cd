"""Picks values at positions that the model computes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
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
    """The evaluator's Resize, but for align_corners with scales, and the parameter of a cubic one.

    That is a float32 of numpy in the evaluator, in which it computes all shares (1e-6 off). With
    scales the corners are those of the output as it is, in whole pixels: so the standard's words,
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
        if (cubic := given.get("cubic_coeff_a")) is not None:
            given["cubic_coeff_a"] = float(cubic)
        result: Outputs = super()._run(x, roi, scales, sizes, **given)
        return result


CUBIC = -0.75
"""The free parameter of cubic convolution (Keys, 1981); PyTorch and ONNX Runtime have it too."""


class GridSample(OpRun):
    """Samples x (N, C, in…) at a grid (N, out…, r), whose positions are -1 and 1 at the borders and
    name the last axis first → (N, C, out…).

    What a cubic sample finds outside is padded pixel by pixel, as by PyTorch and ONNX Runtime; the
    evaluator brings the position inside first. Raises NotImplementedError for a mode that the
    standard does not know.
    """

    def _run(
        self,
        x: Array,
        grid: Array,
        align_corners: int = 0,
        mode: str = "linear",
        padding_mode: str = "zeros",
    ) -> Outputs:
        # Opset 16 has the longer names.
        mode = {"bilinear": "linear", "bicubic": "cubic"}.get(mode, mode)
        if mode not in (*SAMPLINGS, "nearest"):
            raise NotImplementedError(f"mode {mode}")
        sizes, corners = x.shape[2:], bool(align_corners)
        at = [_pixel(grid[..., -1 - axis], size, corners) for axis, size in enumerate(sizes)]
        if mode != "cubic":
            at = [
                _inside(a, size, corners, padding_mode) for a, size in zip(at, sizes, strict=True)
            ]
        if mode == "nearest":
            return (_pick(x, [np.rint(a) for a in at]),)

        def padded(axis: int, pixel: Array) -> Array:
            return _inside(pixel, sizes[axis], corners, padding_mode)

        sampled = interpolated(x, at, SAMPLINGS[mode], padded)
        return (sampled.astype(x.dtype) if x.dtype.kind in "iu" else sampled,)


Sampling: TypeAlias = Callable[[Array], list[tuple[Array, Array]]]
"""Position along one axis → the pixels that count there, and the share of each."""


def linear(at: Array) -> list[tuple[Array, Array]]:
    """Two pixels, which share by their distances."""
    low = np.floor(at)
    return [(low, 1 - (at - low)), (low + 1, at - low)]


def cubic(at: Array) -> list[tuple[Array, Array]]:
    """Four pixels, by cubic convolution (Keys, 1981)."""
    low = np.floor(at)
    return [(low + step, _cubic_share(np.abs(at - low - step))) for step in (-1, 0, 1, 2)]


def _cubic_share(distance: Array) -> Array:
    d = distance
    near = ((CUBIC + 2) * d - (CUBIC + 3)) * d * d + 1
    far = ((CUBIC * d - 5 * CUBIC) * d + 8 * CUBIC) * d - 4 * CUBIC
    return np.where(d <= 1, near, far)


SAMPLINGS: Mapping[str, Sampling] = {
    "linear": linear,
    "cubic": cubic,
}
"""How each mode samples along one axis; the nearest pixel is picked as it is, of whatever type."""


def interpolated(
    x: Array,
    at: Sequence[Array],
    sampling: Sampling,
    padded: Callable[[int, Array], Array] = lambda axis, pixel: pixel,
) -> Array:
    """Samples x (N, C, in…) at positions in pixels, (N, out…) for each axis → (N, C, out…).

    `padded` brings the pixels of an axis inside; those that it leaves outside are 0.
    """
    along = [
        [(padded(axis, pixel), share) for pixel, share in sampling(position)]
        for axis, position in enumerate(at)
    ]
    out = np.zeros((*x.shape[:2], *at[0].shape[1:]))
    for corner in itertools.product(*along):
        share = math.prod(share for _, share in corner)
        out += np.expand_dims(share, 1) * _pick(x, [pixel for pixel, _ in corner])
    return out


def _pixel(position: Array, size: int, corners: bool) -> Array:
    """Turns positions from -1 to 1 into pixels."""
    return (position + 1) / 2 * (size - 1) if corners else ((position + 1) * size - 1) / 2


def _inside(at: Array, size: int, corners: bool, padding: str) -> Array:
    """Brings pixels inside as the padding asks."""
    if padding == "border":
        return np.clip(at, 0, size - 1)
    if padding == "reflection":
        low, high = (0.0, size - 1.0) if corners else (-0.5, size - 0.5)
        span = high - low
        if span == 0:
            return np.zeros_like(at)
        folded = np.abs((at - low + span) % (2 * span) - span)
        return np.clip(low + folded, 0, size - 1)
    return at


def _pick(x: Array, at: Sequence[Array]) -> Array:
    """Picks values at whole pixels; 0 outside. x (N, C, in…), at (N, out…) → (N, C, out…)."""
    inside = np.ones(at[0].shape, bool)
    flat = np.zeros(at[0].shape, np.int64)
    for size, position in zip(x.shape[2:], at, strict=True):
        inside &= (position >= 0) & (position <= size - 1)
        flat = flat * size + np.clip(position, 0, size - 1).astype(np.int64)
    lines = x.reshape(*x.shape[:2], -1)
    picked = np.stack([line[:, places] for line, places in zip(lines, flat, strict=True)])
    return np.where(np.expand_dims(inside, 1), picked, np.zeros((), x.dtype))


class DeformConv(OpRun):
    """The convolution that reads each weight's element at an offset of its own (Dai et al.,
    Deformable Convolutional Networks, 2017), times a mask (Zhu et al., 2019).

    x (N, C, in…), w (M, C / group, kernel…), offset (N, offset_group·K·r, out…), where K is the
    number of a kernel's elements, and mask (N, offset_group·K, out…). An element between pixels is
    interpolated linearly, and is 0 outside.
    """

    def _run(
        self,
        x: Array,
        w: Array,
        offset: Array,
        b: Array | None = None,
        mask: Array | None = None,
        dilations: Sequence[int] | None = None,
        group: int = 1,
        kernel_shape: Sequence[int] | None = None,
        offset_group: int = 1,
        pads: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
    ) -> Outputs:
        images, rank, out = len(x), w.ndim - 2, offset.shape[2:]
        grid = _kernel_grid(
            w.shape[2:], out, dilations or [1] * rank, strides or [1] * rank, pads or [0] * rank
        )
        moved = offset.reshape(images * offset_group, -1, rank, *out)  # (N·G, K, r, out…)
        at = [moved[:, :, axis] + grid[axis] for axis in range(rank)]
        parts = x.reshape(images * offset_group, -1, *x.shape[2:])
        columns = interpolated(parts, at, linear)  # (N·G, C / G, K, out…)
        if mask is not None:
            columns = columns * mask.reshape(images * offset_group, 1, -1, *out)
        # Channels in their order, each with its K elements: as the weights of a group lie.
        rows = columns.reshape(images, group, -1, math.prod(out))
        products = w.reshape(group, len(w) // group, -1) @ rows  # (N, group, M / group, P)
        result = products.reshape(images, len(w), *out)
        return (result if b is None else result + b.reshape(-1, *[1] * rank),)


def _kernel_grid(
    kernel: Sequence[int],
    out: Sequence[int],
    dilations: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
) -> list[Array]:
    """Gives for each axis the pixel that an element of the kernel reads where nothing moves it:
    (K, out…), or what is broadcast to that."""
    rank = len(kernel)
    elements = np.indices(kernel).reshape(rank, -1)  # (r, K)
    grid = []
    for axis in range(rank):
        first = np.arange(out[axis]) * strides[axis] - pads[axis]
        own = elements[axis] * dilations[axis]
        grid.append(
            own.reshape(-1, *[1] * rank)
            + first.reshape(1, *[-1 if each == axis else 1 for each in range(rank)])
        )
    return grid
