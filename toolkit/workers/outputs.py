"""Reads the outputs that a worker wrote, none of which is trusted.

A worker may name any file, also a pipe that nobody writes to, and an array may claim any size.
"""

from __future__ import annotations

import math
import os
import stat
import time
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from toolkit.tensors import Array
from toolkit.units import Bytes, Seconds
from toolkit.workers.replies import TensorRow

SAFELY = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""No link is followed, and no pipe is waited for before it can be looked at."""
KINDS = "biufcUS"
"""numpy's letters of the types that an output may have: numbers and texts, no objects."""
HEADER: Bytes = 4096
"""The most that the header of an array may have: numpy writes 128 bytes."""
PART: Bytes = 16 << 20
"""Bytes that are read between two looks at the clock."""


def read(folder: Path, rows: Iterable[TensorRow], deadline: Seconds) -> dict[str, Array]:
    """The outputs by name, from the files in this folder. Raises ValueError for what is none, and
    OSError and MemoryError; `deadline` is a moment of time.monotonic."""
    return {row.name: _array(_inside(folder, row.file), deadline) for row in rows}


def _inside(folder: Path, file: str) -> Path:
    if os.path.dirname(os.path.normpath(file)) != os.path.normpath(folder):
        raise ValueError("an output is no file of the folder that it was told")
    return folder / os.path.basename(file)


def _array(file: Path, deadline: Seconds) -> Array:
    with open(os.open(file, SAFELY), "rb", buffering=0) as stream:
        state = os.fstat(stream.fileno())
        if not stat.S_ISREG(state.st_mode):
            raise ValueError("an output is no regular file")
        shape, is_fortran, dtype = _header(stream)
        size = math.prod(shape) * dtype.itemsize
        if min(shape, default=0) < 0 or size != state.st_size - stream.tell():
            raise ValueError("an array has not the size that its header claims")
        flat = np.empty(size, np.uint8)
        _fill(stream, flat, deadline)
    array: Array = flat.view(dtype) if size else np.empty(0, dtype)
    return array.reshape(shape, order="F" if is_fortran else "C")


def _header(stream: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, order and type of an array in numpy's format .npy."""
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    try:
        version = np.lib.format.read_magic(stream)
        shape, is_fortran, dtype = readers[version](stream, max_header_size=HEADER)
    except Exception as error:  # numpy's reader raises what Python's tokenizer does, among others.
        raise ValueError(f"it is no array: {type(error).__name__}") from error
    if dtype.kind not in KINDS or dtype.hasobject:
        raise ValueError(f"an array of the type {dtype.str} is no tensor")
    return shape, is_fortran, dtype


def _fill(stream: BinaryIO, flat: Array, deadline: Seconds) -> None:
    """Reads the bytes of an array. A file may be large and hold nothing: that takes time, too."""
    view = flat.data
    while view:
        if time.monotonic() > deadline:
            raise ValueError("they are not read in time")
        count = stream.readinto(view[:PART])  # type: ignore[attr-defined]
        if not count:
            raise ValueError("a file became shorter")
        view = view[count:]
