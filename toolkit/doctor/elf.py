"""Reads from a shared library's file which others it needs, without loading it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

# Numbers and the layout of the file: System V ABI, chapters 4 and 5.
LOAD, DYNAMIC = 1, 2
"""Types of a segment."""
END, NEEDED, STRTAB = 0, 1, 5
"""Tags of an entry of the dynamic segment."""
LONGEST = 4096
"""Bytes that are read for a name: the longest path that Linux takes."""


@dataclass(frozen=True)
class _Segment:
    kind: int
    offset: int
    """Its first byte in the file."""
    address: int
    """Its first byte in memory, once it is loaded."""
    size: int
    """Its bytes in the file."""


def needed(library: Path) -> list[str]:
    """Returns the SONAMEs in the DT_NEEDED entries of a 64-bit little-endian ELF file, in order.

    Raises ValueError for any other file, or one that was cut.
    """
    with library.open("rb") as file:
        try:
            return _needed(file)
        except struct.error as error:
            raise ValueError(f"{library.name} ends before its dynamic segment does") from error


def _needed(file: BinaryIO) -> list[str]:
    segments = _segments(file)
    dynamic = next((s for s in segments if s.kind == DYNAMIC), None)
    if dynamic is None:
        return []
    file.seek(dynamic.offset)
    entries = list(struct.iter_unpack("<qQ", file.read(dynamic.size // 16 * 16)))
    used = entries[: next((i for i, (tag, _) in enumerate(entries) if tag == END), len(entries))]
    strings = next((value for tag, value in used if tag == STRTAB), None)
    if strings is None:
        return []
    start = _offset(segments, strings)
    return [_string(file, start + value) for tag, value in used if tag == NEEDED]


def _segments(file: BinaryIO) -> list[_Segment]:
    header = file.read(64)
    # The magic number, then 2: 64 bits, then 1: little-endian.
    if header[:6] != b"\x7fELF\x02\x01":
        raise ValueError("not a 64-bit little-endian ELF file")
    (table,) = struct.unpack_from("<Q", header, 32)
    entry_size, count = struct.unpack_from("<HH", header, 54)
    segments = []
    for index in range(count):
        file.seek(table + index * entry_size)
        kind, _, offset, address, _, size = struct.unpack("<IIQQQQ", file.read(40))
        segments.append(_Segment(kind, offset, address, size))
    return segments


def _offset(segments: list[_Segment], address: int) -> int:
    """Returns where in the file the byte stands that is loaded at this address."""
    for segment in segments:
        if segment.kind == LOAD and segment.address <= address < segment.address + segment.size:
            return address - segment.address + segment.offset
    raise ValueError("the dynamic segment points outside the file")


def _string(file: BinaryIO, offset: int) -> str:
    file.seek(offset)
    return file.read(LONGEST).split(b"\0", 1)[0].decode(errors="replace")
