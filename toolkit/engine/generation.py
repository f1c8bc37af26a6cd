"""One generation: a fresh process for every target, all alive together, measured in turns.

Its order, cited in the code:

G1  Start all side by side, on all cores, while nothing is timed; import.
G2  Pin every thread of every worker and the parent (schedule S3), after the imports and before the
    loads: some libraries place their threads by the cores that they see while they load.
G3  Load one after the other, bind every feed, judge the answers of the very calls that are timed.
G4  Warm up each until it is steady; in the first generation find the length of the blocks.
G5  Rounds: one block of every target at every case, in an order drawn anew each round.
G6  Judge what the timed calls left behind. Only then do their times count.

A target that fails leaves the generation with its error; the others go on.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Concatenate, ParamSpec, Protocol

import numpy as np

from toolkit.engine.cores import pin, pinned, stopped
from toolkit.errors import TargetError
from toolkit.measure import noise, schedule, threads
from toolkit.measure.schedule import Cores
from toolkit.measure.steady import WarmUp, later_span
from toolkit.measure.threads import Thread
from toolkit.records.schema import Caution, Failure, Generation, Series, Warning
from toolkit.records.slices import CaseSlice, Slice, TargetSlice
from toolkit.runtimes.base import Program
from toolkit.tensors import Array, Feed
from toolkit.units import Bytes, Seconds, number
from toolkit.workers import jobs
from toolkit.workers.jobs import Job, Patience
from toolkit.workers.launch import Worker

P = ParamSpec("P")

TRIES = 3
"""Blocks of one round, where threads leave their core."""
WARM_BLOCK: Seconds = 1e-3
"""A block of the warm-up: short, so that a decay is seen."""


class Judge(Protocol):
    """Whether a target's answer at a case is still what its verdict said."""

    def __call__(self, target: int, case: int, outputs: Mapping[str, Array]) -> str:
        """Empty, or what is wrong with it."""


@dataclass(frozen=True)
class Entrant:
    """One target of the run."""

    index: int
    """In the plan."""
    label: str
    job: Job
    program: Program


@dataclass(frozen=True)
class Bound:
    """One feed, as the workers get it."""

    name: str
    arrays: Feed
    types: Mapping[str, str]


@dataclass(frozen=True)
class Circuit:
    """What is the same in every generation of a run."""

    rooms: Path
    entrants: Sequence[Entrant]
    cases: Sequence[Bound]
    other: Bound | None
    """A feed of another shape, for the first call at a new shape."""
    threads: int
    rounds: int
    seed: int
    patience: Patience
    judge: Judge
    began: int = field(default_factory=time.perf_counter_ns)
    """When the run began, on that clock."""


@dataclass(frozen=True)
class Settled:
    """What the first generation found for one target and one case; fixed for the run."""

    calls: int
    """Of a block."""
    span: Seconds
    """Over which the warm-up of later generations must be steady."""


Found = dict[tuple[int, int], Settled]
"""(target, case) → what was found. Empty before the first generation."""


@dataclass(frozen=True)
class Result:
    """What one generation gave."""

    part: Slice
    samples: Mapping[str, Array]
    found: Found
    starts: Mapping[str, Seconds]
    """Target → its own time until it was loaded and bound."""
    warm_up: Seconds
    """What this generation's took; that of later ones is shorter (`later_warm_up`)."""

    @property
    def later_warm_up(self) -> Seconds:
        """The last half of a warm-up lasts the span, so all of it about twice as long."""
        return sum(2 * settled.span for settled in self.found.values())


@dataclass(frozen=True)
class Span:
    """The time of the rounds, in nanoseconds of time.perf_counter_ns, and the machine in it."""

    started: int
    ended: int
    activity: noise.Activity


@dataclass
class Lane:
    """One target while the generation lasts."""

    entrant: Entrant
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
    blocks: dict[int, list[jobs.Block]] = field(default_factory=dict)
    """Case → its blocks, a round each."""
    settled: dict[int, Settled] = field(default_factory=dict)
    threads: Mapping[int, Thread] = field(default_factory=dict)
    """As they stood after its last block."""
    used: int = 0
    """Most threads that took part in one block."""
    warnings: list[Warning] = field(default_factory=list)
    failure: Failure | None = None

    def attempt(
        self, step: Callable[Concatenate[Lane, P], None], *args: P.args, **more: P.kwargs
    ) -> None:
        """Does a step, or leaves the generation with its error."""
        if self.failure is not None:
            return
        try:
            step(self, *args, **more)
        except TargetError as error:
            self.failure = failure(error)
            self.worker.stop()


def failure(error: TargetError) -> Failure:
    """An error as a record shows it."""
    return Failure(
        verb=error.verb, what=error.what, cures=list(error.cures), last_words=[*error.last_words]
    )


def run(
    circuit: Circuit, count: int, found: Found, watch: Callable[[float], None] = lambda _: None
) -> Result:
    """Measures generation number `count`. `found` is empty for the first.

    `watch` is told the share done, between blocks.
    """
    source = schedule.stream(circuit.seed, count)
    cores = schedule.draw_cores(
        sorted(os.sched_getaffinity(0)), circuit.threads, source, noise.siblings()
    )
    lanes: list[Lane] = []
    try:
        _start(lanes, circuit, source)  # G1
        alive = [lane.worker.pid for lane in lanes if lane.failure is None]
        with pinned(alive, cores.workers, cores.driver):  # G2
            for lane in lanes:
                lane.attempt(_prepare, circuit)  # G3
            for lane in lanes:
                lane.attempt(_warm, circuit, found)  # G4
            span = _rounds(lanes, circuit, cores, source, watch)  # G5
            for lane in lanes:
                lane.attempt(_close, circuit)  # G6
    finally:
        for lane in lanes:
            lane.worker.stop()
    return _result(circuit, lanes, _generation(circuit, count, cores, span))


def _start(lanes: list[Lane], circuit: Circuit, source: random.Random) -> None:
    """Fills `lanes`: whoever is started is stopped, whatever happens."""
    for entrant in circuit.entrants:
        padding = len(schedule.padding(source))
        worker = Worker(entrant.job, circuit.rooms, patience=circuit.patience, padding=padding)
        lanes.append(Lane(entrant, worker))
    for lane in lanes:
        lane.attempt(lambda lane: lane.worker.post_hello())
    for lane in lanes:
        lane.attempt(_hello)


def _hello(lane: Lane) -> None:
    hello = lane.worker.hello()
    lane.imported, lane.empty = hello.seconds, hello.empty
    lane.idle, _ = lane.worker.usage()


def _prepare(lane: Lane, circuit: Circuit) -> None:
    worker, began = lane.worker, time.perf_counter()
    worker.post_load(lane.entrant.program)
    lane.loaded = worker.load().seconds
    for index, case in enumerate(circuit.cases):
        worker.bind(case.name, case.arrays, case.types)
        outputs, seconds = worker.answer(case.name)
        if index == 0:
            lane.first_call = seconds
        _demand(circuit, lane, index, outputs)
        if index == 0 and circuit.other is not None:
            worker.bind(circuit.other.name, circuit.other.arrays, circuit.other.types)
            _, lane.new_shape = worker.answer(circuit.other.name)
    lane.ready = (lane.imported or 0.0) + time.perf_counter() - began


def _demand(circuit: Circuit, lane: Lane, case: int, outputs: Mapping[str, Array]) -> None:
    """Raises TargetError where an answer is not what the verdict said."""
    if reason := circuit.judge(lane.entrant.index, case, outputs):
        raise TargetError(f"its answers changed after the verdict: {reason}")


def _warm(lane: Lane, circuit: Circuit, found: Found) -> None:
    began = time.perf_counter()
    for index, case in enumerate(circuit.cases):
        known = found.get((lane.entrant.index, index))
        if known is None:
            warm_up, call = _until_steady(lane, case, WarmUp())
            known = Settled(_calibrated(lane.worker, case, call), later_span(warm_up.after))
        else:
            _until_steady(lane, case, WarmUp(span=known.span))
        lane.settled[index] = known
    lane.warm_up = time.perf_counter() - began


def _until_steady(lane: Lane, case: Bound, warm_up: WarmUp) -> tuple[WarmUp, Seconds]:
    """The warm-up that has ended, and about how long a call takes."""
    call, state, began = 0.0, "not yet", time.perf_counter()
    while state == "not yet":
        count = min(schedule.MOST_CALLS, max(1, round(WARM_BLOCK / call))) if call else 1
        block = lane.worker.sample(case.name, count)
        call = max(1e-9, float(np.median(block.ns)) / 1e9)
        state = warm_up.add(call, time.perf_counter() - began)
    if state == "never":
        lane.warnings.append(
            Warning(
                kind=Caution.NEVER_STEADY,
                detail=f"{lane.entrant.label} at {case.name}: still changing after "
                f"{warm_up.limit:g} s",
            )
        )
    lane.steady_after += warm_up.after
    return warm_up, call


def _calibrated(worker: Worker, case: Bound, guess: Seconds) -> int:
    block = worker.sample(case.name, schedule.calibration_calls(guess))
    return schedule.calls_per_block(float(np.median(block.ns)) / 1e9)


def _rounds(
    lanes: Sequence[Lane],
    circuit: Circuit,
    cores: Cores,
    source: random.Random,
    watch: Callable[[float], None],
) -> Span:
    before, started = noise.snapshot(), time.perf_counter_ns()
    for lane in lanes:
        lane.threads = threads.of(lane.worker.pid)
    for turn in range(circuit.rounds):
        for case in schedule.order(len(circuit.cases), source):
            for place in schedule.order(len(lanes), source):
                with stopped(_others(lanes, place) if circuit.threads > 1 else []):
                    lanes[place].attempt(_block, case, circuit.cases[case].name, cores)
        watch((turn + 1) / circuit.rounds)
    ended = time.perf_counter_ns()
    return Span(started, ended, noise.between(before, noise.snapshot()))


def _others(lanes: Sequence[Lane], place: int) -> list[int]:
    """The workers that wait while one is timed."""
    others = (lane for index, lane in enumerate(lanes) if index != place)
    return [lane.worker.pid for lane in others if lane.failure is None]


def _block(lane: Lane, case: int, name: str, cores: Cores) -> None:
    """One block; once more where a thread left the cores that all targets share."""
    count = lane.settled[case].calls
    for _ in range(TRIES):
        block = lane.worker.sample(name, count, schedule.discarded(count))
        before, lane.threads = lane.threads, threads.of(lane.worker.pid)
        if not threads.left_core(before, lane.threads, cores.workers):
            lane.used = max(lane.used, len(threads.used(before, lane.threads)))
            lane.blocks.setdefault(case, []).append(block)
            return
        pin(lane.worker.pid, cores.workers)
    raise TargetError("its threads leave the core that all targets share")


def _close(lane: Lane, circuit: Circuit) -> None:
    for index, case in enumerate(circuit.cases):
        outputs, _ = lane.worker.answer(case.name, again=False)
        _demand(circuit, lane, index, outputs)
    lane.resident, lane.peak = lane.worker.usage()
    if lane.used > circuit.threads:
        lane.warnings.append(
            Warning(
                kind=Caution.MORE_THREADS,
                detail=f"{lane.entrant.label}: {lane.used} threads took part, "
                f"{circuit.threads} asked for",
            )
        )


def _generation(circuit: Circuit, count: int, cores: Cores, span: Span) -> Generation:
    return Generation(
        number=count,
        cores=list(cores.workers),
        driver=list(cores.driver),
        started=(span.started - circuit.began) / 1e9,
        ended=(span.ended - circuit.began) / 1e9,
        steal=number(span.activity.steal),
        others=number(span.activity.others),
        frequency=[mhz for core, mhz in span.activity.frequency.items() if core in cores.workers],
    )


def _result(circuit: Circuit, lanes: Sequence[Lane], generation: Generation) -> Result:
    samples = {
        f"{lane.entrant.index}/{case}/{generation.number}": np.array([b.ns for b in blocks])
        for lane in lanes
        if lane.failure is None
        for case, blocks in lane.blocks.items()
    }
    pieces = [_piece(lane, generation.number, circuit.began) for lane in lanes]
    found = {(lane.entrant.index, case): s for lane in lanes for case, s in lane.settled.items()}
    starts = {lane.entrant.label: lane.ready for lane in lanes}
    warm_up = sum(lane.warm_up for lane in lanes)
    return Result(Slice(generation=generation, targets=pieces), samples, found, starts, warm_up)


def _piece(lane: Lane, generation: int, began: int) -> TargetSlice:
    """What counts of one target: a target that failed gives its error and no time."""
    if lane.failure is not None:
        return TargetSlice(target=lane.entrant.index, failure=lane.failure)
    return TargetSlice(
        target=lane.entrant.index,
        cases=[
            CaseSlice(
                case=case, calls=lane.settled[case].calls, series=_series(generation, blocks, began)
            )
            for case, blocks in sorted(lane.blocks.items())
        ],
        empty=lane.empty,
        imported=lane.imported,
        loaded=lane.loaded,
        first_call=lane.first_call,
        new_shape=lane.new_shape,
        steady_after=lane.steady_after,
        idle=lane.idle,
        resident=lane.resident,
        peak=lane.peak,
        warnings=lane.warnings,
    )


def _series(generation: int, blocks: Sequence[jobs.Block], began: int) -> Series:
    return Series(
        generation=generation,
        starts=[(block.start - began) / 1e9 for block in blocks],
        medians=[float(np.median(block.ns)) for block in blocks],
        means=[float(np.mean(block.ns)) for block in blocks],
        switches=[block.switches for block in blocks],
    )
