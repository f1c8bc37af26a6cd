"""What disturbed a run, in words, with the next thing to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from toolkit.units import Seconds, percent

STEAL = 0.02
"""Share of the time: below it the interval does not show it."""
OTHERS = 0.1
"""Cores."""
SLOWER_CLOCK = 0.95
"""Slowest by fastest generation."""


@dataclass(frozen=True)
class Observed:
    """What is known of the generations of a run; one entry a generation in each."""

    steal: Sequence[float]
    others: Sequence[float]
    """In cores."""
    frequency: Sequence[float]
    """Mean MHz of the workers' cores; empty where not readable."""
    spare: int
    """Cores that neither the workers nor the parent used."""
    seconds: Seconds
    """What the run took."""


def verdict(seen: Observed) -> list[str]:
    """What disturbed the run, a line each, with the next thing to do; empty: nothing that shows.

    The intervals hold with noise too, they are only wider: so these are advice, not errors.
    """
    lines = [_others(seen), _steal_line(seen), _clock(seen)]
    return [line for line in lines if line]


def _others(seen: Observed) -> str:
    # What others use of cores that stood free beside ours does not meet our workers.
    meets = [used - seen.spare for used in seen.others]
    disturbed = [used for used, met in zip(seen.others, meets, strict=True) if met > OTHERS]
    if not disturbed:
        return ""
    used = percent(float(np.median(disturbed)))
    return (
        f"other processes used {used} of a core in {len(disturbed)} of {len(seen.others)} "
        f"process starts: close them, or give --time {_longer(seen.seconds)}"
    )


def _steal_line(seen: Observed) -> str:
    disturbed = [share for share in seen.steal if share > STEAL]
    if not disturbed:
        return ""
    return (
        f"the hypervisor took {percent(float(np.median(disturbed)))} of the cores' time in "
        f"{len(disturbed)} of {len(seen.steal)} process starts: "
        f"give --time {_longer(seen.seconds)}, or use a machine with cores of its own"
    )


def _clock(seen: Observed) -> str:
    if not seen.frequency or min(seen.frequency) > SLOWER_CLOCK * max(seen.frequency):
        return ""
    return (
        f"the cores ran at {min(seen.frequency):.0f} to {max(seen.frequency):.0f} MHz: "
        "hold the clock with `sudo cpupower frequency-set -g performance`"
    )


def _longer(seconds: Seconds) -> str:
    """Four times the time halves the interval."""
    return f"{max(10, round(4 * seconds, -1)):.0f}s"
