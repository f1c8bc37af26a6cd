"""What else the machine did while something was measured.

Each reading is a snapshot; what happened is the difference of two. Nothing is read while a block is
timed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from toolkit.machine.facts import BusyProcess
from toolkit.machine.proc import PROC, SYS, TICK, Stat, cores_of, descendants, lines, processes
from toolkit.units import Seconds

SHARE = 0.05
"""Of a core: a process below it is not named."""


@dataclass(frozen=True)
class CoreTime:
    """Seconds since boot that one core spent."""

    busy: Seconds
    idle: Seconds
    stolen: Seconds
    """The hypervisor ran another guest while this one wanted to run."""


@dataclass(frozen=True)
class Snapshot:
    """The machine at one moment."""

    at: Seconds
    cores: Mapping[int, CoreTime]
    ours: Seconds
    """CPU time of our process and all its descendants so far, ended ones too."""
    others: Mapping[int, Stat]
    """The processes that are not ours."""
    load: float
    """Mean number of running and waiting tasks over the last minute."""
    frequency: Mapping[int, float]
    """MHz of each core, where readable."""


@dataclass(frozen=True)
class Activity:
    """What happened between two snapshots."""

    seconds: Seconds
    steal: float
    """Share of the cores' time that the hypervisor took."""
    others: float
    """CPU time of processes that are not ours, in cores, kernel threads among them."""
    busiest: tuple[BusyProcess, ...]
    """Other processes with over 5 % of a core, the busiest first. Short-lived ones are not seen."""
    frequency: Mapping[int, float]
    """MHz at the end."""


def snapshot(
    proc: Path = PROC, sys: Path = SYS, clock: Callable[[], Seconds] = time.monotonic
) -> Snapshot:
    """The machine now; `ours` is the process tree of the caller."""
    running = processes(proc)
    tree = descendants(os.getpid(), running)
    return Snapshot(
        at=clock(),
        cores=core_times(proc),
        ours=sum(running[pid].with_children for pid in tree),
        others={pid: found for pid, found in running.items() if pid not in tree},
        load=load(proc),
        frequency=frequencies(sys),
    )


def between(before: Snapshot, after: Snapshot) -> Activity:
    """The difference. Ticks are 10 ms: below half a second it is coarse."""
    seconds = max(after.at - before.at, TICK)
    common = before.cores.keys() & after.cores.keys()
    busy = sum(after.cores[core].busy - before.cores[core].busy for core in common)
    others = max(0.0, busy - (after.ours - before.ours)) / seconds
    steal = [_steal(before.cores[core], after.cores[core]) for core in common]
    return Activity(
        seconds=seconds,
        steal=float(np.mean(steal)) if steal else 0.0,
        others=others,
        busiest=_busiest(before, after, seconds),
        frequency=after.frequency,
    )


def _steal(before: CoreTime, after: CoreTime) -> float:
    stolen = after.stolen - before.stolen
    total = stolen + after.busy - before.busy + after.idle - before.idle
    return max(0.0, stolen) / total if total > 0 else 0.0


def _busiest(before: Snapshot, after: Snapshot, seconds: Seconds) -> tuple[BusyProcess, ...]:
    found = [
        BusyProcess(
            name=now.name,
            cores=(now.cpu - _cpu_before(before, pid)) / seconds,
            core=now.core,
        )
        for pid, now in after.others.items()
    ]
    return tuple(sorted((b for b in found if b.cores > SHARE), key=lambda b: -b.cores))


def _cpu_before(before: Snapshot, pid: int) -> Seconds:
    return before.others[pid].cpu if pid in before.others else 0.0


def core_times(proc: Path = PROC) -> dict[int, CoreTime]:
    """Core → its times since boot; empty where /proc/stat is not there."""
    times = {}
    for line in lines(proc / "stat"):
        name, *numbers = line.split()
        if name.startswith("cpu") and name != "cpu":
            user, nice, system, idle, iowait, irq, softirq, steal = (
                int(number) * TICK for number in numbers[:8]
            )
            busy = user + nice + system + irq + softirq
            times[int(name[3:])] = CoreTime(busy, idle + iowait, steal)
    return times


def load(proc: Path = PROC) -> float:
    """The load average of the last minute; 0 where it is not told."""
    told = lines(proc / "loadavg")
    return float(told[0].split()[0]) if told else 0.0


def frequencies(sys: Path = SYS) -> dict[int, float]:
    """Core → MHz now; empty in most virtual machines."""
    found = {}
    for folder in sorted((sys / "devices/system/cpu").glob("cpu[0-9]*")):
        told = lines(folder / "cpufreq/scaling_cur_freq")
        if told:
            found[int(folder.name[3:])] = int(told[0]) / 1000
    return found


def siblings(sys: Path = SYS) -> dict[int, frozenset[int]]:
    """Core → the hardware threads of its physical core, itself among them."""
    found = {}
    for folder in (sys / "devices/system/cpu").glob("cpu[0-9]*"):
        told = lines(folder / "topology/thread_siblings_list")
        if told:
            found[int(folder.name[3:])] = cores_of(told[0])
    return found
