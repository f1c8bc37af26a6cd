"""Names the parts of Protocol Buffers' wire format that lead to a tensor's bytes in an .onnx.

A message is a sequence of fields: a key of field number and wire type, then a varint, 4 or 8 bytes,
or a length and so many bytes (https://protobuf.dev/programming-guides/encoding/).
"""

from __future__ import annotations

VARINT, EIGHT, LENGTH, FOUR = 0, 1, 2, 5
"""Wire types: the others are groups, which ONNX does not have."""
GRAPH, INITIALIZER, RAW_DATA = 7, 5, 9
"""Numbers of the fields that lead to the bytes: of ModelProto, GraphProto and TensorProto."""


def varint(value: int) -> bytes:
    """Writes a number in groups of seven bits, the lowest first."""
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    data.append(value)
    return bytes(data)


def head(number: int, length: int) -> bytes:
    """Writes what comes before the `length` bytes of a field: its key and the length."""
    return varint(number << 3 | LENGTH) + varint(length)
