"""Keeps what is slow to make, environments and converted models, in the user's cache folder."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from toolkit.errors import EnvironmentFault

MARK = "complete.json"
"""The file that is written last: a folder without it was left by a killed process, and is made
anew."""


def root() -> Path:
    """The user's cache folder for toolkit; TOOLKIT_CACHE names another."""
    if named := os.environ.get("TOOLKIT_CACHE"):
        return expanded(named)
    return expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "toolkit"


def expanded(path: str) -> Path:
    """An absolute path from one that may begin with ~. Raises EnvironmentFault for no such home."""
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError as error:
        raise EnvironmentFault(f"{path}: there is no such home") from error


def facts(folder: Path) -> dict[str, Any] | None:
    """Reads the facts of a folder that was made whole; None where it was not."""
    try:
        content = json.loads((folder / MARK).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def made(folder: Path, make: Callable[[Path], dict[str, Any]]) -> tuple[dict[str, Any], bool]:
    """The facts of a folder that is made once, whole or not at all; and whether it was there.

    `make` fills the empty folder and returns its facts. Of two processes that want the same folder
    at once the second waits. Raises EnvironmentFault where the cache cannot be written; an error of
    `make` goes through, and nothing is left.
    """
    with locked(folder):
        known = facts(folder)
        if known is not None:
            return known, True
        try:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            new = make(folder)
            (folder / MARK).write_text(json.dumps(new, indent=1), "utf-8")
        except BaseException as error:
            shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, OSError):
                raise _unwritable(error) from error
            raise
        return new, False


def remove(folder: Path) -> None:
    """Removes a folder; its mark goes first, so that half of a folder counts as nothing."""
    with locked(folder):
        (folder / MARK).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)


@lru_cache
def use(folder: Path) -> int:
    """Keeps others from removing a folder (`remove_unless_used`) until this process ends, however
    it ends; returns the file descriptor that does.

    It is another lock than that of `locked`, which is held while the folder is made. Raises
    EnvironmentFault where the cache cannot be written.
    """
    try:
        used = os.open(_used(folder), os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise _unwritable(error) from error
    fcntl.flock(used, fcntl.LOCK_SH)
    return used


def remove_unless_used(folder: Path) -> bool:
    """Removes a folder that no process uses; tells whether it did."""
    used = os.open(_used(folder), os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(used, fcntl.LOCK_EX | fcntl.LOCK_NB)
        remove(folder)
    except BlockingIOError:
        return False
    finally:
        os.close(used)
    return True


def _used(folder: Path) -> Path:
    return folder.parent / f".{folder.name}.used"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the folder's lock. The file of the lock stays: a process that waits for it has it open,
    and would hold another lock than one that made the file anew."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder.parent / f".{folder.name}.lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise _unwritable(error) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def size(folder: Path) -> int:
    """Bytes of all files below a folder, links not followed."""
    return sum(
        os.lstat(os.path.join(parent, name)).st_size
        for parent, _, names in os.walk(folder)
        for name in names
    )


def _unwritable(error: OSError) -> EnvironmentFault:
    return EnvironmentFault(
        f"the cache {root()} cannot be written: {error.strerror}",
        "TOOLKIT_CACHE=FOLDER    names another folder",
    )
