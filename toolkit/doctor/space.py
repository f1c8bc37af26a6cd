"""Is there room for a run: on the disk, in shared memory, in memory?"""

from __future__ import annotations

import shlex
import shutil
import tempfile
from pathlib import Path

from toolkit.doctor.finding import Finding, fault, note, ok
from toolkit.units import Bytes, size

TOPIC = "space"
RUN: Bytes = 100_000_000
"""What a run may write: samples, pages, a copy of a model."""
SHARED: Bytes = 16_000_000
MEMORY: Bytes = 1_000_000_000
"""A torch worker holds 300 MB, and several are alive at once."""
SHM = Path("/dev/shm")
MEMINFO = Path("/proc/meminfo")


def check(folder: Path | None = None, shm: Path = SHM, meminfo: Path = MEMINFO) -> list[Finding]:
    """`folder`: where reports/ would be written."""
    places = {folder or Path.cwd(): None, Path(tempfile.gettempdir()): None}
    found = [finding for place in places if (finding := _disk(place)) is not None]
    found += [finding for finding in (_shared(shm), _memory(meminfo)) if finding is not None]
    free = size(shutil.disk_usage(folder or Path.cwd()).free)
    return found or [ok(TOPIC, f"{free} free on the disk, {size(available(meminfo))} of memory")]


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


def _memory(meminfo: Path) -> Finding | None:
    free = available(meminfo)
    if free >= MEMORY:
        return None
    biggest = "ps aux --sort -rss | head    shows who holds it"
    return note(
        TOPIC, f"{size(free)} of memory available: torch and its workers need more", biggest
    )


def available(meminfo: Path = MEMINFO) -> Bytes:
    """Memory that a new process can have without swapping."""
    for line in meminfo.read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0
