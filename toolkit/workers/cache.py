"""Keeps what is slow to make, environments and converted models, in the user's cache folder.

K1  The cache is the user's alone, since code in it is run: it belongs to the user, and nobody else
    may read or write there.
K2  A lock that another process holds is told at once, with that process.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from toolkit.errors import LONGEST, EnvironmentFault, os_reason

MARK = "complete.json"
"""The file that is written last: a folder without it was left by a killed process, and is made
anew."""


PRIVATE = 0o700


class CacheWarning(UserWarning):
    """Something about the cache that a user should know, and that hinders nothing."""


def root() -> Path:
    """The user's cache folder for toolkit; TOOLKIT_CACHE names another.

    Raises EnvironmentFault where it is somebody else's (K1).
    """
    folder = _named_root()
    _demand_own(folder)
    return folder


def _named_root() -> Path:
    if named := os.environ.get("TOOLKIT_CACHE"):
        return expanded(named)
    xdg = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    if not xdg.startswith(("/", "~")):
        # The XDG Base Directory Specification demands it: it would be another in every folder.
        # Told of this line, and not of the caller's: so Python shows it once.
        told = f"XDG_CACHE_HOME={xdg} is a relative path and is ignored: ~/.cache is used"
        warnings.warn(told, CacheWarning, stacklevel=1)
        xdg = "~/.cache"
    return expanded(xdg) / "toolkit"


def _demand_own(folder: Path) -> None:
    """Raises EnvironmentFault for a folder of another user; takes their rights from all others."""
    try:
        state = folder.stat()
        if state.st_uid == os.getuid() and state.st_mode & 0o077:
            folder.chmod(PRIVATE)
    except OSError:  # It is not there yet, or its file system is read-only.
        return
    if state.st_uid != os.getuid():
        raise EnvironmentFault(
            f"the cache {folder} belongs to another user (id {state.st_uid}), who could put code"
            " into it",
            "TOOLKIT_CACHE=FOLDER    names a folder of yours",
        )


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


def private(folder: Path) -> None:
    """Makes a folder of the cache, for this user alone. Raises EnvironmentFault where it cannot
    be."""
    try:
        # Each by itself: `parents` would make those above with the rights of the umask.
        for each in (*reversed(folder.parents), folder):
            if not each.exists():
                each.mkdir(mode=PRIVATE, exist_ok=True)
    except OSError as error:
        raise _unwritable(error) from error


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
    with kept_from_use(folder) as is_free:
        if is_free:
            remove(folder)
    return is_free


@contextlib.contextmanager
def kept_from_use(folder: Path) -> Iterator[bool]:
    """Lets no process begin to use a folder in the block; tells whether none does already."""
    used = os.open(_used(folder), os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(used, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_free = True
    except BlockingIOError:
        is_free = False
    try:
        yield is_free
    finally:
        os.close(used)


def users(folder: Path) -> list[str]:
    """The processes that use a folder, 'process 4711 (toolkit bench m.onnx)'; those of other
    containers are 'another process'."""
    state = _used(folder).stat()
    place = f"{os.major(state.st_dev):02x}:{os.minor(state.st_dev):02x}:{state.st_ino}"
    try:
        locks = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return ["another process"]
    # '1: FLOCK  ADVISORY  READ 4711 fe:01:1234 0 EOF' (proc_locks(5)); who waits has '->' in it.
    fields = [line.split() for line in locks if "->" not in line]
    holders = {each[4] for each in fields if len(each) > 5 and each[5] == place}
    own = str(os.getpid())
    return sorted(_process(each) for each in holders if each != own) or ["another process"]


def _used(folder: Path) -> Path:
    return folder.parent / f".{folder.name}.used"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the folder's lock. The file of the lock stays: a process that waits for it has it open,
    and would hold another lock than one that made the file anew."""
    try:
        private(folder.parent)
        lock = os.open(folder.parent / f".{folder.name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise _unwritable(error) from error
    try:
        _take(lock, folder)
        yield
    finally:
        os.close(lock)


def _take(lock: int, folder: Path) -> None:
    """Takes a lock, whose file then has the number of this process; tells who has it (K2)."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        told = f"waiting for {_holder(lock)}, which is at work on {folder.name} in the cache"
        warnings.warn(told, CacheWarning, stacklevel=1)
        fcntl.flock(lock, fcntl.LOCK_EX)
    with contextlib.suppress(OSError):  # A full disk: then the next one cannot tell who it is.
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)


def _holder(lock: int) -> str:
    """'process 4711 (toolkit runtimes install openvino)'."""
    return _process(os.pread(lock, 20, 0).decode(errors="replace"))


def _process(number: str) -> str:
    """A process by its number and its command; 'another process' where none has that number."""
    if not number.isdecimal():
        return "another process"
    try:
        line = Path(f"/proc/{number}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:  # It belongs to another container: the number is not that of a process here.
        return "another process"
    words = [word for word in line if word]
    # The command is the script, or behind the program of a process that is watched over.
    programs = [place for place, word in enumerate(words) if "toolkit.cli" in word]
    scripts = [place for place, word in enumerate(words) if Path(word).name == "toolkit"]
    if programs:
        words = ["toolkit", *words[programs[0] + 2 :]]
    elif scripts:
        words = ["toolkit", *words[scripts[0] + 1 :]]
    shown = " ".join(words)[:LONGEST]
    return f"process {number} ({''.join(c if c.isprintable() else ' ' for c in shown)})"


def size(folder: Path) -> int:
    """Bytes of all files below a folder, links not followed."""
    return sum(
        os.lstat(os.path.join(parent, name)).st_size
        for parent, _, names in os.walk(folder)
        for name in names
    )


def _unwritable(error: OSError) -> EnvironmentFault:
    return EnvironmentFault(
        f"the cache {root()} cannot be written: {os_reason(error)}",
        "TOOLKIT_CACHE=FOLDER    names another folder",
    )
