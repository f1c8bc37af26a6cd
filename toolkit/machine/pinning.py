"""Processes on their cores. Linux only."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from toolkit.machine import threads


def pin(pids: Collection[int], cores: Collection[int]) -> None:
    """Pins every thread of these processes; a thread that ends meanwhile is no fault.

    `sched_setaffinity` of a process id pins one thread only, so all are walked through, and once
    more, since a thread may have been made from one that was not yet pinned.
    """
    for _ in range(2):
        for thread in threads.of_all(pids):
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(thread, cores)


@dataclass(frozen=True)
class CoreAssignment:
    """Processes, and the cores that are theirs."""

    pids: Collection[int]
    cores: Collection[int]


@contextlib.contextmanager
def pinned(workers: Iterable[CoreAssignment], driver: Collection[int]) -> Iterator[None]:
    """Workers' processes on their cores, this process on its own; it is let go again at the end."""
    free = os.sched_getaffinity(0)
    try:
        for place in workers:
            pin(place.pids, place.cores)
        pin([os.getpid()], driver)
        yield
    finally:
        pin([os.getpid()], free)


@contextlib.contextmanager
def stopped(workers: Collection[int]) -> Iterator[None]:
    """Holds processes still: idle threads of some runtimes wait in a loop and take a core each."""
    try:
        for pid in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
