"""Reading /proc and /sys. Where a file is not there (another system, a container), it is empty."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from toolkit.units import Seconds

PROC = Path("/proc")
SYS = Path("/sys")
TICK: Seconds = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Stat:
    """What /proc/PID/stat says."""

    name: str
    parent: int
    user: Seconds
    system: Seconds
    children: Seconds
    """Of the children that ended and were waited for."""
    core: int

    @property
    def cpu(self) -> Seconds:
        return self.user + self.system

    @property
    def with_children(self) -> Seconds:
        return self.cpu + self.children


def stat(file: Path) -> Stat:
    text = file.read_text(errors="replace")
    # The name stands in brackets and may hold any character, brackets and spaces too.
    start, end = text.index("("), text.rindex(")")
    rest = text[end + 2 :].split()  # From field 3 on (man 5 proc).
    ticks = [int(field) for field in rest[11:15]]
    return Stat(
        name=text[start + 1 : end],
        parent=int(rest[1]),
        user=ticks[0] * TICK,
        system=ticks[1] * TICK,
        children=(ticks[2] + ticks[3]) * TICK,
        core=int(rest[36]),
    )


def processes(proc: Path) -> dict[int, Stat]:
    found = {}
    for folder in numbered(proc):
        try:
            found[int(folder.name)] = stat(folder / "stat")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found


def descendants(root: int, processes: Mapping[int, Stat]) -> set[int]:
    """`root` and all below it."""
    children: dict[int, list[int]] = {}
    for pid, found in processes.items():
        children.setdefault(found.parent, []).append(pid)
    tree: set[int] = set()
    open_ends = [root] if root in processes else []
    while open_ends:
        pid = open_ends.pop()
        tree.add(pid)
        open_ends.extend(children.get(pid, []))
    return tree


def numbered(folder: Path) -> Iterator[Path]:
    try:
        yield from (entry for entry in folder.iterdir() if entry.name.isdigit())
    except (FileNotFoundError, ProcessLookupError):
        return


def lines(file: Path) -> list[str]:
    """Of a file that need not be there, or cannot be read by everyone."""
    try:
        return file.read_text().splitlines()
    except OSError:
        return []


def cores_of(text: str) -> frozenset[int]:
    """The kernel's notation of a set of cores.

    >>> sorted(cores_of("0-2,7"))
    [0, 1, 2, 7]
    """
    found: set[int] = set()
    for part in text.strip().split(","):
        if part:
            first, _, last = part.partition("-")
            found |= set(range(int(first), int(last or first) + 1))
    return frozenset(found)
