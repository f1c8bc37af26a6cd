"""Reads the outputs that a worker wrote, none of which is trusted.

A worker may name any file, also a pipe that nobody writes to, and an array may claim any size.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from toolkit import tensors
from toolkit.tensors import Array
from toolkit.units import Bytes, Seconds
from toolkit.workers.replies import TensorRow

SAFELY = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""No link is followed, and no pipe is waited for before it can be looked at."""
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
        shape, is_fortran, dtype = tensors.header(stream)
        tensors.demand_plain(dtype)
        size = tensors.demand_size(shape, dtype, state.st_size - stream.tell())
        flat = np.empty(size, np.uint8)
        _fill(stream, flat, deadline)
    array: Array = flat.view(dtype) if size else np.empty(0, dtype)
    return array.reshape(shape, order="F" if is_fortran else "C")


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
