"""Arrays with a name and an ONNX type, and their way to disk and back.

Types that numpy does not have travel as their bits: bfloat16 as uint16, the float8 and 4-bit types
as uint8. The ONNX type stands beside the file.
"""

from __future__ import annotations

import math
import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np

from toolkit.errors import InputError, file_kind, first_line
from toolkit.units import Bytes

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


LETTERS = "biufcUS"
"""numpy's letters of the types that a tensor may have: numbers and texts, no objects."""
PIECE: Bytes = 1 << 20
"""Bytes that are unpacked at once: an archive may hold less than it claims."""
LONGEST_HEADER: Bytes = 4096
"""The most that the header of an array may have: numpy writes 128 bytes."""


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


def header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Reads the header of an array in numpy's format .npy: its shape, whether it is in Fortran's
    order, and its type. Raises ValueError for what is no array."""
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    try:
        version = np.lib.format.read_magic(stream)
        shape, is_fortran, dtype = readers[version](stream, max_header_size=LONGEST_HEADER)
    except Exception as error:  # numpy's reader raises what Python's tokenizer does, among others.
        text = "".join(each if each.isprintable() else "�" for each in first_line(error))
        raise ValueError(f"it holds no array: {text}") from error
    return shape, is_fortran, dtype


def demand_size(shape: tuple[int, ...], dtype: np.dtype[Any], length: Bytes) -> Bytes:
    """Returns the bytes that an array takes. Raises ValueError where another number is there."""
    size = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or size != length:
        raise ValueError("an array has not the size that its header claims")
    return size


def demand_plain(dtype: np.dtype[Any]) -> None:
    """Raises ValueError for a type that no tensor has: pickled objects, records, times."""
    if dtype.kind not in LETTERS or dtype.hasobject:
        raise ValueError(f"an array of the type {dtype.str} is no tensor")


def demand_file(path: Path) -> None:
    """Raises InputError for what is no regular file, also behind a link: a pipe is waited for, and
    a device has no end."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise InputError(f"no such file: {path}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(mode):
        raise InputError(f"{path} is {file_kind(mode)}, not a file")


def read_npz(path: Path) -> dict[str, Array]:
    """Reads the arrays of an .npz; none is unpickled, and each is as long as its header says.

    Raises InputError for what is no file, and ValueError for another or a damaged one.
    """
    demand_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            return {
                member.filename.removesuffix(".npy"): _member(archive, member)
                for member in archive.infolist()
            }
    except (
        OSError,
        EOFError,
        RuntimeError,  # An archive with a password; NotImplementedError for a method of packing.
        struct.error,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise ValueError(first_line(error)) from error


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Array:
    """An array of an archive. Memory is taken for what its header says once that is what the
    archive says, too."""
    with archive.open(member) as stream:
        shape, is_fortran, dtype = header(stream)
        demand_plain(dtype)
        size = demand_size(shape, dtype, member.file_size - stream.tell())
        data = bytearray()
        while part := stream.read(min(PIECE, size - len(data))):
            data += part
        if len(data) != size:
            raise ValueError("it holds less than it claims")
    flat = np.frombuffer(data, dtype) if size else np.empty(0, dtype)
    return flat.reshape(shape, order="F" if is_fortran else "C")
