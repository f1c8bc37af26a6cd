"""Reads what else the machine did while something was measured.

A reading is a snapshot, and what happened is the difference of two. Nothing is read while a block
is timed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from toolkit.machine.facts import ANOTHER_USERS, BusyProcess
from toolkit.machine.proc import SYS, TICK, lines
from toolkit.units import Seconds

SHARE = 0.05
"""The least share of a core at which a process is named: below it none disturbs a run visibly."""


@dataclass(frozen=True)
class CoreTime:
    """The seconds since boot that one core spent on each kind of work."""

    busy: Seconds
    idle: Seconds
    stolen: Seconds
    """The hypervisor ran another guest while this one wanted to run."""


@dataclass(frozen=True)
class ProcessTime:
    """The CPU time of one process since its start."""

    name: str
    cpu: Seconds
    core: int
    """The core on which it ran last."""


@dataclass(frozen=True)
class Snapshot:
    """The machine at one moment."""

    at: Seconds
    cores: Mapping[int, CoreTime]
    ours: Seconds
    """CPU time of this process and its descendants so far; ended ones are included."""
    others: Mapping[int, ProcessTime]
    """Process id → its CPU time, for processes that are not ours."""
    frequency: Mapping[int, float]
    """MHz of each core, where the machine tells them."""


@dataclass(frozen=True)
class Activity:
    """The difference between two snapshots."""

    seconds: Seconds
    steal: float
    """The share of the cores' time that the hypervisor took."""
    others: float
    """CPU time of processes that are not ours, in cores; kernel threads are included."""
    busiest: tuple[BusyProcess, ...]
    """Other processes above `SHARE` of a core, the busiest first. Those that ended are not seen."""
    frequency: Mapping[int, float]
    """MHz of each core at the end."""


def snapshot(sys: Path = SYS, clock: Callable[[], Seconds] = time.monotonic) -> Snapshot:
    """Reads the machine now. `ours` is the caller's process with all below it."""
    tree = {os.getpid(), *(child.pid for child in psutil.Process().children(recursive=True))}
    ours, others = 0.0, {}
    for process in psutil.process_iter(["name", "cpu_times", "cpu_num", "uids", "memory_info"]):
        times = process.info["cpu_times"]
        if times is None:  # It ended meanwhile, or belongs to someone who hides it.
            continue
        cpu = times.user + times.system
        if process.pid in tree:
            ours += cpu + times.children_user + times.children_system
        else:
            others[process.pid] = ProcessTime(_name(process), cpu, process.info["cpu_num"])
    return Snapshot(clock(), core_times(), ours, others, frequencies(sys))


def _name(process: psutil.Process) -> str:
    """The name of a process of this user or of the kernel; of others only that they are others."""
    uids, memory = process.info["uids"], process.info["memory_info"]
    is_own = uids is not None and uids.real == os.getuid()
    is_kernels = memory is not None and memory.vms == 0  # Its threads have no memory of their own.
    return str(process.info["name"]) if is_own or is_kernels else ANOTHER_USERS


def between(before: Snapshot, after: Snapshot) -> Activity:
    """Subtracts two snapshots. The kernel counts in ticks of 10 ms: half a second is the least."""
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
    shares = [
        BusyProcess(
            name=now.name,
            cores=(now.cpu - _cpu_before(before, pid)) / seconds,
            core=now.core,
            pid=None if now.name == ANOTHER_USERS else pid,
        )
        for pid, now in after.others.items()
    ]
    return tuple(sorted((b for b in shares if b.cores > SHARE), key=lambda b: -b.cores))


def _cpu_before(before: Snapshot, pid: int) -> Seconds:
    return before.others[pid].cpu if pid in before.others else 0.0


def core_times() -> dict[int, CoreTime]:
    """Core → its times since boot."""
    return {
        core: CoreTime(
            busy=times.user + times.nice + times.system + times.irq + times.softirq,
            idle=times.idle + times.iowait,
            stolen=times.steal,
        )
        for core, times in enumerate(psutil.cpu_times(percpu=True))
    }


def frequencies(sys: Path = SYS) -> dict[int, float]:
    """Core → MHz now; empty where the kernel does not tell, as in most virtual machines.

    Not by psutil: where the kernel does not tell, it gives the nominal frequency of /proc/cpuinfo,
    which is no reading.
    """
    clocks = {}
    for folder in sorted((sys / "devices/system/cpu").glob("cpu[0-9]*")):
        if kilohertz := lines(folder / "cpufreq/scaling_cur_freq"):
            clocks[int(folder.name[3:])] = int(kilohertz[0]) / 1000
    return clocks
