"""The values that one process start of a target gives, before they become a part of the record."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

from toolkit.engine.setup import Calibration
from toolkit.machine import threads
from toolkit.machine.pinning import pin
from toolkit.machine.threads import Thread
from toolkit.records.parts import CasePart
from toolkit.records.schema import Series
from toolkit.tensors import Array
from toolkit.units import Bytes, Seconds
from toolkit.workers.jobs import Block

OFTEN = 0.9
"""The share of blocks in which at most so many threads took part. A pool may move work between
threads within a block, so one block proves nothing."""


@dataclass
class StartTimes:
    """The times of one process start, in seconds; None where it did not get so far."""

    imported: Seconds | None = None
    loaded: Seconds | None = None
    first_call: Seconds | None = None
    new_shape: Seconds | None = None
    """The first call at another shape; None too where the target takes or is given one alone."""
    steady_after: Seconds = 0.0
    """The part of the warm-up in which the latency was not yet steady, all cases together."""
    ready: Seconds = 0.0
    """Its own time until it was loaded and bound: the others start beside it and in turns."""
    warm_up: Seconds = 0.0
    """The whole warm-up, all cases together."""


@dataclass
class WorkerMemory:
    """The memory of one worker; None where it did not get so far."""

    idle: Bytes | None = None
    """Resident after the import and before the load."""
    resident: Bytes | None = None
    """Resident after the last block."""
    peak: Bytes | None = None


@dataclass
class WorkerProcesses:
    """A worker's process and all below it, with the cores that they may use."""

    ids: Collection[int] = ()
    """The processes, as they were last looked for."""
    computing: Collection[int] = ()
    """Those of them that compute the model; empty: all."""
    cores: Collection[int] = ()

    def look(self, pid: int) -> None:
        """Looks for all processes below the worker's own."""
        self.ids = threads.tree(pid)

    def threads(self) -> dict[int, Thread]:
        """The threads as they stand."""
        return threads.of_all(self.ids)

    def pin(self) -> None:
        """Pins every thread to the cores."""
        pin(self.ids, self.cores)

    def computed(self, before: Mapping[int, Thread], after: Mapping[int, Thread]) -> int:
        """The number of threads that took part in between; one that only hands requests on, as the
        worker of a browser does, is none."""
        used = threads.used(before, after)
        return sum(not self.computing or thread.process in self.computing for thread in used)


@dataclass
class CaseBlocks:
    """The blocks of one target at one case in one generation; the lists have an entry a round."""

    calibration: Calibration
    blocks: list[Block] = field(default_factory=list)
    waits: list[Seconds] = field(default_factory=list)
    """The time in each block in which its threads were ready to run and others had their core."""
    threads: list[int] = field(default_factory=list)
    """The number of threads that took part in each block."""
    copies: tuple[float, float] | None = None
    """Nanoseconds of the copies in and out, where they can be made alone."""

    @property
    def samples(self) -> Array:
        """The times of all calls; int64 nanoseconds, (rounds, calls)."""
        return np.array([block.ns for block in self.blocks], np.int64)

    @property
    def usual_threads(self) -> int:
        """The number of threads that most blocks do not exceed; 0 where none could be seen."""
        return round(float(np.quantile(self.threads, OFTEN))) if self.threads else 0

    def part(self, case: int, generation: int, began: int) -> CasePart:
        """The part of the record. `began`: when the run did, on the clock of the blocks."""
        into, out = self.copies or (None, None)
        return CasePart(
            case=case,
            calls=self.calibration.length.calls,
            discarded=self.calibration.length.discard,
            series=Series(
                generation=generation,
                starts=[(block.start - began) / 1e9 for block in self.blocks],
                medians=[float(np.median(block.ns)) for block in self.blocks],
                means=[float(np.mean(block.ns)) for block in self.blocks],
                switches=[block.switches for block in self.blocks],
                # The kernel counts in nanoseconds, of which the last two digits say nothing.
                waited=[round(wait, 7) for wait in self.waits],
            ),
            into=into,
            out=out,
        )
