"""torch.utils.benchmark: both targets in one process. Its Compare shows two medians, no verdict."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.peers.peer import SECONDS, Reading, output, percent, program


def measure(slower: float, folder: Path) -> dict[str, Reading]:
    """`Timer.blocked_autorange(min_run_time=…)`, one target after the other."""
    both = program("torch_timers", str(SECONDS), percent(0.0), percent(slower))
    return read(output(both, folder))


def read(text: str) -> dict[str, Reading]:
    """Of the two medians."""
    first, second = json.loads(text)
    return {"": Reading(second / first)}
