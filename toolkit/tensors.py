"""Arrays with a name and an ONNX type, and their way to disk and back.

Types that numpy does not have travel as their bits: bfloat16 as uint16, the float8 and 4-bit types
as uint8. The ONNX type stands beside the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from toolkit.errors import InputError

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Feed: TypeAlias = Mapping[str, Array]
"""One set of named input arrays. Whoever made it owns it; nobody writes into it."""

Dim: TypeAlias = int | str | None
"""A size, the name of a dynamic dimension, or a dynamic dimension without a name."""

PLAIN = {
    "float16": np.float16,
    "float32": np.float32,
    "float64": np.float64,
    "int8": np.int8,
    "int16": np.int16,
    "int32": np.int32,
    "int64": np.int64,
    "uint8": np.uint8,
    "uint16": np.uint16,
    "uint32": np.uint32,
    "uint64": np.uint64,
    "bool": np.bool_,
    "complex64": np.complex64,
    "complex128": np.complex128,
}
"""ONNX types that are numpy types too."""

BITS = {
    "bfloat16": np.uint16,
    "float8e4m3fn": np.uint8,
    "float8e4m3fnuz": np.uint8,
    "float8e5m2": np.uint8,
    "float8e5m2fnuz": np.uint8,
    "float4e2m1": np.uint8,
    "int4": np.uint8,
    "uint4": np.uint8,
}
"""ONNX types that travel as bits."""


@dataclass(frozen=True)
class TensorSpec:
    """The name, ONNX type and shape of one input or output.

    `shape` is None where the rank is unknown.
    """

    name: str
    type: str
    shape: tuple[Dim, ...] | None

    def __str__(self) -> str:
        """As a user writes it: 'input:float32[batch,64]'."""
        if self.shape is None:
            return f"{self.name}:{self.type} of unknown rank"
        return (
            f"{self.name}:{self.type}[{','.join('?' if d is None else str(d) for d in self.shape)}]"
        )

    def dynamic(self) -> tuple[str, ...]:
        """The names of its dynamic dimensions, in order, each once."""
        return tuple(dict.fromkeys(d for d in self.shape or () if isinstance(d, str)))


def dtype_of(onnx_type: str) -> np.dtype[Any]:
    """The numpy type in which an ONNX type travels. Raises InputError for one that cannot."""
    if onnx_type == "string":
        return np.dtype(np.str_)
    found = PLAIN.get(onnx_type) or BITS.get(onnx_type)
    if found is None:
        raise InputError(f"tensors of the type {onnx_type} cannot be fed")
    return np.dtype(found)


def save(
    folder: Path, arrays: Mapping[str, Array], types: Mapping[str, str]
) -> list[dict[str, str]]:
    """Writes each array as an .npy file and returns what a message says of them.

    A file is named by its place, since a tensor's name may hold any character.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for index, (name, array) in enumerate(arrays.items()):
        file = folder / f"{index}.npy"
        np.save(file, np.asarray(array), allow_pickle=False)
        rows.append({"name": name, "type": types.get(name, array.dtype.name), "file": str(file)})
    return rows


def load(rows: list[dict[str, str]]) -> dict[str, Array]:
    """Reads the arrays that `save` wrote. Raises ValueError for a file of pickled objects."""
    return {row["name"]: np.load(row["file"], allow_pickle=False) for row in rows}
