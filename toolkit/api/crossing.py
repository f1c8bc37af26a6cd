"""Writes values into files and reads them back by their types (rule A1).

What crosses are dataclasses, structs and what they hold. An array is an .npy file of its own beside
the file that names it by a number, and is read without pickles.
"""

from __future__ import annotations

import typing
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np

T = TypeVar("T")


def write(file: Path, value: object) -> None:
    """Writes a value. Raises TypeError where it holds something that cannot cross."""
    count = 0

    def lay(part: object) -> object:
        nonlocal count
        if isinstance(part, np.ndarray):
            np.save(_array(file, count), part, allow_pickle=False)
            count += 1
            return count - 1
        if isinstance(part, Path):
            return str(part)
        if isinstance(part, np.generic):
            return part.item()
        raise TypeError(f"a {type(part).__qualname__} cannot be given to another process")

    file.write_bytes(msgspec.msgpack.encode(value, enc_hook=lay))


def read(file: Path, kind: type[T]) -> T:
    """Reads a value of a type. Raises msgspec's ValidationError where the file holds another, and
    DecodeError, OSError or ValueError where it is damaged."""

    def take(wanted: Any, part: object) -> object:
        if wanted is Path and isinstance(part, str):
            return Path(part)
        if typing.get_origin(wanted) is np.ndarray and type(part) is int:
            return np.load(_array(file, part), allow_pickle=False)
        raise TypeError(f"{part!r:.40} is no {wanted}")

    return msgspec.msgpack.decode(file.read_bytes(), type=kind, dec_hook=take)


def _array(file: Path, number: int) -> Path:
    return file.with_name(f"{file.name}-{number}.npy")
