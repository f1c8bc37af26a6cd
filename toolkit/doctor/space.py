"""Finds out whether there is room for a run: on the disk, in shared memory, in memory."""

from __future__ import annotations

import shlex
import shutil
import tempfile
from pathlib import Path

from toolkit.doctor.finding import Finding, fault, note, ok
from toolkit.units import Bytes, size

TOPIC = "space"
RUN: Bytes = 100_000_000
"""A run may write so much: samples, pages, a copy of a model."""
SHARED: Bytes = 16_000_000
"""Browsers and some runtimes keep buffers in shared memory; a container may have none left."""
MEMORY: Bytes = 1_000_000_000
"""A torch worker holds 300 MB, and several are alive at once."""
SHM = Path("/dev/shm")


def check(memory: Bytes, folder: Path | None = None, shm: Path = SHM) -> list[Finding]:
    """`memory` is what a new process can take without swapping; `folder` is where reports/ would be
    written, default the current one."""
    folder = folder or Path.cwd()
    # A dictionary: one note where both are the same.
    disks = {folder: None, Path(tempfile.gettempdir()): None}
    looks = [*map(_disk, disks), _shared(shm), _memory(memory)]
    findings = [finding for finding in looks if finding is not None]
    free = size(shutil.disk_usage(folder).free)
    return findings or [ok(TOPIC, f"{free} free on the disk, {size(memory)} of memory")]


def _disk(folder: Path) -> Finding | None:
    free = shutil.disk_usage(folder).free
    if free >= RUN:
        return None
    shown = shlex.quote(str(folder))
    biggest = f"du -xh {shown} | sort -h | tail    shows what is big"
    return fault(TOPIC, f"{size(free)} free in {shown}: a run may not fit", biggest)


def _shared(shm: Path) -> Finding | None:
    if not shm.is_dir() or shutil.disk_usage(shm).free >= SHARED:
        return None
    return note(
        TOPIC,
        f"{size(shutil.disk_usage(shm).free)} free in /dev/shm: browsers and runtimes may fail",
        "docker run --shm-size 1g …    in a container",
        "ls -l /dev/shm    shows what others left there",
    )


def _memory(free: Bytes) -> Finding | None:
    if free >= MEMORY:
        return None
    biggest = "ps aux --sort -rss | head    shows who holds it"
    return note(
        TOPIC, f"{size(free)} of memory available: torch and its workers need more", biggest
    )
