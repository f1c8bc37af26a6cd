"""Which shared libraries a shared library needs, read from its file without loading it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

LOAD, DYNAMIC = 1, 2
"""Types of a segment (System V ABI, chapter 5)."""
END, NEEDED, STRTAB = 0, 1, 5
"""Tags of an entry of the dynamic segment."""


@dataclass(frozen=True)
class _Segment:
    kind: int
    offset: int
    address: int
    size: int


def needed(library: Path) -> list[str]:
    """The SONAMEs in its DT_NEEDED entries, in order; of 64-bit little-endian ELF files.

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
    if header[:6] != b"\x7fELF\x02\x01":
        raise ValueError("not a 64-bit little-endian ELF file")
    (table,) = struct.unpack_from("<Q", header, 32)
    size, count = struct.unpack_from("<HH", header, 54)
    found = []
    for index in range(count):
        file.seek(table + index * size)
        kind, _, offset, address, _, length = struct.unpack("<IIQQQQ", file.read(40))
        found.append(_Segment(kind, offset, address, length))
    return found


def _offset(segments: list[_Segment], address: int) -> int:
    """Where in the file stands what is loaded at this address."""
    for segment in segments:
        if segment.kind == LOAD and segment.address <= address < segment.address + segment.size:
            return address - segment.address + segment.offset
    raise ValueError("the dynamic segment points outside the file")


def _string(file: BinaryIO, offset: int) -> str:
    file.seek(offset)
    return file.read(4096).split(b"\0", 1)[0].decode(errors="replace")
