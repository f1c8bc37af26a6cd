"""Files land whole or not at all: written beside their final place, then renamed."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from toolkit.errors import InputError

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


@contextlib.contextmanager
def beside(final: Path, *, folder: bool = False) -> Iterator[Path]:
    """A folder beside `final`, gone at the end whatever happens, ^C too.

    What shall stay is renamed out of it by `land`. Folders that had to be made on the way to
    `final` go as well if nothing came to stand in them. Raises InputError where `final` is a
    folder, unless that is what shall stand there, and for a write that fails in the block.
    """
    if final.is_dir() and not folder:
        raise InputError(f"{final} is a folder; a file's name is needed", f"-o {final}/NAME")
    made = [each for each in (final.parent, *final.parent.parents) if not each.exists()]
    place: Path | None = None
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix=f".{final.name[:100]}.", dir=final.parent))
        yield place
    except OSError as error:
        if error.errno not in REASONS:
            raise
        raise InputError(f"{final} was not written: {REASONS[error.errno]}") from error
    finally:
        if place is not None:
            shutil.rmtree(place, ignore_errors=True)
        for empty in made:
            with contextlib.suppress(OSError):  # It holds what landed, or was never made.
                empty.rmdir()


def land(file: Path, final: Path) -> None:
    """Gives a file that was written beside its final name, durably."""
    with open(file, "rb") as written:
        os.fsync(written.fileno())
    os.chmod(file, 0o666 & ~_umask())
    os.replace(file, final)


def land_folders(made: Sequence[Path], parent: Path, *, instead_of: Sequence[Path]) -> list[Path]:
    """Moves folders to `parent`; those that they replace go with the folder they were made in."""
    for new, old in itertools.product(made[:1], instead_of):
        old.rename(new.with_name(f"old-{old.name}"))
    return [folder.rename(parent / folder.name) for folder in made]


def replace_folder(made: Path, final: Path) -> None:
    """Gives a folder that was made beside its final name; the one that stands there goes with the
    folder that it was made in."""
    if final.exists():
        final.rename(made.with_name(f"old-{made.name}"))
    made.rename(final)


def _umask() -> int:
    current = os.umask(0o077)
    os.umask(current)
    return current
