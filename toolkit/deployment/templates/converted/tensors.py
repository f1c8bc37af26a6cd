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
"""The size of a dimension: a number, the name of one that may have any size, or nothing known."""


@dataclass(frozen=True)
class Tensor:
    """One input or output."""

    name: str
    type: str
    shape: tuple[Size, ...] | None


class Tensors:
    """All inputs and outputs, from model/tensors.json."""

    def __init__(self, file: Path) -> None:
        described = json.loads(file.read_text("utf-8"))
        self.inputs = [_tensor(entry) for entry in described["inputs"]]
        self.outputs = [_tensor(entry) for entry in described["outputs"]]

    def check(self, arrays: Sequence[Array]) -> list[Array]:
        """Returns the inputs, row by row in memory. Raises TypeError or ValueError where they do
        not fit the model: nothing is cast without a word."""
        sizes: dict[str, int] = {}
        for tensor, array in zip(self.inputs, arrays, strict=True):
            if array.dtype.name != tensor.type:
                raise TypeError(f"{tensor.name} takes {tensor.type}, not {array.dtype}")
            if tensor.shape is not None and not _fits(tensor.shape, array.shape, sizes):
                shape = ", ".join(map(str, tensor.shape))
                raise ValueError(f"{tensor.name} takes the shape ({shape}), not {array.shape}")
        return [np.asarray(array, order="C") for array in arrays]

    def fit(self, arrays: Sequence[Array], given: Sequence[Array]) -> list[Array]:
        """Returns the outputs that the library gave for these inputs as the model has them:
        libraries without int64 give int32, and some drop dimensions of size 1.

        Raises ShapeRefused for another shape than the model would give.
        """
        sizes: dict[str, int] = {}
        for tensor, array in zip(self.inputs, arrays, strict=True):
            _fits(tensor.shape or (), array.shape, sizes)
        return [
            _shaped(array, tensor, sizes).astype(tensor.type, copy=False)
            for tensor, array in zip(self.outputs, given, strict=True)
        ]


def _tensor(entry: dict[str, object]) -> Tensor:
    shape = entry["shape"]
    known = tuple(shape) if isinstance(shape, list) else None
    return Tensor(str(entry["name"]), str(entry["type"]), known)


def _fits(shape: tuple[Size, ...], actual: tuple[int, ...], sizes: dict[str, int]) -> bool:
    """Compares two shapes. `sizes` takes up the sizes of dimensions with names, since one name is
    one size."""
    if len(shape) != len(actual):
        return False
    pairs = [*zip(shape, actual, strict=True)]
    wanted = [sizes.setdefault(dim, size) if isinstance(dim, str) else dim for dim, size in pairs]
    return _agree(wanted, actual)


def _agree(wanted: Sequence[int | None], actual: Sequence[int]) -> bool:
    return len(wanted) == len(actual) and all(
        size in (None, got) for size, got in zip(wanted, actual, strict=True)
    )


def _shaped(array: Array, tensor: Tensor, sizes: dict[str, int]) -> Array:
    if tensor.shape is None:
        return array
    wanted = [sizes.get(size) if isinstance(size, str) else size for size in tensor.shape]
    if _agree(wanted, array.shape):
        return array
    known = [size for size in wanted if size is not None]
    if len(known) == len(wanted) and _without_ones(known) == _without_ones(array.shape):
        return array.reshape(known)
    text = ", ".join("?" if size is None else str(size) for size in wanted)
    raise ShapeRefused(f"it gives {tensor.name} the shape {array.shape}, and not ({text})")


def _without_ones(shape: Sequence[int]) -> list[int]:
    return [size for size in shape if size != 1]
