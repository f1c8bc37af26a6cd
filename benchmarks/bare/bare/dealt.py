"""Puts a loop of our own in place of the worker's, through the contract as it is.

The worker times `Call.run` by `Call.clock`. Here the first run of a block makes all calls of that
block in a bare loop, which times them itself; it and each run after it hand out one of those times,
by which the clock moves on. So the worker's samples are the bare loop's, number for number.
"""

from __future__ import annotations

import gc
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import perf_counter_ns
from typing import Any

Loop = Callable[[int], tuple[Sequence[int], Any]]
"""Makes so many calls; returns the nanoseconds of each, and what the last one returned."""


class Dealt:
    """The calls of one feed, made a block at a time and handed out one by one."""

    def __init__(self, loop: Loop, driver: Driver) -> None:
        self._loop = loop
        self._driver = driver
        self._times: Iterator[int] = iter(())
        self._left: Any = None
        self._handed = 0
        """Calls handed out in this block so far."""
        self._expected = 1
        self._now = 0

    def begin(self) -> None:
        """Begins a new block: as long as the last one, as far as one can know."""
        self._expected = max(1, self._handed)
        self._times, self._handed = iter(()), 0

    def run(self) -> Any:
        """Hands out a call, and with it what the last call of the loop returned."""
        took = next(self._times, None)
        if took is None:
            self._times = iter(self._made(self._handed or self._expected))
            took = next(self._times)
        self._now += took
        self._handed += 1
        return self._left

    def clock(self) -> int:
        """The nanoseconds of all calls handed out so far."""
        return self._now

    def _made(self, calls: int) -> Sequence[int]:
        """Runs the loop as in a program of its own.

        The garbage collector works in it, and nothing is hidden from it, as the worker would have
        it.
        """
        collected = gc.isenabled()
        gc.unfreeze()
        gc.enable()
        try:
            with self._driver:
                times, self._left = self._loop(calls)
        finally:
            if not collected:
                gc.disable()
        return times


class Driver:
    """Measures the CPU time that the parent of this process uses while a loop runs here."""

    def __init__(self, file: str) -> None:
        self._file = file
        """The file to which `note` adds a line; empty: none."""
        # Linux: the clock of another process's CPU time, all its threads, in nanoseconds; see
        # clock_getcpuclockid(3).
        self._clock = (~os.getppid() << 3) | 2
        self._used = self._lasted = self._spans = 0

    def __enter__(self) -> None:
        self._used -= time.clock_gettime_ns(self._clock)
        self._lasted -= perf_counter_ns()

    def __exit__(self, *error: object) -> None:
        self._lasted += perf_counter_ns()
        self._used += time.clock_gettime_ns(self._clock)
        self._spans += 1

    def note(self) -> None:
        """Adds the sums so far to the file."""
        if self._file:
            seen = {"used": self._used, "lasted": self._lasted, "spans": self._spans}
            with Path(self._file).open("a", encoding="utf-8") as file:
                file.write(json.dumps(seen) + "\n")
