"""Measures one fresh process after the other and times each call, as most tools do at heart."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from benchmarks.peers.peer import SECONDS, Reading, output, percent, program


def measure(slower: float, folder: Path) -> dict[str, Reading]:
    """Measures once; gives a reading for each of three estimators."""
    first, second = (
        output(program("for_seconds", percent(share), str(SECONDS)), folder)
        for share in (0.0, slower)
    )
    return read(json.loads(first), json.loads(second))


def read(first: Mapping[str, float], second: Mapping[str, float]) -> dict[str, Reading]:
    """The readings by the names of their estimators."""
    return {name: Reading(second[name] / first[name]) for name in first}
