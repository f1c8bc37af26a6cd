from __future__ import annotations

from pathlib import Path

import psutil

from toolkit.doctor import space
from toolkit.doctor.finding import Severity
from toolkit.machine import memory
from toolkit.units import THIN


def plain(text: str) -> str:
    return text.replace(THIN, " ")


FULL = Path("/proc")
"""A file system of which nothing is free, on every Linux."""


ENOUGH = 8_000_000_000


def test_room_is_told(tmp_path: Path) -> None:
    (finding,) = space.check(ENOUGH, tmp_path, shm=tmp_path)
    assert finding.severity is Severity.OK
    assert plain(finding.what).endswith(" free on the disk, 8.00 GB of memory")


def test_the_memory_of_this_machine_is_known() -> None:
    """The examination hands it over; it is within what the machine has."""
    assert 0 < memory.available() <= psutil.virtual_memory().total


def test_a_full_disk_is_a_fault(tmp_path: Path) -> None:
    (finding,) = space.check(ENOUGH, FULL, shm=tmp_path)
    assert finding.severity is Severity.FAULT
    assert plain(finding.what) == "0 bytes free in /proc: a run may not fit"
    assert finding.cures == ("du -xh /proc | sort -h | tail    shows what is big",)


def test_full_shared_memory_is_a_note(tmp_path: Path) -> None:
    (finding,) = space.check(ENOUGH, tmp_path, shm=FULL)
    assert finding.severity is Severity.NOTE
    assert plain(finding.what) == "0 bytes free in /dev/shm: browsers and runtimes may fail"


def test_little_memory_is_a_note(tmp_path: Path) -> None:
    (finding,) = space.check(204_800_000, tmp_path, shm=tmp_path)
    assert finding.severity is Severity.NOTE
    assert plain(finding.what) == ("205 MB of memory available: torch and its workers need more")
