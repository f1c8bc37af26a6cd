from __future__ import annotations

from pathlib import Path

from toolkit.doctor import space
from toolkit.doctor.finding import Severity
from toolkit.units import THIN


def plain(text: str) -> str:
    return text.replace(THIN, " ")


FULL = Path("/proc")
"""A file system of which nothing is free, on every Linux."""


def test_room_is_told(tmp_path: Path) -> None:
    (finding,) = space.check(tmp_path, shm=tmp_path)
    assert finding.severity is Severity.OK
    assert "free on the disk" in finding.what


def test_a_full_disk_is_a_fault(tmp_path: Path) -> None:
    (finding,) = space.check(FULL, shm=tmp_path)
    assert finding.severity is Severity.FAULT
    assert plain(finding.what) == "0 bytes free in /proc: a run may not fit"
    assert finding.cures == ("du -xh /proc | sort -h | tail    shows what is big",)


def test_full_shared_memory_is_a_note(tmp_path: Path) -> None:
    (finding,) = space.check(tmp_path, shm=FULL)
    assert finding.severity is Severity.NOTE
    assert plain(finding.what) == "0 bytes free in /dev/shm: browsers and runtimes may fail"


def test_little_memory_is_a_note(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 8000000 kB\nMemAvailable:  200000 kB\n")
    (finding,) = space.check(tmp_path, shm=tmp_path, meminfo=meminfo)
    assert finding.severity is Severity.NOTE
    assert plain(finding.what) == ("205 MB of memory available: torch and its workers need more")
