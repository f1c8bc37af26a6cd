"""One target while a generation lasts. The order G1 to G6 stands in generation.py."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Concatenate, ParamSpec

import numpy as np

from toolkit.engine.setup import Calibration, Calibrations, NamedFeed, ReadyTarget, RunSetup
from toolkit.errors import ShapeRefused, TargetError
from toolkit.machine import memory, threads
from toolkit.machine.pinning import pin
from toolkit.machine.threads import Thread
from toolkit.measure import schedule
from toolkit.measure.schedule import Length
from toolkit.measure.steady import WarmUp, later_span
from toolkit.records.parts import CasePart, TargetPart
from toolkit.records.schema import Failure, Series, Warning, WarningKind
from toolkit.tensors import Array
from toolkit.units import Bytes, Seconds, size
from toolkit.workers.jobs import Block
from toolkit.workers.launch import Worker

P = ParamSpec("P")

PATH = re.compile(r"(?<![\w./:])(?:/[^/\s:\"']+){2,}/(?P<last>[^/\s:\"']+)")
"""An absolute path of three parts or more; no address of the web."""
TRIES = 3
"""Blocks of one round, where threads leave their core."""
COPIES = 200
"""Times that the copies of a case are made alone, at most."""
WARM_BLOCK: Seconds = 1e-3
"""A block of the warm-up: short, so that a decay is seen."""


@dataclass
class TargetRun:
    """One target while the generation lasts."""

    target: ReadyTarget
    worker: Worker
    empty: float = 0.0
    imported: Seconds | None = None
    loaded: Seconds | None = None
    first_call: Seconds | None = None
    new_shape: Seconds | None = None
    steady_after: Seconds = 0.0
    idle: Bytes | None = None
    resident: Bytes | None = None
    peak: Bytes | None = None
    ready: Seconds = 0.0
    """Its own time until it was loaded and bound: the others start beside it and in turns."""
    warm_up: Seconds = 0.0
    blocks: dict[int, list[Block]] = field(default_factory=dict)
    """Case → its blocks, a round each."""
    waits: dict[int, list[Seconds]] = field(default_factory=dict)
    """Case → how long its threads waited for their core in each block."""
    copies: dict[int, tuple[float, float]] = field(default_factory=dict)
    """Case → nanoseconds of the copies in and out, where they can be told."""
    settled: dict[int, Calibration] = field(default_factory=dict)
    processes: Collection[int] = ()
    """The worker's and all below it, as they were last looked for."""
    computes: Collection[int] = ()
    """Those of them that compute the model; empty: all."""
    cores: Collection[int] = ()
    """Where its threads may run."""
    used: dict[int, list[int]] = field(default_factory=dict)
    """Case → how many threads took part in each block."""
    warnings: list[Warning] = field(default_factory=list)
    failure: Failure | None = None

    def attempt(
        self, step: Callable[Concatenate[TargetRun, P], None], *args: P.args, **more: P.kwargs
    ) -> None:
        """Does a step, or leaves the generation with its error."""
        if self.failure is not None:
            return
        try:
            step(self, *args, **more)
        except TargetError as error:
            self.failure = failure(error)
            self.worker.stop()

    def hello(self) -> None:
        """Waits for the import that was asked for (G1)."""
        hello = self.worker.hello()
        self.imported, self.empty = hello.seconds, hello.empty
        self.idle, _ = self.worker.usage()
        self.look()

    def look(self) -> None:
        """Looks for the worker's processes, once its import and once its load may have started
        some."""
        self.processes = threads.tree(self.worker.pid)

    def prepare(self, setup: RunSetup) -> None:
        """Loads, binds and judges (G3)."""
        worker, began = self.worker, time.perf_counter()
        loaded = worker.load_program(self.target.program)
        self.loaded, self.computes = loaded.seconds, loaded.computes
        for index, case in enumerate(setup.cases):
            worker.bind(case.name, case.arrays, case.types)
            outputs, seconds = worker.answer(case.name)
            if index == 0:
                self.first_call = seconds
            self._demand(setup, index, outputs)
            if index == 0 and setup.other is not None:
                with contextlib.suppress(ShapeRefused):  # R9: it is timed at the shapes it takes.
                    worker.bind(setup.other.name, setup.other.arrays, setup.other.types)
                    _, self.new_shape = worker.answer(setup.other.name)
        self._demand_room(setup.memory())
        self.ready = (self.imported or 0.0) + time.perf_counter() - began

    def _demand_room(self, left: Bytes) -> None:
        """Raises TargetError where the memory is nearly used up: the kernel would end anyone."""
        if left < memory.RESERVE:
            raise TargetError(
                f"only {size(left)} of memory are left with it alive beside the others",
                "measure fewer targets in one run, or a smaller model",
            )

    def _demand(self, setup: RunSetup, case: int, outputs: Mapping[str, Array]) -> None:
        """Raises TargetError where an answer is not what the verdict said."""
        if reason := setup.check(self.target.index, case, outputs):
            changed = " and ".join(map(repr, self.worker.changed(setup.cases[case].name)))
            cause = f", since its calls write into their input {changed}" if changed else ""
            raise TargetError(f"its answers changed after the verdict{cause}: {reason}")

    def warm(self, setup: RunSetup, found: Calibrations) -> None:
        """Warms up, and finds the lengths of the blocks where they are not known (G4)."""
        began = time.perf_counter()
        for index, case in enumerate(setup.cases):
            known = found.get((self.target.index, index))
            if known is None:
                warm_up, call = self._until_steady(case, WarmUp())
                known = Calibration(self._calibrated(case, call), later_span(warm_up.after))
            else:
                self._until_steady(case, WarmUp(span=known.span))
            self.settled[index] = known
        self.warm_up = time.perf_counter() - began

    def _until_steady(self, case: NamedFeed, warm_up: WarmUp) -> tuple[WarmUp, Seconds]:
        """The warm-up that has ended, and about how long a call takes."""
        call, state, began = 0.0, "not yet", time.perf_counter()
        while state == "not yet":
            count = min(schedule.MOST_CALLS, max(1, round(WARM_BLOCK / call))) if call else 1
            block = self.worker.sample(case.name, count)
            call = max(1e-9, float(np.median(block.ns)) / 1e9)
            state = warm_up.add(call, time.perf_counter() - began)
        if state == "never":
            self.warnings.append(
                Warning(
                    kind=WarningKind.NEVER_STEADY,
                    detail=f"{self.target.label} at {case.name}: still changing after "
                    f"{warm_up.limit:g} s",
                )
            )
        self.steady_after += warm_up.after
        return warm_up, call

    def _calibrated(self, case: NamedFeed, guess: Seconds) -> Length:
        block = self.worker.sample(case.name, schedule.calibration_calls(guess))
        return schedule.length(float(np.median(block.ns)) / 1e9)

    def wake(self, case: int, name: str) -> None:
        """Calls that count nowhere, for a worker that was held still (S7)."""
        if calls := schedule.waking(self.settled[case].length):
            self.worker.sample(name, calls)

    def block(self, case: int, name: str) -> None:
        """One block (G5); once more where a thread left the cores that all targets share."""
        length = self.settled[case].length
        for _ in range(TRIES):
            # Looked at just before: a worker that was stopped waits for a core to obey.
            before = threads.of_all(self.processes)
            block = self.worker.sample(name, length.calls, length.discard)
            after = threads.of_all(self.processes)
            if not threads.left_core(before, after, self.cores):
                self.used.setdefault(case, []).append(self._computed(before, after))
                self.blocks.setdefault(case, []).append(block)
                self.waits.setdefault(case, []).append(threads.waited(before, after))
                return
            pin(self.processes, self.cores)
        raise TargetError("its threads leave the core that all targets share")

    def _computed(self, before: Mapping[int, Thread], after: Mapping[int, Thread]) -> int:
        """Threads that took part in between; what only hands requests on did not."""
        used = threads.used(before, after)
        return sum(not self.computes or thread.process in self.computes for thread in used)

    def close(self, setup: RunSetup) -> None:
        """Judges what the timed calls left behind (G6)."""
        for index, case in enumerate(setup.cases):
            outputs, _ = self.worker.answer(case.name, again=False)
            self._demand(setup, index, outputs)
        self.resident, self.peak = self.worker.usage()
        for index, case in enumerate(setup.cases):
            copies = self.worker.copies(case.name, min(COPIES, self.settled[index].length.calls))
            if copies is not None:
                self.copies[index] = copies
            self._look_at_threads(case.name, self.used.get(index, []))

    def _look_at_threads(self, case: str, used: Sequence[int]) -> None:
        """Warns of more threads than were asked for, or fewer. A pool may hand the same work to
        another of its threads in the middle of a block: one block is no sign."""
        if not threads.exact():
            return
        asked = self.target.program.threads
        often = round(float(np.quantile(used, 0.9))) if used else 0
        if often == asked or not often:
            return
        kind = WarningKind.MORE_THREADS if often > asked else WarningKind.FEWER_THREADS
        took = f"{often} thread{'' if often == 1 else 's'} took part, {asked} asked for"
        detail = f"{self.target.label} at {case}: {took}"
        self.warnings.append(Warning(kind=kind, detail=detail))

    def _case(self, case: int, series: Series) -> CasePart:
        into, out = self.copies.get(case, (None, None))
        length = self.settled[case].length
        return CasePart(
            case=case,
            calls=length.calls,
            discarded=length.discard,
            series=series,
            into=into,
            out=out,
        )

    def piece(self, generation: int, began: int) -> TargetPart:
        """What counts of one target: a target that failed gives its error and no time."""
        if self.failure is not None:
            return TargetPart(target=self.target.index, failure=self.failure)
        return TargetPart(
            target=self.target.index,
            cases=[
                self._case(case, _series(generation, blocks, self.waits[case], began))
                for case, blocks in sorted(self.blocks.items())
            ],
            empty=self.empty,
            imported=self.imported,
            loaded=self.loaded,
            first_call=self.first_call,
            new_shape=self.new_shape,
            steady_after=self.steady_after,
            idle=self.idle,
            resident=self.resident,
            peak=self.peak,
            warnings=self.warnings,
        )


def failure(error: TargetError) -> Failure:
    """An error as a record shows it."""
    return Failure(
        verb=error.verb,
        what=error.what,
        cures=list(error.cures),
        last_words=[without_paths(line) for line in error.last_words],
    )


def without_paths(line: str) -> str:
    """A line of a library's log, with the last part of each path alone: a record is handed on, and
    no folder of this machine is anybody's business."""
    return PATH.sub(r"…/\g<last>", line)


def _series(
    generation: int, blocks: Sequence[Block], waits: Sequence[Seconds], began: int
) -> Series:
    return Series(
        generation=generation,
        starts=[(block.start - began) / 1e9 for block in blocks],
        medians=[float(np.median(block.ns)) for block in blocks],
        means=[float(np.mean(block.ns)) for block in blocks],
        switches=[block.switches for block in blocks],
        waited=[round(wait, 7) for wait in waits],
    )
