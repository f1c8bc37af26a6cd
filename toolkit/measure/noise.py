"""What else the machine did while something was measured: read from /proc and /sys on Linux.

Each reading is a snapshot; what happened is the difference of two. Nothing is read while a block is
timed. Where a file is not there (another system, a container), its part is empty.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from toolkit.units import Seconds, percent

PROC = Path("/proc")
SYS = Path("/sys")
TICK: Seconds = 1 / os.sysconf("SC_CLK_TCK")
SHARE = 0.05
"""Of a worker's CPU time: a thread below it is housekeeping, not computing."""
IDLE: Seconds = 1e-4
"""CPU time below which a thread did not take part."""


# Threads of one process


@dataclass(frozen=True)
class Thread:
    """One thread as it stands."""

    id: int
    name: str
    core: int
    """Where it ran last."""
    allowed: frozenset[int]
    """Where it may run."""
    cpu: Seconds
    waited: Seconds
    """Ready to run while another had the core."""
    switches: int
    """Involuntary context switches."""


def threads(pid: int, proc: Path = PROC) -> dict[int, Thread]:
    """The threads of a process by their id; those that end meanwhile are left out."""
    found = {}
    for folder in _numbered(proc / str(pid) / "task"):
        try:
            found[int(folder.name)] = _thread(folder)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def _thread(folder: Path) -> Thread:
    fields = _stat(folder / "stat")
    status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    try:
        cpu, waited, _ = (folder / "schedstat").read_text().split()
    except FileNotFoundError:
        # A kernel without CONFIG_SCHED_INFO: ticks of 10 ms are what there is.
        cpu, waited = str(int((fields.user + fields.system) * 1e9)), "0"
    return Thread(
        id=int(folder.name),
        name=fields.name,
        core=fields.core,
        allowed=cores_of(status["Cpus_allowed_list"]),
        cpu=int(cpu) / 1e9,
        waited=int(waited) / 1e9,
        switches=int(status["nonvoluntary_ctxt_switches"]),
    )


def threads_used(
    before: Mapping[int, Thread], after: Mapping[int, Thread], share: float = SHARE
) -> list[Thread]:
    """The threads that took more than this share of their process's CPU time in between.

    CPU time against wall time of the process would show nothing: pinned to one core, ten threads
    take as much as one.
    """
    used = _used(before, after)
    total = sum(used.values())
    return [after[tid] for tid, cpu in used.items() if cpu > IDLE and cpu > share * total]


def left_core(
    before: Mapping[int, Thread], after: Mapping[int, Thread], cores: Collection[int]
) -> list[Thread]:
    """The threads that ran in between and were last seen on, or may go to, another core.

    A thread that slept is still listed where it ran before it was pinned: it is not meant.
    """
    allowed = frozenset(cores)
    used = _used(before, after)
    ran = [after[tid] for tid, cpu in used.items() if cpu > IDLE]
    return [thread for thread in ran if thread.core not in allowed or thread.allowed - allowed]


def _used(before: Mapping[int, Thread], after: Mapping[int, Thread]) -> dict[int, Seconds]:
    """Thread → CPU time in between; a new thread counts from its start."""
    return {tid: t.cpu - (before[tid].cpu if tid in before else 0.0) for tid, t in after.items()}


# The machine


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
    others: Mapping[int, tuple[str, Seconds]]
    """Other processes: name and CPU time so far."""
    load: float
    """Mean number of running and waiting tasks over the last minute."""
    frequency: Mapping[int, float]
    """MHz of each core, where readable."""


@dataclass(frozen=True)
class Busy:
    """A process that is not ours."""

    name: str
    cores: float
    """CPU time by wall time."""


@dataclass(frozen=True)
class Activity:
    """What happened between two snapshots."""

    seconds: Seconds
    steal: float
    """Share of the cores' time that the hypervisor took."""
    steal_by_core: Mapping[int, float]
    others: float
    """CPU time of processes that are not ours, in cores, kernel threads among them."""
    busiest: tuple[Busy, ...]
    """Other processes with over 5 % of a core, the busiest first. Short-lived ones are not seen."""
    frequency: Mapping[int, float]
    """MHz at the end."""


def snapshot(
    proc: Path = PROC, sys: Path = SYS, clock: Callable[[], Seconds] = time.monotonic
) -> Snapshot:
    """The machine now; `ours` is the process tree of the caller."""
    processes = _processes(proc)
    tree = _descendants(os.getpid(), processes)
    return Snapshot(
        at=clock(),
        cores=core_times(proc),
        ours=sum(processes[pid].with_children for pid in tree),
        others={
            pid: (found.name, found.user + found.system)
            for pid, found in processes.items()
            if pid not in tree
        },
        load=load(proc),
        frequency=frequencies(sys),
    )


def between(before: Snapshot, after: Snapshot) -> Activity:
    """The difference. Ticks are 10 ms: below half a second it is coarse."""
    seconds = max(after.at - before.at, TICK)
    common = before.cores.keys() & after.cores.keys()
    busy = sum(after.cores[core].busy - before.cores[core].busy for core in common)
    others = max(0.0, busy - (after.ours - before.ours)) / seconds
    steal = {core: _steal(before.cores[core], after.cores[core]) for core in sorted(common)}
    return Activity(
        seconds=seconds,
        steal=float(np.mean(list(steal.values()))) if steal else 0.0,
        steal_by_core=steal,
        others=others,
        busiest=_busiest(before, after, seconds),
        frequency=after.frequency,
    )


def _steal(before: CoreTime, after: CoreTime) -> float:
    stolen = after.stolen - before.stolen
    total = stolen + after.busy - before.busy + after.idle - before.idle
    return max(0.0, stolen) / total if total > 0 else 0.0


def _busiest(before: Snapshot, after: Snapshot, seconds: Seconds) -> tuple[Busy, ...]:
    found = [
        Busy(name, (cpu - before.others.get(pid, (name, 0.0))[1]) / seconds)
        for pid, (name, cpu) in after.others.items()
    ]
    return tuple(sorted((b for b in found if b.cores > SHARE), key=lambda b: -b.cores))


def core_times(proc: Path = PROC) -> dict[int, CoreTime]:
    """Core → its times since boot; empty where /proc/stat is not there."""
    times = {}
    for line in _lines(proc / "stat"):
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
    lines = _lines(proc / "loadavg")
    return float(lines[0].split()[0]) if lines else 0.0


def frequencies(sys: Path = SYS) -> dict[int, float]:
    """Core → MHz now; empty in most virtual machines."""
    found = {}
    for folder in sorted((sys / "devices/system/cpu").glob("cpu[0-9]*")):
        lines = _lines(folder / "cpufreq/scaling_cur_freq")
        if lines:
            found[int(folder.name[3:])] = int(lines[0]) / 1000
    return found


def siblings(sys: Path = SYS) -> dict[int, frozenset[int]]:
    """Core → the hardware threads of its physical core, itself among them."""
    found = {}
    for folder in (sys / "devices/system/cpu").glob("cpu[0-9]*"):
        lines = _lines(folder / "topology/thread_siblings_list")
        if lines:
            found[int(folder.name[3:])] = cores_of(lines[0])
    return found


def cores_of(text: str) -> frozenset[int]:
    """The kernel's notation of a set of cores.

    >>> sorted(cores_of("0-2,7"))
    [0, 1, 2, 7]
    """
    found: set[int] = set()
    for part in text.strip().split(","):
        if part:
            first, _, last = part.partition("-")
            found |= set(range(int(first), int(last or first) + 1))
    return frozenset(found)


# Reading /proc


@dataclass(frozen=True)
class _Stat:
    """What /proc/PID/stat says."""

    name: str
    parent: int
    user: Seconds
    system: Seconds
    children: Seconds
    """Of the children that ended and were waited for."""
    core: int

    @property
    def with_children(self) -> Seconds:
        return self.user + self.system + self.children


def _stat(file: Path) -> _Stat:
    text = file.read_text(errors="replace")
    # The name stands in brackets and may hold any character, brackets and spaces too.
    start, end = text.index("("), text.rindex(")")
    rest = text[end + 2 :].split()  # From field 3 on (man 5 proc).
    ticks = [int(field) for field in rest[11:15]]
    return _Stat(
        name=text[start + 1 : end],
        parent=int(rest[1]),
        user=ticks[0] * TICK,
        system=ticks[1] * TICK,
        children=(ticks[2] + ticks[3]) * TICK,
        core=int(rest[36]),
    )


def _processes(proc: Path) -> dict[int, _Stat]:
    found = {}
    for folder in _numbered(proc):
        try:
            found[int(folder.name)] = _stat(folder / "stat")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found


def _descendants(root: int, processes: Mapping[int, _Stat]) -> set[int]:
    """`root` and all below it."""
    children: dict[int, list[int]] = {}
    for pid, found in processes.items():
        children.setdefault(found.parent, []).append(pid)
    tree: set[int] = set()
    open_ends = [root] if root in processes else []
    while open_ends:
        pid = open_ends.pop()
        tree.add(pid)
        open_ends.extend(children.get(pid, []))
    return tree


def _numbered(folder: Path) -> Iterator[Path]:
    try:
        yield from (entry for entry in folder.iterdir() if entry.name.isdigit())
    except (FileNotFoundError, ProcessLookupError):
        return


def _lines(file: Path) -> list[str]:
    """Of a file that need not be there, or cannot be read by everyone."""
    try:
        return file.read_text().splitlines()
    except OSError:
        return []


# The verdict in words

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
        f"generations: close them, or give --time {_longer(seen.seconds)}"
    )


def _steal_line(seen: Observed) -> str:
    disturbed = [share for share in seen.steal if share > STEAL]
    if not disturbed:
        return ""
    return (
        f"the hypervisor took {percent(float(np.median(disturbed)))} of the cores' time in "
        f"{len(disturbed)} of {len(seen.steal)} generations: "
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
