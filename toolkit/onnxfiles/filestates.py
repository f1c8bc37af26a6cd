"""Remembers the files of a model as they were when they were read, and tells which has changed.

What is right is found by the file of the first minute, and workers load it again until the last:
a file that is written in between would be judged, timed or shipped under another one's name. A hash
before each load would read gigabytes, so what `stat` says is compared.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from toolkit.errors import InputError
from toolkit.units import Bytes

CURE = "run it again when nothing writes to that file"


@dataclass(frozen=True)
class FileState:
    """A file as `stat` showed it, links followed."""

    path: Path
    device: int
    inode: int
    size: Bytes
    modified: int
    """The time of the last write, in nanoseconds."""

    def change(self) -> str:
        """Says in words what is different now; empty where nothing is."""
        try:
            now = of(self.path)
        except OSError as error:
            return f"it cannot be opened any more ({error.strerror})"
        if now.size != self.size:
            return f"it had {self.size:,} bytes, now it has {now.size:,}"
        if (now.device, now.inode) != (self.device, self.inode):
            return "another file was put in its place"
        return "" if now.modified == self.modified else "it was written to"


def of(path: Path, stat: os.stat_result | None = None) -> FileState:
    """Looks at a file, or takes what `stat` said of it a moment ago. Raises OSError as `stat`.

    It has to be taken before the file is read: a write while it is read is a change then.
    """
    stat = stat or path.stat()
    return FileState(path, stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)


def demand_unchanged(states: Sequence[FileState]) -> None:
    """Raises InputError for the first file that is no longer as it was read."""
    for state in states:
        if change := state.change():
            raise InputError(
                f"{state.path} changed while the command ran: {change}, so no result is shown", CURE
            )


@contextmanager
def unchanged(states: Sequence[FileState]) -> Iterator[None]:
    """Demands that files are as they were read when the block begins and when it ends.

    An error of the block is the change's where there is one: what read half of a new file may
    raise anything.
    """
    demand_unchanged(states)
    try:
        yield
    except Exception as error:
        try:
            demand_unchanged(states)
        except InputError as changed:
            raise changed from error
        raise
    demand_unchanged(states)
