"""Files in folders in which somebody else may have planted something: a run's, or the current one.

U1  Only a regular file is opened. A pipe is told at once instead of waited for, and a link is not
    followed: git and tar keep links, so a folder that was sent may hold one to any file.
U2  A file is made under a name that nobody can guess, and only where nothing has that name.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from toolkit.errors import InputError

SAFELY = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""Flags of rule U1. Without O_NONBLOCK a pipe would be waited for before it can be looked at."""
STEM = 40
"""Characters of a file's name in that of the file beside it: a name has at most 255 bytes, and a
character has up to four."""
KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


def write(file: Path, data: bytes) -> None:
    """Writes a whole file beside and renames it. Raises InputError; then the old one still stands.

    What it wrote is on the disk before the rename: a crash leaves the old file or the new. A link
    that has the name is replaced itself, and what it leads to stays as it is.
    """
    try:
        _demand_replaceable(file)
        beside, handle = _created(file)
        try:
            with open(handle, "wb") as out:
                out.write(data)
                out.flush()
                os.fsync(out.fileno())
            beside.replace(file)
        except BaseException:  # ^C, too: its name cannot be guessed, so nobody would remove it.
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error.strerror}") from error


def _created(file: Path) -> tuple[Path, int]:
    """A new empty file beside another (U2), and its handle. Its rights are those of the umask."""
    beside = file.parent / f".{file.name[:STEM]}.{secrets.token_hex(8)}.part"
    # O_EXCL follows no link at the end of the name.
    return beside, os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | SAFELY, 0o666)


def _demand_replaceable(file: Path) -> None:
    """Raises InputError for a pipe, a device or a folder, also behind a link: a rename would put a
    file in its place."""
    if file.exists() and not file.is_file():
        kind = KINDS.get(stat.S_IFMT(file.stat().st_mode), "no file")
        raise InputError(f"{file} cannot be written: it is {kind}")


@contextlib.contextmanager
def appending(file: Path) -> Iterator[BinaryIO]:
    """A file to add to, made where it is missing (U1). Raises InputError."""
    try:
        handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | SAFELY, 0o666)
    except OSError as error:
        raise InputError(f"{file} cannot be written: {_reason(error)}") from error
    with open(handle, "ab") as out:
        mode = os.fstat(handle).st_mode
        if not stat.S_ISREG(mode):
            kind = KINDS.get(stat.S_IFMT(mode), "no file")
            raise InputError(f"{file} cannot be written: it is {kind}")
        yield out


def _reason(error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return "it is a link, which is not followed"
    if error.errno == errno.ENXIO:  # A pipe that nobody reads, or a socket.
        return "it is a pipe or a socket"
    return error.strerror or type(error).__name__
