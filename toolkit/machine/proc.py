"""Reads what psutil does not tell from /proc and /sys. A file that is missing reads as empty."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from toolkit.units import Seconds

PROC = Path("/proc")
SYS = Path("/sys")
TICK: Seconds = 1 / os.sysconf("SC_CLK_TCK")
"""The kernel's unit of CPU time."""


@dataclass(frozen=True)
class Stat:
    """The fields of /proc/PID/stat, or of a thread's, that are used here."""

    name: str
    cpu: Seconds
    core: int
    """The core on which it ran last."""


def stat(file: Path) -> Stat:
    """Reads a stat file. Raises FileNotFoundError or ProcessLookupError where it has ended."""
    text = file.read_text(errors="replace")
    # The name stands in brackets and may hold any character, brackets and spaces too.
    start, end = text.index("("), text.rindex(")")
    fields = text[end + 2 :].split()  # From field 3 on (man 5 proc).
    user, system = int(fields[11]), int(fields[12])
    return Stat(name=text[start + 1 : end], cpu=(user + system) * TICK, core=int(fields[36]))


def numbered(folder: Path) -> Iterator[Path]:
    """Yields the entries whose names are numbers: the threads in a folder `task`."""
    try:
        yield from (entry for entry in folder.iterdir() if entry.name.isdigit())
    except (FileNotFoundError, ProcessLookupError):
        return


def lines(file: Path) -> list[str]:
    """Reads the lines of a file that may be missing, or unreadable for this user."""
    try:
        return file.read_text(errors="replace").splitlines()
    except OSError:
        return []


def cores_of(text: str) -> frozenset[int]:
    """Parses the kernel's notation of a set of cores.

    >>> sorted(cores_of("0-2,7"))
    [0, 1, 2, 7]
    """
    cores: set[int] = set()
    for part in text.strip().split(","):
        if part:
            first, _, last = part.partition("-")
            cores |= set(range(int(first), int(last or first) + 1))
    return frozenset(cores)
