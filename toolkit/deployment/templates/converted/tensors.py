"""The model's inputs and outputs: the converted file does not say all of it, and its library does
not check all of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from console import Array, ShapeRefused

Size = int | str | None
"""Of a dimension: a number, the name of one that may have any size, or nothing known."""


@dataclass(frozen=True)
class Tensor:
    """One input or output."""

    name: str
    type: str
    shape: tuple[Size, ...] | None


class Tensors:
    """All of them, from model/tensors.json."""

    def __init__(self, file: Path) -> None:
        found = json.loads(file.read_text("utf-8"))
        self.inputs = [_tensor(one) for one in found["inputs"]]
        self.outputs = [_tensor(one) for one in found["outputs"]]

    def check(self, arrays: Sequence[Array]) -> list[Array]:
        """The inputs, row by row in memory. Raises TypeError or ValueError where they do not fit
        the model: nothing is cast without a word."""
        sizes: dict[str, int] = {}
        for tensor, array in zip(self.inputs, arrays, strict=True):
            if array.dtype.name != tensor.type:
                raise TypeError(f"{tensor.name} takes {tensor.type}, not {array.dtype}")
            if tensor.shape is not None and not _fits(tensor.shape, array.shape, sizes):
                shape = ", ".join(map(str, tensor.shape))
                raise ValueError(f"{tensor.name} takes the shape ({shape}), not {array.shape}")
        return [np.asarray(array, order="C") for array in arrays]

    def fit(self, arrays: Sequence[Array], found: Sequence[Array]) -> list[Array]:
        """The outputs as the model has them: libraries without int64 give int32, and some drop
        dimensions of size 1. Raises ShapeRefused for another shape than the model would give."""
        sizes: dict[str, int] = {}
        for tensor, array in zip(self.inputs, arrays, strict=True):
            _fits(tensor.shape or (), array.shape, sizes)
        return [
            _shaped(array, tensor, sizes).astype(tensor.type, copy=False)
            for tensor, array in zip(self.outputs, found, strict=True)
        ]


def _tensor(found: dict[str, object]) -> Tensor:
    shape = found["shape"]
    known = tuple(shape) if isinstance(shape, list) else None
    return Tensor(str(found["name"]), str(found["type"]), known)


def _fits(shape: tuple[Size, ...], found: tuple[int, ...], sizes: dict[str, int]) -> bool:
    """`sizes` takes up those of the dimensions with names: one name is one size."""
    if len(shape) != len(found):
        return False
    pairs = [*zip(shape, found, strict=True)]
    wanted = [sizes.setdefault(dim, size) if isinstance(dim, str) else dim for dim, size in pairs]
    return all(size in (None, actual) for size, actual in zip(wanted, found, strict=True))


def _shaped(array: Array, tensor: Tensor, sizes: dict[str, int]) -> Array:
    if tensor.shape is None:
        return array
    wanted = [sizes.get(size) if isinstance(size, str) else size for size in tensor.shape]
    if len(wanted) == array.ndim and all(
        size in (None, actual) for size, actual in zip(wanted, array.shape, strict=True)
    ):
        return array
    known = [size for size in wanted if size is not None]
    if len(known) == len(wanted) and _larger(known) == _larger(array.shape):
        return array.reshape(known)
    said = ", ".join("?" if size is None else str(size) for size in wanted)
    raise ShapeRefused(f"it gives {tensor.name} the shape {array.shape}, and not ({said})")


def _larger(shape: Sequence[int]) -> list[int]:
    return [size for size in shape if size != 1]
