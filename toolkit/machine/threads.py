"""Tells which threads of a process computed, and on which core.

Read from /proc of Linux: psutil tells neither a thread's core and mask, nor how long it waited for
a core, and its CPU times are in ticks of 10 ms, longer than a block.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from toolkit.machine.proc import PROC, cores_of, numbered, stat
from toolkit.units import Seconds

SHARE = 0.05
"""The share of a worker's CPU time below which a thread keeps house and does not compute."""
IDLE: Seconds = 1e-4
"""CPU time below which a thread took no part: waking up to look for work costs less."""


@dataclass(frozen=True)
class Thread:
    """One thread at one moment."""

    id: int
    process: int
    name: str
    core: int
    """The core on which it ran last."""
    allowed: frozenset[int]
    """The cores on which it may run."""
    cpu: Seconds
    waited: Seconds
    """Seconds in which it was ready to run while another had the core."""
    switches: int
    """The number of times that it lost its core before it was done."""


def of(pid: int, proc: Path = PROC) -> dict[int, Thread]:
    """Thread id → thread, for a process; those that end meanwhile are left out."""
    threads = {}
    for folder in numbered(proc / str(pid) / "task"):
        try:
            threads[int(folder.name)] = _thread(folder)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return threads


def exact(proc: Path = PROC) -> bool:
    """True where the kernel tells a thread's CPU time in nanoseconds, not in ticks of 10 ms."""
    return (proc / "self/schedstat").exists()


def tree(pid: int) -> frozenset[int]:
    """The process and all below it: a browser computes in a child of its child.

    It looks at every process of the machine, so it is too slow between two blocks. Empty where the
    process has ended.
    """
    try:
        return frozenset({pid, *(p.pid for p in psutil.Process(pid).children(recursive=True))})
    except psutil.NoSuchProcess:
        return frozenset()


def of_all(pids: Collection[int]) -> dict[int, Thread]:
    """Thread id → thread, for several processes."""
    return {tid: thread for pid in pids for tid, thread in of(pid).items()}


def _thread(folder: Path) -> Thread:
    fields = stat(folder / "stat")
    status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    try:
        cpu, waited, _ = (folder / "schedstat").read_text().split()
    except FileNotFoundError:
        # A kernel without CONFIG_SCHED_INFO: ticks of 10 ms are what there is.
        cpu, waited = str(int(fields.cpu * 1e9)), "0"
    return Thread(
        id=int(folder.name),
        process=int(folder.parent.parent.name),
        name=fields.name,
        core=fields.core,
        allowed=cores_of(status["Cpus_allowed_list"]),
        cpu=int(cpu) / 1e9,
        waited=int(waited) / 1e9,
        switches=int(status["nonvoluntary_ctxt_switches"]),
    )


def used(
    before: Mapping[int, Thread], after: Mapping[int, Thread], share: float = SHARE
) -> list[Thread]:
    """Returns the threads that took more than `share` of their process's CPU time in between.

    CPU time against wall time of the process would show nothing: pinned to one core, ten threads
    take as much as one.
    """
    used = _cpu(before, after)
    total = sum(used.values())
    return [after[tid] for tid, cpu in used.items() if cpu > IDLE and cpu > share * total]


def left_core(
    before: Mapping[int, Thread], after: Mapping[int, Thread], cores: Collection[int]
) -> list[Thread]:
    """Returns the threads that ran in between and were last seen on, or may go to, another core.

    A thread that slept is still listed where it ran before it was pinned, so it is left out.
    """
    allowed = frozenset(cores)
    used = _cpu(before, after)
    ran = [after[tid] for tid, cpu in used.items() if cpu > IDLE]
    return [thread for thread in ran if thread.core not in allowed or thread.allowed - allowed]


def waited(before: Mapping[int, Thread], after: Mapping[int, Thread]) -> Seconds:
    """Seconds in which a thread was ready to run in between while another process had its core.

    The most that any of these threads waited, less what the others of them computed meanwhile: of a
    browser, whose processes share one core, most waits are for each other.
    """
    used = _cpu(before, after)
    total = sum(used.values())
    outside = (
        thread.waited - (before[tid].waited if tid in before else 0.0) - (total - used[tid])
        for tid, thread in after.items()
    )
    return max(0.0, *outside, 0.0)


def _cpu(before: Mapping[int, Thread], after: Mapping[int, Thread]) -> dict[int, Seconds]:
    """Thread → CPU time in between; a new thread counts from its start."""
    return {tid: t.cpu - (before[tid].cpu if tid in before else 0.0) for tid, t in after.items()}
