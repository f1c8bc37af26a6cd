"""Tells how much memory this process may take: of the machine, and of its control group."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil

from toolkit.machine.proc import PROC, SYS, lines
from toolkit.units import Bytes

RESERVE: Bytes = 200_000_000
"""Bytes that have to stay free: with less, the kernel soon kills a process of its choice."""


def available(proc: Path = PROC, sys: Path = SYS) -> Bytes:
    """Returns the bytes that can be taken without swapping, within a container's limits too."""
    free: Bytes = psutil.virtual_memory().available
    return min([free, *_rooms(proc, sys)])


def _rooms(proc: Path, sys: Path) -> Iterator[Bytes]:
    """Yields the bytes that each control group (version 2) above this process leaves."""
    mount = sys / "fs/cgroup"
    own = next((text[3:] for text in lines(proc / "self/cgroup") if text.startswith("0::")), None)
    if own is None:
        return
    group = mount / own.lstrip("/")
    while group.is_relative_to(mount):
        limit, used = lines(group / "memory.max"), lines(group / "memory.current")
        if limit and used and limit[0] != "max":
            yield max(0, int(limit[0]) - int(used[0]) + _reclaimable(group))
        group = group.parent


def _reclaimable(group: Path) -> Bytes:
    """Bytes of cached files, which the kernel gives up before it kills anyone."""
    told = dict(text.split(" ", 1) for text in lines(group / "memory.stat"))
    return int(told.get("inactive_file", 0))
