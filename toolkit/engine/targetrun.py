"""One target while a generation lasts. The order of its steps, G1 to G6, is generation.py's."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Concatenate, ParamSpec

import numpy as np

from toolkit.engine.failures import failure
from toolkit.engine.processstart import CaseBlocks, StartTimes, WorkerMemory, WorkerProcesses
from toolkit.engine.setup import Calibration, Calibrations, NamedFeed, ReadyTarget, RunSetup
from toolkit.errors import ShapeRefused, TargetError
from toolkit.machine import memory, threads
from toolkit.measure import schedule, steady
from toolkit.measure.schedule import Length
from toolkit.measure.steady import WarmUp, later_span
from toolkit.records.parts import TargetPart
from toolkit.records.schema import Failure, Warning, WarningKind
from toolkit.tensors import Array
from toolkit.units import Bytes, Seconds, duration, size
from toolkit.workers.launch import Worker

P = ParamSpec("P")

TRIES = 3
"""Blocks that are tried in one round, where threads leave their core and are pinned again."""
COPIES = 200
"""The most times that the copies of a case are made alone: their median needs no thousands, which a
block of short calls has."""
WARM_BLOCK: Seconds = 1e-3
"""The length of a block of the warm-up: short, so that a decay is seen."""


@dataclass
class TargetRun:
    """One target, its worker, and what it has shown so far in this generation."""

    target: ReadyTarget
    worker: Worker
    times: StartTimes = field(default_factory=StartTimes)
    memory: WorkerMemory = field(default_factory=WorkerMemory)
    processes: WorkerProcesses = field(default_factory=WorkerProcesses)
    cases: dict[int, CaseBlocks] = field(default_factory=dict)
    """Case → its blocks; a case is there once it is warm."""
    empty: float = 0.0
    """Nanoseconds that an empty interval shows in this worker."""
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
        self.times.imported, self.empty = hello.seconds, hello.empty
        self.memory.idle, _ = self.worker.usage()  # Before the load: what it adds is the model's.
        self.look()

    def look(self) -> None:
        """Looks for the worker's processes: its import may have started some, and its load more."""
        self.processes.look(self.worker.pid)

    def prepare(self, setup: RunSetup) -> None:
        """Loads the program, binds every feed and judges its answer (G3)."""
        began = time.perf_counter()
        loaded = self.worker.load_program(self.target.program)
        self.times.loaded = loaded.seconds
        self.processes.computing = loaded.computes
        for index, case in enumerate(setup.cases):
            self.worker.bind(case.name, case.arrays, case.types)
            outputs, seconds = self.worker.answer(case.name)
            self._demand_same(setup, index, outputs)
            if index == 0:
                self.times.first_call = seconds
                self._call_new_shape(setup.other)
        self._demand_room(setup.memory())
        self.times.ready = (self.times.imported or 0.0) + time.perf_counter() - began

    def _call_new_shape(self, other: NamedFeed | None) -> None:
        """Makes the first call at another shape, where the target takes another."""
        if other is None:
            return
        with contextlib.suppress(ShapeRefused):  # R9: it is timed at the shapes that it takes.
            self.worker.bind(other.name, other.arrays, other.types)
            _, self.times.new_shape = self.worker.answer(other.name)

    def _demand_room(self, left: Bytes) -> None:
        """Raises TargetError where the memory is nearly used up: the kernel would end anyone."""
        if left < memory.RESERVE:
            raise TargetError(
                f"only {size(left)} of memory are left with it alive beside the others",
                "measure fewer targets in one run, or a smaller model",
            )

    def _demand_same(self, setup: RunSetup, case: int, outputs: Mapping[str, Array]) -> None:
        """Raises TargetError where an answer is not what the verdict was on."""
        if reason := setup.check(self.target.index, case, outputs):
            changed = " and ".join(map(repr, self.worker.changed(setup.cases[case].name)))
            cause = f", since its calls write into their input {changed}" if changed else ""
            raise TargetError(f"its answers changed after the verdict{cause}: {reason}")

    def warm(self, setup: RunSetup, calibrations: Calibrations) -> None:
        """Warms up at every case, and calibrates those that are not calibrated yet (G4)."""
        began = time.perf_counter()
        limit, changing = _limit(setup), list[str]()
        for index, case in enumerate(setup.cases):
            calibration = calibrations.get((self.target.index, index))
            if calibration is None:
                warm_up = WarmUp(span=min(steady.SPAN, limit / 3), limit=limit)
                call, is_steady = self._until_steady(case, warm_up)
                span = later_span(warm_up.after)
                calibration = Calibration(self._calibrated(case, call), span)
            else:
                warm_up = WarmUp(span=calibration.span, limit=limit)
                _, is_steady = self._until_steady(case, warm_up)
            if not is_steady:
                changing.append(case.name)
            self.cases[index] = CaseBlocks(calibration)
        if changing:
            cases = ", ".join(changing)
            detail = f"at {cases}: still changing after {duration(limit, 2)}"
            self._warn(WarningKind.NEVER_STEADY, detail)
        self.times.warm_up = time.perf_counter() - began

    def _until_steady(self, case: NamedFeed, warm_up: WarmUp) -> tuple[Seconds, bool]:
        """Makes blocks until the warm-up has ended; returns about how long a call takes, and
        whether that was steady."""
        call, state, began = 0.0, "not yet", time.perf_counter()
        while state == "not yet":
            # One call first: how long one takes is not known yet.
            count = min(schedule.MOST_CALLS, max(1, round(WARM_BLOCK / call))) if call else 1
            block = self.worker.sample(case.name, count)
            # A clock may show 0 ns for a call: its logarithm must exist all the same.
            call = max(1e-9, float(np.median(block.ns)) / 1e9)
            state = warm_up.add(call, time.perf_counter() - began)
        self.times.steady_after += warm_up.after
        return call, state == "steady"

    def _calibrated(self, case: NamedFeed, guess: Seconds) -> Length:
        """The length of this case's blocks, from one longer block; `guess`: that of a call."""
        block = self.worker.sample(case.name, schedule.calibration_calls(guess))
        return schedule.length(float(np.median(block.ns)) / 1e9)

    def wake(self, case: int, name: str) -> None:
        """Makes calls that count nowhere, for a worker that was held still (S7)."""
        if calls := schedule.waking(self.cases[case].calibration.length):
            self.worker.sample(name, calls)

    def block(self, case: int, name: str) -> None:
        """Makes one block (G5); once more where a thread left the cores that all targets share."""
        rounds = self.cases[case]
        length = rounds.calibration.length
        for _ in range(TRIES):
            # Looked at just before: a worker that was stopped waits for a core to obey.
            before = self.processes.threads()
            block = self.worker.sample(name, length.calls, length.discard)
            if not np.median(block.ns) > 0:  # No record may hold it: it has no ratio to any other.
                raise TargetError("its clock does not move within a call: it times nothing here")
            after = self.processes.threads()
            if not threads.left_core(before, after, self.processes.cores):
                rounds.blocks.append(block)
                rounds.waits.append(threads.waited(before, after))
                rounds.threads.append(self.processes.computed(before, after))
                return
            self.processes.pin()
        raise TargetError("its threads leave the core that all targets share")

    def close(self, setup: RunSetup) -> None:
        """Judges what the timed calls left behind, then makes the copies of a call alone (G6)."""
        for index, case in enumerate(setup.cases):
            outputs, _ = self.worker.answer(case.name, again=False)
            self._demand_same(setup, index, outputs)
        # Before the copies are made alone: they need memory that no call of the target does.
        self.memory.resident, self.memory.peak = self.worker.usage()
        for index, case in enumerate(setup.cases):
            rounds = self.cases[index]
            calls = min(COPIES, rounds.calibration.length.calls)
            rounds.copies = self.worker.copies(case.name, calls)
            self._compare_threads(case.name, rounds.usual_threads)

    def _compare_threads(self, case: str, used: int) -> None:
        """Warns of more threads than were asked for, or fewer."""
        asked = self.target.program.threads
        if not threads.exact() or used in (0, asked):
            return
        kind = WarningKind.MORE_THREADS if used > asked else WarningKind.FEWER_THREADS
        noun = "thread" if used == 1 else "threads"
        self._warn(kind, f"at {case}: {used} {noun} took part, {asked} asked for")

    def _warn(self, kind: WarningKind, detail: str) -> None:
        self.warnings.append(Warning(kind=kind, detail=f"{self.target.label} {detail}"))

    def part(self, generation: int, began: int) -> TargetPart:
        """The part of the record; a target that failed gives its error and no time."""
        if self.failure is not None:
            return TargetPart(target=self.target.index, failure=self.failure)
        times, held = self.times, self.memory
        return TargetPart(
            target=self.target.index,
            cases=[
                blocks.part(case, generation, began) for case, blocks in sorted(self.cases.items())
            ],
            empty=self.empty,
            imported=times.imported,
            loaded=times.loaded,
            first_call=times.first_call,
            new_shape=times.new_shape,
            steady_after=times.steady_after,
            idle=held.idle,
            resident=held.resident,
            peak=held.peak,
            warnings=self.warnings,
        )


def _limit(setup: RunSetup) -> Seconds:
    """The longest warm-up of one target at one case: all of a generation that ends at a moment take
    at most half of what is left until then."""
    left = setup.ends - time.monotonic()
    share = left / 2 / (len(setup.targets) * len(setup.cases))
    return min(steady.LIMIT, max(steady.SHORTEST, share))
