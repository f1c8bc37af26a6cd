"""Damages arrays, and the bytes of their .npy files."""

from __future__ import annotations

import io
from collections.abc import Callable
from random import Random
from typing import TypeAlias

import numpy as np

from toolkit.tensors import Array

TYPES = (
    "|O", "<f8", ">i8", "<i4", "<i8", "|u1", "<U5", "|S3", "<c16", "|b1", "<M8[s]", "|V8", "<f2",
    "[('a', '<i8')]", "<i8,<i8", "no", "", "<i99999999", "<U99999999",
)  # fmt: skip
SHAPES = (
    "()", "(0,)", "(10**15,)", "(-1,)", "(2, -3)", "(3, 0)", "(2**63, 2**63)", "(1.5,)", "('a',)",
    "[3]", "3", "(True,)", "(" * 200, "(1,) * 64", "(1, 1, 1, 12)", "None",
)  # fmt: skip
NUMBERS = (0, -1, 1, 2**31, 2**62, 2**63 - 1, -(2**63))
Damage: TypeAlias = Callable[[Array, Random], bytes]


def plain(array: Array) -> bytes:
    """The bytes of an .npy file."""
    out = io.BytesIO()
    np.save(out, array, allow_pickle=True)
    return out.getvalue()


def _values(array: Array, draw: Random) -> bytes:
    other = array.copy().reshape(-1)
    for _ in range(draw.choice((1, 3, other.size))):
        if other.size and other.dtype.kind in "iu":
            info = np.iinfo(other.dtype)
            number = max(int(info.min), min(int(info.max), draw.choice(NUMBERS)))
            other[draw.randrange(other.size)] = number
        elif other.size and other.dtype.kind == "f":
            numbers = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1e38, 1e-45)
            other[draw.randrange(other.size)] = draw.choice(numbers)
    return plain(other.reshape(array.shape))


def _shape(array: Array, draw: Random) -> bytes:
    flat = array.reshape(-1)
    return plain(
        draw.choice(
            (
                flat,
                flat[:0],
                flat[:1],
                array[..., None],
                array.T,
                np.asfortranarray(array),
                np.repeat(array, 20, axis=0),
                flat[:1].reshape(()) if flat.size else flat,
                np.broadcast_to(flat[:1], (1, 5000)) if flat.size else flat,
            )
        )
    )


def _type(array: Array, draw: Random) -> bytes:
    kinds = ("float64", "int32", "uint8", "bool", "complex128", "object", "str", "S4", ">i8", "f2")
    with np.errstate(all="ignore"):
        return plain(array.astype(draw.choice(kinds)))


def _header(array: Array, draw: Random) -> bytes:
    """Another header before the same bytes."""
    descr = draw.choice((repr(array.dtype.str), *map(repr, TYPES)))
    shape = draw.choice((repr(array.shape), *SHAPES))
    order = draw.choice(("False", "True", "1", "None"))
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"
    if draw.random() < 0.2:
        text = draw.choice(
            (
                "",
                "{}",
                "[]",
                "{'descr': 1}",
                text + "x",
                "'''(\n \n  (((\t\\ ",
                text * 200,
                "\0" * 80,
            )
        )
    data = text.encode()
    data += b" " * draw.choice((0, 10, 64)) + draw.choice((b"\n", b""))
    version = draw.choice((b"\x01\x00", b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x09\x09"))
    width = 2 if version[0] == 1 else 4
    length = draw.choice((len(data), len(data), len(data), 0, 5, 2 ** (8 * width) - 1))
    head = (length % 2 ** (8 * width)).to_bytes(width, "little")
    magic = draw.choice((b"\x93NUMPY", b"\x93NUMPY", b"\x93NUMPY", b"NUMPY\x00", b""))
    whole: bytes = magic + version + head + data + array.tobytes()
    return whole


def _cut(array: Array, draw: Random) -> bytes:
    data = plain(array)
    return draw.choice((data[: draw.randrange(len(data))], data + bytes(draw.choice((1, 8, 4096)))))


def _flipped(array: Array, draw: Random) -> bytes:
    data = bytearray(plain(array))
    for _ in range(draw.choice((1, 3))):
        data[draw.randrange(min(len(data), draw.choice((12, 128, len(data)))))] = draw.randrange(
            256
        )
    return bytes(data)


DAMAGES: tuple[Damage, ...] = (
    _values, _values, _shape, _shape, _type, _header, _header, _header, _cut, _flipped,
)  # fmt: skip


def damaged(array: Array, draw: Random) -> bytes:
    """The bytes of an .npy file of an array that is not what it should be."""
    return draw.choice(DAMAGES)(array, draw)
