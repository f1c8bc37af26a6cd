"""Finds out whether the clock is fine enough to time one call."""

from __future__ import annotations

from pathlib import Path

from toolkit.doctor.finding import Finding, note, ok
from toolkit.units import Seconds, duration

TOPIC = "clock"
COARSE: Seconds = 1e-6
"""A step of this length is 1 % of a call of 100 µs."""
SYS = Path("/sys")
SOURCES = "devices/system/clocksource/clocksource0"


def check(step: Seconds, sys: Path = SYS) -> list[Finding]:
    """`step` is the smallest difference of two readings that was seen; 0: the clock never moved."""
    if 0 < step <= COARSE:
        return [ok(TOPIC, f"steps of {duration(step)}")]
    seen = f"steps of {duration(step)}" if step else "it did not move while it was watched"
    source, choices = _read(sys / SOURCES / "current_clocksource"), _choices(sys)
    named = f" (clock source {source})" if source else ""
    cures = []
    # The processor's own counter is the finest source that x86 has.
    if "tsc" in choices and source != "tsc":
        file = Path("/sys") / SOURCES / "current_clocksource"
        cures.append(f"echo tsc | sudo tee {file}")
    cures.append("toolkit bench --batch 64    makes the calls longer")
    return [note(TOPIC, f"{seen}{named}: too coarse for calls of microseconds", *cures)]


def _choices(sys: Path) -> list[str]:
    return _read(sys / SOURCES / "available_clocksource").split()


def _read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""
