"""Declares everything that can go wrong, as a tree.

    ToolkitError              a user can mend it; exit code 1
    ├── InputError            a file, a folder or a value that the user gave
    ├── ExportError           PyTorch could not export the model
    ├── ProofError            the exported file is not the same function
    ├── EnvironmentFault      a Python environment or a library in it
    ├── TargetError           one target could not be loaded or run; the other targets go on
    │   ├── ShapeRefused      it cannot take a feed of this shape, though the model can
    │   ├── ProviderFailed    the provider that was asked for is not there or did not start
    │   ├── LibraryError      the library itself raised
    │   └── WorkerDied        its process crashed, hung or talked nonsense
    ├── DiskFull              a disk, or a quota on it, has no room for what is written
    └── RunError              a run folder: unfinished, of another machine, of another model

Everything else that is raised is a bug of ours (exit code 3).
"""

from __future__ import annotations

import difflib
import errno
import os
import shlex
import shutil
import signal
import stat
import tempfile
from collections.abc import Iterable, Iterator

SHOWN = 8192
"""Characters of an error that are kept: two paths of 4,096 fit (PATH_MAX), while a name in a
hostile file has no end. A longer command is pasted by nobody."""


class ToolkitError(Exception):
    """Says what is wrong in one line, then what to do, a line each, in commands to paste."""

    def __init__(self, what: str, *cures: str) -> None:
        what = what if len(what) <= SHOWN else f"{what[: SHOWN // 2]} … {what[-SHOWN // 4 :]}"
        super().__init__(what)
        self.what = what
        self.cures = tuple(cure for cure in cures if len(cure) <= SHOWN)


class InputError(ToolkitError):
    """A file, a folder or a value that the user gave."""


class ExportError(ToolkitError):
    """PyTorch could not export the model."""


class ProofError(ToolkitError):
    """The exported file is not the module's function, or not of the form that was asked."""


class EnvironmentFault(ToolkitError):
    """A Python environment, or a library in it, that cannot be used."""


class TargetError(ToolkitError):
    """One target could not be loaded or run.

    `verb` is what its worker was doing, `last_words` the end of that worker's log.
    """

    verb: str = ""
    last_words: tuple[str, ...] = ()


class ShapeRefused(TargetError):
    """A runtime cannot take a feed of this shape, though the model can."""


class ProviderFailed(TargetError):
    """The provider that was asked for is not there, or did not start: why, the library says on its
    log alone."""


class LibraryError(TargetError):
    """The library itself raised: the words are its own."""


class WorkerDied(TargetError):
    """A worker crashed, hung, exited early or answered nonsense."""


class DiskFull(ToolkitError):
    """A disk, or a quota on it, has no room for what is written. Whatever was at work has no fault
    in it."""


class RunError(ToolkitError):
    """A run folder that cannot be read, resumed or compared."""


def unknown(what: str, name: str, choices: Iterable[str]) -> str:
    """One line that names what is unknown, all choices and, where one is near, a suggestion.

    >>> unknown("runtime", "onnxrt", ["torch", "onnxruntime"])
    "no runtime is called 'onnxrt'; there are: onnxruntime, torch. Did you mean onnxruntime?"
    """
    known = sorted(choices)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    guess = f" Did you mean {near[0]}?" if near else ""
    return f"no {what} is called {name!r}; there are: {', '.join(known)}.{guess}"


LONGEST = 300
"""Characters of a foreign library's line that are shown: some print whole graphs in one."""


def lines(text: object) -> list[str]:
    """The lines of a text that are not blank, without the spaces around them."""
    return [line.strip() for line in str(text).splitlines() if line.strip()]


def first_line(error: object) -> str:
    """The first line that an error or a text says; the type's name where it says nothing."""
    said = lines(error)
    return said[0][:LONGEST] if said else type(error).__name__


def signal_name(number: int) -> str:
    """The name of a signal: 'SIGSEGV'; 'signal 35' where Python has none, as for most of the
    real-time signals."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def typed_line(error: BaseException) -> str:
    """An error in one line: its type, then the first line of its text where it has one."""
    kind, line = type(error).__name__, first_line(error)
    return kind if line == kind else f"{kind}: {line}"


NO_ROOM = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up"}
"""The errors of a disk that takes no more, in words."""
LITTLE = 1 << 20
"""Bytes that are free at most on a disk that is called full: who was refused has cleared up since,
mostly."""


def os_reason(error: OSError) -> str:
    """The reason of the system for an error of a file: in our words where a disk is full."""
    return NO_ROOM.get(error.errno or 0) or error.strerror or type(error).__name__


FILE_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}
"""What a path may lead to besides a file, in words."""


def file_kind(mode: int) -> str:
    """What a path leads to that is no regular file, by its mode."""
    return FILE_KINDS.get(stat.S_IFMT(mode), "no file")


def full_disk(error: BaseException | str, *folders: str | os.PathLike[str]) -> DiskFull | None:
    """The error that says which disk is full, where that is behind another error, or in the words
    of a library or a program; None where it is not.

    The file stands in the error as a rule. Else the place is the folder, of those and of the usual
    ones, that has no room: temporary files, the current folder.
    """
    for each in [error] if isinstance(error, str) else _behind(error):
        if isinstance(each, ToolkitError) and any(map(each.what.__contains__, NO_ROOM.values())):
            return DiskFull(each.what, *each.cures)  # Who wrote it has said it already.
        for number, reason in NO_ROOM.items():
            if isinstance(each, OSError) and each.errno == number:
                return _full(reason, [each.filename2 or each.filename], folders)
            if not isinstance(each, OSError) and os.strerror(number) in str(each):
                return _full(reason, [], folders)
    return None


def demand_room(error: BaseException) -> None:
    """Raises DiskFull where a full disk is behind an error. To be called before somebody else is
    blamed for it: the model, the user's module, a library."""
    if (full := full_disk(error)) is not None:
        raise full from error


def demand_room_for(file: str | os.PathLike[str], error: OSError) -> None:
    """Raises DiskFull, with the name of the file that was written, where a full disk is the error.

    An error of a file that is open already has no name.
    """
    if error.errno in NO_ROOM:
        raise _full(NO_ROOM[error.errno], [file], ()) from error


def _behind(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those that it was raised from, or while they were handled."""
    known: set[int] = set()
    while error is not None and id(error) not in known:
        known.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _full(reason: str, files: Iterable[object], folders: Iterable[object]) -> DiskFull:
    named = [os.fsdecode(file) for file in files if isinstance(file, str | bytes | os.PathLike)]
    usual = [temporary_folder(), os.getcwd()]
    full = [str(folder) for folder in (*folders, *usual) if _has_little(str(folder))]
    if not named and not full:
        what = f"a file cannot be written: {reason}"
        return DiskFull(what, "df -h    shows which disk is full")
    place = os.path.dirname(os.path.abspath(named[0])) if named else full[0]
    cures = [f"df -h {shlex.quote(place)}    shows how full it is"]
    if place.startswith(usual[0]):
        cures.append("TMPDIR=FOLDER toolkit …    takes temporary files to a folder with room")
    return DiskFull(f"{[*named, *full][0]} cannot be written: {reason}", *cures)


def temporary_folder() -> str:
    """The folder of temporary files, also where none can be written there."""
    try:
        return tempfile.gettempdir()
    except FileNotFoundError:
        return os.environ.get("TMPDIR") or "/tmp"


def _has_little(folder: str) -> bool:
    try:
        return shutil.disk_usage(folder).free <= LITTLE
    except OSError:
        return False
