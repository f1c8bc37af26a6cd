"""Chooses and cuts out boxes of images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
from onnx.reference.op_run import OpRun

from toolkit.tensors import Array

Outputs: TypeAlias = tuple[Array, ...]


class NonMaxSuppression(OpRun):
    """Takes the boxes of each class by their scores, and leaves out those that overlap one that was
    taken: boxes (N, B, 4), scores (N, C, B) → (taken, 3) of batch, class and box.

    Of equal scores the box with the smaller number comes first. One turn in Python for each box
    that is taken.
    """

    def _run(
        self,
        boxes: Array,
        scores: Array,
        most: Array | None = None,
        overlap: Array | None = None,
        least: Array | None = None,
        center_point_box: int = 0,
    ) -> Outputs:
        count = 0 if most is None or not most.size else int(most.reshape(-1)[0])
        limit = 0.0 if overlap is None or not overlap.size else float(overlap.reshape(-1)[0])
        lowest = None if least is None or not least.size else least.reshape(-1)[0]
        rows = [
            (batch, kind, box)
            for batch in range(scores.shape[0])
            for edges in [corners(boxes[batch], centred=bool(center_point_box))]
            for kind in range(scores.shape[1])
            for box in _taken(edges, scores[batch, kind], count, limit, lowest)
        ]
        return (np.array(rows, np.int64).reshape(-1, 3),)


def corners(boxes: Array, *, centred: bool) -> Array:
    """Gives the least and the largest coordinates of boxes: (B, 4) → (2, 2, B)."""
    if centred:
        middle, half = boxes[:, :2].T, boxes[:, 2:].T / 2
        return np.stack([middle - half, middle + half])
    pairs = boxes.reshape(-1, 2, 2).transpose(1, 2, 0)
    return np.stack([pairs.min(axis=0), pairs.max(axis=0)])


def overlaps(box: Array, others: Array) -> Array:
    """Gives the area that a box (2, 2, 1) shares with each other (2, 2, B), over that of both
    together; -inf where they share nothing. A box without an area overlaps nothing."""
    low, high = np.maximum(box[0], others[0]), np.minimum(box[1], others[1])
    common = np.prod(np.maximum(high - low, 0), axis=0)
    mine, theirs = (np.prod(each[1] - each[0], axis=0) for each in (box, others))
    union = theirs + mine - common
    counts = (theirs > 0) & (mine > 0) & (common > 0) & (union > 0)
    nothing = np.full_like(common, -np.inf)
    return np.asarray(np.divide(common, union, out=nothing, where=counts))


def _taken(edges: Array, scores: Array, most: int, limit: float, lowest: Any) -> Iterator[int]:
    """Yields the boxes that are taken of one class."""
    order = np.argsort(-scores, kind="stable")
    if lowest is not None:
        order = order[scores[order] > lowest]
    for _ in range(most):
        if not order.size:
            return
        best, order = int(order[0]), order[1:]
        yield best
        order = order[~(overlaps(edges[:, :, [best]], edges[:, :, order]) > limit)]


class RoiAlign(OpRun):
    """Cuts boxes out of images and brings them to one size, by bilinear samples in each cell.

    x (N, C, H, W), boxes (R, 4), batch of each box (R,) → (R, C, height, width).
    """

    def _run(self, x: Array, rois: Array, batches: Array, **given: Any) -> Outputs:
        rows, columns = given.get("output_height") or 1, given.get("output_width") or 1
        scale = given.get("spatial_scale") or 1.0
        half = (given.get("coordinate_transformation_mode") or "half_pixel") == "half_pixel"
        out = np.zeros((len(rois), x.shape[1], rows, columns), x.dtype)
        for number, (roi, batch) in enumerate(zip(rois, batches, strict=True)):
            left, top, right, bottom = roi * scale - (0.5 if half else 0.0)
            spans = [bottom - top, right - left]
            if not half:  # a box that is malformed counts as one pixel
                spans = [max(span, 1.0) for span in spans]
            grid = [
                _samples(begin, span, cells, given.get("sampling_ratio") or 0)
                for begin, span, cells in zip((top, left), spans, (rows, columns), strict=True)
            ]
            out[number] = _pooled(x[int(batch)], grid, (given.get("mode") or "avg").lower())
        return (out,)


def _samples(begin: float, span: float, cells: int, ratio: int) -> Array:
    """Gives the coordinates of the samples along one axis: (cells, samples)."""
    size = span / cells
    count = ratio if ratio > 0 else int(np.ceil(size))
    return np.asarray(
        begin + (np.arange(cells)[:, None] + (np.arange(count)[None] + 0.5) / max(count, 1)) * size
    )


def _pooled(image: Array, grid: list[Array], mode: str) -> Array:
    """Samples an image (C, H, W) at rows and columns, and pools each cell: (C, rows, columns)."""
    (low_y, high_y, part_y, in_y), (low_x, high_x, part_x, in_x) = (
        _neighbours(at, size) for at, size in zip(grid, image.shape[1:], strict=True)
    )
    inside = in_y[:, None, :, None] & in_x[None, :, None, :]
    if not inside.size:
        return np.zeros((image.shape[0], *inside.shape[:2]), image.dtype)
    corners = []
    for y, share_y in ((low_y, 1 - part_y), (high_y, part_y)):
        for x, share_x in ((low_x, 1 - part_x), (high_x, part_x)):
            share = share_y[:, None, :, None] * share_x[None, :, None, :]
            picked = image[:, y[:, None, :, None], x[None, :, None, :]]
            corners.append(picked * np.where(inside, share, 0))
    if mode == "max":  # the standard's: the largest share of any corner
        return np.asarray(np.max(corners, axis=0).max(axis=(-2, -1)))
    return np.asarray(np.sum(corners, axis=0).mean(axis=(-2, -1)))


def _neighbours(at: Array, size: int) -> tuple[Array, Array, Array, Array]:
    """Gives the two pixels around each coordinate, the share of the second, and whether the
    coordinate lies at the image at all."""
    inside = (at >= -1) & (at <= size)
    at = np.maximum(at, 0)
    low = np.minimum(at.astype(np.int64), size - 1)
    high = np.minimum(low + 1, size - 1)
    return low, high, np.where(low >= size - 1, 0.0, at - low), inside
