"""Files in folders in which somebody else may have planted something: a run's, or the current one.

U1  Only a regular file is opened. A pipe is told at once instead of waited for, and a link is not
    followed: git and tar keep links, so a folder that was sent may hold one to any file.
U2  The size that a file claims is held against a limit before memory is taken for it, and what it
    holds against what it claims.
U3  A file is made under a name that nobody can guess, and only where nothing has that name.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import secrets
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from toolkit import tensors
from toolkit.errors import InputError, RunError, demand_room_for, file_kind, first_line
from toolkit.supervision import progress
from toolkit.tensors import Array
from toolkit.units import Bytes, size

SAFELY = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""Flags of rule U1. Without O_NONBLOCK a pipe would be waited for before it can be looked at."""
STEM = 40
"""Characters of a file's name in that of the file beside it: a name has at most 255 bytes, and a
character has up to four."""
LEFT = re.compile(r"\..*\.[0-9a-f]{16}\.part", re.DOTALL)
"""The name of a file that is not whole yet."""
PACKED: Bytes = 256 << 20
"""The most that an archive may have on the disk. Its list of members takes up to ten times as much
memory, and is read before its length can be looked at."""


def write(file: Path, data: bytes, mode: int = 0o666) -> None:
    """Writes a whole file beside and renames it. Raises InputError, or DiskFull; then the
    old one still stands.

    What it wrote is on the disk before the rename: a crash leaves the old file or the new. A link
    that has the name is replaced itself, and what it leads to stays as it is. `mode` has the rights
    of the file, of which the umask takes some.
    """
    try:
        _demand_replaceable(file)
        beside, handle = _created(file, mode)
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
        # The name of what is written beside is nobody's concern.
        demand_room_for(file, error)
        raise InputError(f"{file} cannot be written: {error.strerror}") from error


def _created(file: Path, mode: int) -> tuple[Path, int]:
    """A new empty file beside another (U3), and its handle."""
    beside = file.parent / f".{file.name[:STEM]}.{secrets.token_hex(8)}.part"
    # O_EXCL follows no link at the end of the name.
    return beside, os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | SAFELY, mode)


def left_behind(folder: Path) -> list[Path]:
    """The files that processes which were killed left half written in a folder; none in a link. To
    be removed only where nobody is writing."""
    if folder.is_symlink() or not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if LEFT.fullmatch(path.name) and _is_regular(path)]


def _is_regular(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:  # Whoever wrote it has just renamed it.
        return False


def _demand_replaceable(file: Path) -> None:
    """Raises InputError for a pipe, a device or a folder, also behind a link: a rename would put a
    file in its place."""
    if file.exists() and not file.is_file():
        raise InputError(f"{file} cannot be written: it is {file_kind(file.stat().st_mode)}")


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
            raise InputError(f"{file} cannot be written: it is {file_kind(mode)}")
        yield out


def _reason(error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return "it is a link, which is not followed"
    if error.errno == errno.ENXIO:  # A pipe that nobody reads, or a socket.
        return "it is a pipe or a socket"
    return error.strerror or type(error).__name__


@contextlib.contextmanager
def opened(file: Path, limit: Bytes) -> Iterator[BinaryIO]:
    """A file that is there, to be read (U1, U2). Raises RunError, and OSError as `open` does."""
    progress.step(f"reading {words(file.name)}")
    try:
        handle = os.open(file, os.O_RDONLY | SAFELY)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise RunError(f"{file} is not read: {_reason(error)}") from error
        raise
    state = os.fstat(handle)
    if not stat.S_ISREG(state.st_mode):
        os.close(handle)  # Before Python's own `open`, which takes no folder.
        raise RunError(f"{file} is not read: it is {file_kind(state.st_mode)}")
    with open(handle, "rb") as stream:
        if state.st_size > limit:
            raise RunError(
                f"{file} is not read: it has {size(state.st_size)}, {size(limit)} are the most"
            )
        yield stream


def read(file: Path, limit: Bytes) -> bytes:
    """The bytes of a file. Raises RunError, and OSError as `open` does."""
    with opened(file, limit) as stream:
        # `read` takes memory for what it is asked for, so that is not the limit; and not all that
        # there is, which another process may be making longer.
        return stream.read(os.fstat(stream.fileno()).st_size)


def arrays(
    file: Path, room: Bytes, wanted: Callable[[str], bool] = lambda name: True
) -> dict[str, Array]:
    """The arrays of an .npz whose names are wanted, int64 or uint8; they take at most `room`.

    Raises RunError for any other file, and for one that is damaged.
    """
    try:
        with opened(file, PACKED) as stream, zipfile.ZipFile(stream) as archive:
            members = {
                name: member
                for member in archive.infolist()
                if wanted(name := member.filename.removesuffix(".npy"))
            }
            needed = sum(member.file_size for member in members.values())
            if needed > room:
                raise RunError(
                    f"{file} is not read: it unpacks to {size(needed)}, {size(room)} are the most"
                )
            return {name: _array(_unpacked(archive, each)) for name, each in members.items()}
    except (
        OSError,
        ValueError,
        EOFError,
        RuntimeError,  # An archive with a password.
        struct.error,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise RunError(f"{file} is broken: {words(error)}") from error


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """The bytes of a member, never more than it claims (U2)."""
    # The others are unpacked by zipfile without regard to how much is asked for.
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError("it is packed in a way that numpy does not use")
    with archive.open(member) as stream:
        data = stream.read(member.file_size)
    if len(data) != member.file_size:
        raise ValueError("it holds less than it claims")
    return data


def _array(data: bytes) -> Array:
    """An array from the bytes of an .npy file, which it shares. Raises ValueError for one of other
    numbers than int64 and uint8, pickles among them, and for one of another length."""
    stream = io.BytesIO(data)
    shape, is_fortran, dtype = tensors.header(stream)
    if dtype not in (np.int64, np.uint8):
        raise ValueError(f"it holds {words(dtype)}, and neither int64 nor bytes")
    start = stream.tell()
    tensors.demand_size(shape, dtype, len(data) - start)
    flat: Array = np.frombuffer(data, dtype, offset=start)
    return flat.reshape(shape, order="F" if is_fortran else "C")


def words(error: object) -> str:
    """The first line of an error that may quote a stranger's text, without control characters."""
    return "".join(letter if letter.isprintable() else "�" for letter in first_line(error))
