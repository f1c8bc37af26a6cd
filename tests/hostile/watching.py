"""Watches a folder by inotify: whether a file in it is opened, read or written, by whomever, also
by a library's C++."""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
from collections.abc import Iterator
from pathlib import Path

ACCESS, MODIFY, ATTRIB, OPEN, MOVED, CREATE, DELETE = 0x1, 0x2, 0x4, 0x20, 0xC0, 0x100, 0x200
IS_FOLDER = 0x40000000
NONBLOCK, CLOEXEC = 0o4000, 0o2000000
EVENT = struct.Struct("iIII")
"""From linux/inotify.h: the watch, the mask, a cookie, the length of the name that follows."""


class Watched:
    """A folder that is watched."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def touched(self) -> list[str]:
        """The files that something was done to since this was asked last."""
        data = b""
        with contextlib.suppress(BlockingIOError):
            while part := os.read(self._handle, 1 << 16):
                data += part
        names = []
        while data:
            _, mask, _, length = EVENT.unpack(data[: EVENT.size])
            name = data[EVENT.size : EVENT.size + length].rstrip(b"\0").decode()
            if not (mask & IS_FOLDER and mask & (OPEN | ACCESS)):  # To list it reads no file.
                names.append(name)
            data = data[EVENT.size + length :]
        return names


@contextlib.contextmanager
def watch(folder: Path) -> Iterator[Watched]:
    """Watches a folder as long as the block lasts."""
    library = ctypes.CDLL(None, use_errno=True)
    handle = library.inotify_init1(NONBLOCK | CLOEXEC)
    mask = ACCESS | MODIFY | ATTRIB | OPEN | MOVED | CREATE | DELETE
    try:
        if library.inotify_add_watch(handle, os.fsencode(folder), mask) < 0:
            raise OSError(ctypes.get_errno(), f"{folder} cannot be watched")
        yield Watched(handle)
    finally:
        os.close(handle)
