"""Measures with torch.utils.benchmark: both targets in one process.

Its Compare shows two medians and gives no verdict.
"""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.peers.peer import SECONDS, Reading, output, percent, program


def measure(slower: float, folder: Path) -> dict[str, Reading]:
    """Calls `Timer.blocked_autorange(min_run_time=…)`, one target after the other."""
    both = program("torch_timers", str(SECONDS), percent(0.0), percent(slower))
    return read(output(both, folder))


def read(text: str) -> dict[str, Reading]:
    """The reading of the two medians, which are JSON."""
    first, second = json.loads(text)
    return {"": Reading(second / first)}
