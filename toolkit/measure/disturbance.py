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


RARELY = 0.05
"""Of the rounds: every machine has something to do now and then."""
ANY = "other processes"
WAITED = 0.02
"""Of a block's time that its threads waited for their core."""


@dataclass(frozen=True)
class Culprit:
    """A process that is not ours, in one generation."""

    name: str
    cores: float
    """CPU time by wall time."""
    core: int
    """Where it ran last."""


@dataclass(frozen=True)
class Rounds:
    """Rounds of a run, and those in which a target waited for its core."""

    waited: int
    of: int


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
    busy: Sequence[Sequence[Culprit]] = ()
    """The busiest first."""
    rounds: Rounds = Rounds(0, 0)
    devices: Sequence[Sequence[str]] = ()
    """What held a GPU's clock down; empty where no target ran on one."""


def verdict(seen: Observed) -> list[str]:
    """What disturbed the run, a line each, with the next thing to do; empty: nothing that shows.

    The intervals hold with noise too, they are only wider: so these are advice, not errors.
    """
    lines = [_others(seen), _steal_line(seen), _clock(seen), _throttled(seen)]
    return [line for line in lines if line]


def _others(seen: Observed) -> str:
    # What others use of cores that stood free beside ours does not meet our workers.
    meets = [used - seen.spare for used in seen.others]
    disturbed = [place for place, met in enumerate(meets) if met > OTHERS]
    waited, of = seen.rounds.waited, seen.rounds.of
    held = f"the targets waited for their core in {waited:,} of {of:,} rounds" if waited else ""
    if not disturbed:
        # The kernel's own work, and processes that were gone before they were looked at.
        often = waited > RARELY * of
        return f"{held}: give --time {_longer(seen.seconds)}" if often else ""
    who, used = _culprit(seen, disturbed)
    starts = f"in {len(disturbed)} of {len(seen.others)} process starts"
    close = "close it" if who != ANY else "close them"
    said = f"{who} used {used} {starts}{', and ' if held else ''}{held}"
    return f"{said}: {close}, or give --time {_longer(seen.seconds)}"


def _culprit(seen: Observed, disturbed: Sequence[int]) -> tuple[str, str]:
    """Who it was, and how much of which core; all others together where no one stands out."""
    all_used = float(np.median([seen.others[place] for place in disturbed]))
    found = [one for place in disturbed for one in (seen.busy[place] if seen.busy else ())]
    total: dict[str, float] = {}
    for one in found:
        total[one.name] = total.get(one.name, 0.0) + one.cores / len(disturbed)
    name = max(total, key=total.__getitem__, default="")
    if (most := total.get(name, 0.0)) < all_used / 2:
        return ANY, f"{percent(all_used)} of a core"
    mine = [one for one in found if one.name == name]
    where = {one.core for one in mine}
    # Where it ran last is where it ran, if that is one place and it is one process.
    single = len(where) == 1 and len(mine) <= len(disturbed)
    return f"{name!r}", f"{percent(most)} of {f'core {where.pop()}' if single else 'a core'}"


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


def _throttled(seen: Observed) -> str:
    held = [reasons for reasons in seen.devices if reasons]
    if not held:
        return ""
    why = " and ".join(dict.fromkeys(reason for reasons in held for reason in reasons))
    return (
        f"the GPU's clock was held down by {why} in {len(held)} of {len(seen.devices)} process "
        "starts: let it cool, or lock its clock with `nvidia-smi -lgc`"
    )


def _longer(seconds: Seconds) -> str:
    """Four times the time halves the interval."""
    return f"{max(10, round(4 * seconds, -1)):.0f}s"
