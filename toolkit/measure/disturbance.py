"""Says what disturbed a run, with the next thing to do."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass

import numpy as np

from toolkit.machine.facts import ANOTHER_USERS, UNNAMED, BusyProcess
from toolkit.units import Seconds, percent

STEAL = 0.02
"""The share of the time from which on a hypervisor's steal shows in an interval."""
OTHERS = 0.1
"""The CPU time of other processes, in cores, from which on it is told: a tenth of one."""
SLOWER_CLOCK = 0.95
"""The clock of the slowest generation by that of the fastest, below which it is told."""
RARELY = 0.05
"""The share of rounds up to which waiting is not told: every machine has its own work now and
then."""
ANY = "other processes"
WAITED = 0.02
"""The share of a block's time from which on its threads count as having waited for their core."""


@dataclass(frozen=True)
class Rounds:
    """The rounds of a run, and those in which a target waited for its core."""

    waited: int
    total: int


@dataclass(frozen=True)
class Observed:
    """The load of the machine during a run; every sequence has one entry a generation."""

    steal: Sequence[float]
    """The share of the cores' time that the hypervisor took."""
    others: Sequence[float]
    """CPU time of processes that are not ours, in cores."""
    frequency: Sequence[float]
    """The mean MHz of the workers' cores; empty where the machine does not tell."""
    spare: int
    """The number of cores that neither the workers nor the parent used."""
    seconds: Seconds
    """The length of the run."""
    busy: Sequence[Sequence[BusyProcess]] = ()
    """Other processes that were busy, the busiest first."""
    rounds: Rounds = Rounds(0, 0)
    devices: Sequence[Sequence[str]] = ()
    """The reasons that held a GPU's clock down; empty where no target ran on one."""


def verdict(seen: Observed) -> list[str]:
    """Returns a line for each thing that disturbed the run, with what to do; empty: nothing shows.

    The intervals hold with noise too, they are only wider: so these are advice, not errors.
    """
    lines = [_others(seen), _steal_line(seen), _clock(seen), _throttled(seen)]
    return [line for line in lines if line]


def _others(seen: Observed) -> str:
    # What others use of cores that stood free beside ours does not meet our workers.
    meets = [used - seen.spare for used in seen.others]
    disturbed = [index for index, met in enumerate(meets) if met > OTHERS]
    waited, total = seen.rounds.waited, seen.rounds.total
    held = f"the targets waited for their core in {waited:,} of {total:,} rounds" if waited else ""
    if not disturbed:
        # The kernel's own work, and processes that were gone before they were looked at.
        often = waited > RARELY * total
        return f"{held}: give --time {_longer(seen.seconds)}" if often else ""
    who, used = _culprit(seen, disturbed)
    starts = f"in {len(disturbed)} of {len(seen.others)} process starts"
    # Nobody can close what belongs to somebody else.
    close = {ANY: "close them, or ", ANOTHER_USERS: ""}.get(who, "close it, or ")
    what = f"{who} used {used} {starts}{', and ' if held else ''}{held}"
    return f"{what}: {close}give --time {_longer(seen.seconds)}"


def _culprit(seen: Observed, disturbed: Sequence[int]) -> tuple[str, str]:
    """Names the busiest process and its share of which core; all together where none stands out."""
    all_used = float(np.median([seen.others[index] for index in disturbed]))
    busy = [process for index in disturbed for process in (seen.busy[index] if seen.busy else ())]
    total: dict[str, float] = {}
    for process in busy:
        total[process.name] = total.get(process.name, 0.0) + process.cores / len(disturbed)
    name = max(total, key=total.__getitem__, default="")
    if (most := total.get(name, 0.0)) < all_used / 2:
        return ANY, f"{percent(all_used)} of a core"
    mine = [process for process in busy if process.name == name]
    where = {process.core for process in mine}
    # Where it ran last is where it ran, if that is one place and it is one process.
    single = len(where) == 1 and len(mine) <= len(disturbed)
    used = f"{percent(most)} of {f'core {where.pop()}' if single else 'a core'}"
    return _named(name, {process.pid for process in mine}), used


def _named(name: str, pids: Set[int | None]) -> str:
    """Names a process so that nobody takes it for one of the run: 'toolkit' may be another one."""
    if name in (ANOTHER_USERS, UNNAMED):
        return name
    numbers = sorted(pid for pid in pids if pid is not None)
    if len(numbers) == 1:
        return f"{name!r} (PID {numbers[0]}, not of this run)"
    return f"{name!r} (not of this run)"


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
    """Four times the time halves the interval, which narrows with the square root."""
    return f"{max(10, round(4 * seconds, -1)):.0f}s"
