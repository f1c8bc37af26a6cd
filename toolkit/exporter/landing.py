"""Files land whole or not at all: written beside their final place, then renamed."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from toolkit.errors import InputError
from toolkit.supervision import progress

REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would be larger than this process may write",
    errno.EACCES: "it may not be written",
    errno.EPERM: "it may not be written",
    errno.EROFS: "its file system is read-only",
    errno.ENOTDIR: "part of its path is a file",
    errno.EEXIST: "part of its path is a file",
    errno.EISDIR: "it is a folder",
    errno.ENAMETOOLONG: "its name is too long",
}
"""Errors of a path that the user gave, in words. Any other is a bug of ours and stays as it is."""


@contextlib.contextmanager
def beside(final: Path, *, folder: bool = False) -> Iterator[Path]:
    """A folder beside `final`, gone at the end whatever happens, ^C too.

    What shall stay is renamed out of it by `land`. Folders that had to be made on the way to
    `final` go as well if nothing came to stand in them. Raises InputError where `final` is a
    folder, unless that is what shall stand there, and for a write that fails in the block.
    """
    if final.is_dir() and not folder:
        raise InputError(f"{final} is a folder; a file's name is needed", f"-o {final}/NAME")
    missing = [parent for parent in (final.parent, *final.parent.parents) if not parent.exists()]
    working: Path | None = None
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        # In the same folder, hence on the same disk: os.replace moves within one only. The name is
        # cut, since one has at most 255 bytes and a character up to four. The folder is made
        # exclusively and nobody else can write into it: no link can be planted there. Its name is
        # known before it is made: ^C in between leaves nothing that nobody knows of.
        working = final.with_name(f".{final.name[:40]}.{secrets.token_hex(8)}")
        working.mkdir(mode=0o700)
        with progress.leaving(working, missing):
            yield working
    except OSError as error:
        if error.errno not in REASONS:
            raise
        raise InputError(f"{final} was not written: {REASONS[error.errno]}") from error
    finally:
        if working is not None:
            shutil.rmtree(working, ignore_errors=True)
        for parent in missing:
            with contextlib.suppress(OSError):  # It holds what landed, or was never made.
                parent.rmdir()


def land(file: Path, final: Path) -> None:
    """Gives a file that was written beside its final name, durably."""
    with open(file, "rb") as written:
        os.fsync(written.fileno())
    os.chmod(file, 0o666 & ~_umask())  # Some writers make their files private to the user.
    os.replace(file, final)


def land_folders(
    folders: Sequence[Path], parent: Path, *, instead_of: Sequence[Path]
) -> list[Path]:
    """Moves folders that were written beside to `parent`. Those that they replace take their place,
    and go with it at the end."""
    for new, old in itertools.product(folders[:1], instead_of):
        old.rename(new.with_name(f"old-{old.name}"))
    return [folder.rename(parent / folder.name) for folder in folders]


def replace_folder(folder: Path, final: Path) -> None:
    """Gives a folder that was written beside its final name. One that has the name takes its place,
    and goes with it at the end."""
    if final.exists():
        final.rename(folder.with_name(f"old-{folder.name}"))
    folder.rename(final)


def _umask() -> int:
    # There is no way to read it but to set it.
    current = os.umask(0o077)
    os.umask(current)
    return current
