"""Puts values at computed places, and takes them from there; the evaluator walks in Python."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from onnx.reference.op_run import OpRun

from toolkit.tensors import Array

Outputs: TypeAlias = tuple[Array, ...]
REDUCTIONS: dict[str, np.ufunc] = {
    "add": np.add,
    "mul": np.multiply,
    "min": np.minimum,
    "max": np.maximum,
}
"""Name of a reduction → how a value is joined to the one that is there."""


def _put(data: Array, index: tuple[Any, ...], updates: Array, reduction: str | None) -> Array:
    """Copies data and writes updates at an index; where an index comes twice the last one stays, or
    all are joined by the reduction."""
    result = data.copy()
    if reduction in REDUCTIONS:
        # Unlike `result[index] += …` it counts an index that comes twice.
        REDUCTIONS[reduction].at(result, index, updates)
    else:
        result[index] = updates
    return result


class ScatterElements(OpRun):
    """Writes elements along one axis: indices and updates are of one shape."""

    def _run(
        self,
        data: Array,
        indices: Array,
        updates: Array,
        axis: int = 0,
        reduction: str | None = None,
    ) -> Outputs:
        places: list[Array] = list(np.indices(indices.shape, sparse=True))
        axis %= data.ndim
        places[axis] = np.where(indices < 0, indices + data.shape[axis], indices)
        return (_put(data, tuple(np.broadcast_arrays(*places)), updates, reduction),)


class ScatterND(OpRun):
    """Writes slices: the last axis of the indices holds the place of each."""

    def _run(
        self, data: Array, indices: Array, updates: Array, reduction: str | None = None
    ) -> Outputs:
        return (_put(data, tuple(np.moveaxis(indices, -1, 0)), updates, reduction),)


class GatherND(OpRun):
    """Takes slices: the last axis of the indices holds the place of each, within its batch."""

    def _run(self, data: Array, indices: Array, batch_dims: int = 0) -> Outputs:
        batches = np.indices(indices.shape[:batch_dims], sparse=True)
        # A batch's own number has one axis for each further axis of the indices, but for the last.
        rest = indices.ndim - 1 - batch_dims
        own = tuple(each.reshape(*each.shape, *[1] * rest) for each in batches)
        return (data[(*own, *np.moveaxis(indices, -1, 0))],)
