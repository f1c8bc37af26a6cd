"""Reads an .onnx file without the bytes of its large tensors, which stay in the file.

A protobuf message is read as a whole, so a model of 500 MB takes as much memory before a node of it
is known, and twice that while it is parsed. Here its fields are walked through (wireformat.py). The
bytes of a large initializer are passed over, and the tensor refers to them as external data that
lies in the file itself. What is not as ONNX's writers lay it out is left to protobuf's own
parser.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import TensorProto

from toolkit.onnxfiles import storedtensors
from toolkit.onnxfiles.wireformat import (
    EIGHT,
    FOUR,
    GRAPH,
    INITIALIZER,
    LENGTH,
    RAW_DATA,
    VARINT,
    varint,
)
from toolkit.units import Bytes

LEAST: Bytes = 1 << 16
"""Bytes from which on a tensor stays in the file."""
SMALL: Bytes = 1 << 20
"""Bytes of a file up to which nothing is gained."""

LISTS = ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")


class Irregular(Exception):
    """The bytes are not what is read here; protobuf's parser may take them all the same."""


def read(path: Path, size: Bytes) -> bytes:
    """Gives the content of a file of this size, lightened where it is large. Raises OSError."""
    with path.open("rb") as stream:
        if size > SMALL:
            try:
                return b"".join(_model(stream, size, path.name))
            except Irregular:
                stream.seek(0)
        return stream.read()


def _model(stream: BinaryIO, size: Bytes, name: str) -> Iterator[bytes]:
    graphs = 0
    while stream.tell() < size:
        key, number, wire = _key(stream)
        if number != GRAPH:
            yield key + _value(stream, wire, size)
            continue
        graphs += 1
        if graphs > 1 or wire != LENGTH:  # protobuf would merge them
            raise Irregular
        graph = b"".join(_graph(stream, _end(stream, size), name))
        yield key + varint(len(graph)) + graph


def _graph(stream: BinaryIO, end: int, name: str) -> Iterator[bytes]:
    while stream.tell() < end:
        key, number, wire = _key(stream)
        if number == INITIALIZER and wire == LENGTH:
            tensor = _tensor(stream, _end(stream, end), name)
            yield key + varint(len(tensor)) + tensor
        else:
            yield key + _value(stream, wire, end)


def _tensor(stream: BinaryIO, end: int, name: str) -> bytes:
    rest: list[bytes] = []
    place: tuple[int, Bytes] | None = None
    while stream.tell() < end:
        key, number, wire = _key(stream)
        if number != RAW_DATA or wire != LENGTH:
            rest.append(key + _value(stream, wire, end))
            continue
        behind = _end(stream, end)
        length = behind - stream.tell()
        if length < LEAST:
            rest.append(key + varint(length) + _bytes(stream, length))
        elif place is None:
            place = stream.tell(), length
            stream.seek(behind)
        else:
            raise Irregular
    content = b"".join(rest)
    return content if place is None else _referring(content, name, *place)


def _referring(content: bytes, name: str, offset: int, length: Bytes) -> bytes:
    """A tensor that refers to its bytes in the file of this name."""
    try:
        tensor = TensorProto.FromString(content)
    except DecodeError as error:
        raise Irregular from error
    is_plain = tensor.data_location == TensorProto.DEFAULT and not tensor.external_data
    if not is_plain or tensor.HasField("raw_data") or any(len(getattr(tensor, n)) for n in LISTS):
        raise Irregular
    is_known = tensor.data_type in TensorProto.DataType.values()
    if not is_known or storedtensors.needed(tensor) != length:  # who reads the whole says so
        raise Irregular
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", name), ("offset", str(offset)), ("length", str(length))):
        tensor.external_data.add(key=key, value=value)
    lighter: bytes = tensor.SerializeToString()
    return lighter


def _key(stream: BinaryIO) -> tuple[bytes, int, int]:
    """Reads a key: its bytes, the number of the field, and the wire type."""
    key, value = _varint(stream)
    return key, value >> 3, value & 7


def _value(stream: BinaryIO, wire: int, end: int) -> bytes:
    """Reads the value of a field, with its length where it has one."""
    if wire == VARINT:
        value, _ = _varint(stream)
    elif wire == LENGTH:
        head, length = _varint(stream)
        if stream.tell() + length > end:
            raise Irregular
        value = head + _bytes(stream, length)
    elif wire in (EIGHT, FOUR):
        value = _bytes(stream, 8 if wire == EIGHT else 4)
    else:
        raise Irregular
    if stream.tell() > end:
        raise Irregular
    return value


def _end(stream: BinaryIO, limit: int) -> int:
    """Reads a length, and gives the place where what is so long ends."""
    _, length = _varint(stream)
    end = stream.tell() + length
    if end > limit:
        raise Irregular
    return end


def _bytes(stream: BinaryIO, length: Bytes) -> bytes:
    data = stream.read(length)
    if len(data) != length:
        raise Irregular
    return data


def _varint(stream: BinaryIO) -> tuple[bytes, int]:
    """Reads a number in groups of seven bits, the lowest first: its bytes and what they say."""
    data, value = b"", 0
    while len(data) < 10:
        byte = _bytes(stream, 1)
        data += byte
        value |= (byte[0] & 0x7F) << (7 * (len(data) - 1))
        if byte[0] < 0x80:
            return data, value
    raise Irregular
