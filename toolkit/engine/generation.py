"""One generation: a fresh process for every target, all alive together, measured in turns.

Its order, cited in the code:

G1  Start all side by side, in an order drawn anew, while nothing is timed; import.
G2  Pin every thread of every worker and the parent (schedule S3), after the imports and before the
    loads: some libraries place their threads by the cores that they see while they load.
G3  Load one after the other, bind every feed, judge the answers of the very calls that are timed.
G4  Warm up each until it is steady; in the first generation find the length of the blocks.
G5  Rounds: one block of every target at every case, in an order drawn anew each round.
G6  Judge what the timed calls left behind. Only then do their times count. Then the copies that a
    call holds are made alone, where the runtime can: where the time goes.

A target that fails leaves the generation with its error; the others go on.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from toolkit.engine.setup import Calibrations, GenerationResult, RunSetup
from toolkit.engine.targetrun import TargetRun
from toolkit.machine import describe, gpus, load
from toolkit.machine.facts import GpuState
from toolkit.machine.pinning import CoreAssignment, pinned, stopped
from toolkit.measure import schedule
from toolkit.measure.cores import Cores, draw_cores
from toolkit.records.parts import GenerationPart
from toolkit.records.schema import Generation
from toolkit.runtimes import listing
from toolkit.units import Seconds, number

FEWEST_ROUNDS = 3
"""The rounds that a generation has even where its time is over: of fewer blocks no median tells."""
GRACE: Seconds = 5.0
"""The time that rounds may take even then: of short calls they are all over by then, and what takes
the time is the start."""


@dataclass(frozen=True)
class RoundsSpan:
    """The time of the rounds, in nanoseconds of time.perf_counter_ns, and the machine in it."""

    started: int
    ended: int
    activity: load.Activity
    devices: Sequence[GpuState]
    """The GPUs that were used, right after the last block."""


def run(
    setup: RunSetup,
    count: int,
    calibrations: Calibrations,
    watch: Callable[[float], None] = lambda share: None,
) -> GenerationResult:
    """Measures generation number `count`. `calibrations` is empty for the first.

    `watch` is told the share done, between blocks.
    """
    # Drawn by the generation's number: a run that goes on draws what it would have drawn.
    source = schedule.stream(setup.seed, count)
    cores = draw_cores(sorted(os.sched_getaffinity(0)), setup.threads, source, describe.siblings())
    target_runs: list[TargetRun] = []
    try:
        _start(target_runs, setup, source)  # G1
        with pinned(_assigned(target_runs, cores), cores.driver):  # G2
            for target_run in target_runs:
                target_run.attempt(TargetRun.prepare, setup)  # G3
            for target_run in target_runs:
                target_run.attempt(TargetRun.warm, setup, calibrations)  # G4
            span = _rounds(target_runs, setup, source, watch)  # G5
            for target_run in target_runs:
                target_run.attempt(TargetRun.close, setup)  # G6
    finally:
        for target_run in target_runs:
            target_run.worker.stop()
    return _result(setup, target_runs, _generation(setup, count, cores, span))


def _start(target_runs: list[TargetRun], setup: RunSetup, source: random.Random) -> None:
    """Fills `target_runs`, so that whoever is started is stopped, whatever happens. Who comes first
    is drawn anew (schedule S4), and with it who loads and warms up first."""
    for place in schedule.order(len(setup.targets), source):
        target = setup.targets[place]
        padding = len(schedule.padding(source))
        target_runs.append(TargetRun(target, setup.launcher.start(target.spec, padding)))
    for target_run in target_runs:
        target_run.attempt(lambda target_run: target_run.worker.post_hello())
    for target_run in target_runs:
        target_run.attempt(TargetRun.hello)


def _assigned(target_runs: Sequence[TargetRun], cores: Cores) -> list[CoreAssignment]:
    """Gives every worker as many of the cores as it has threads: those with fewer share theirs with
    those that have more."""
    for target_run in target_runs:
        target_run.processes.cores = cores.of(target_run.target.program.threads)
    return [
        CoreAssignment(target_run.processes.ids, target_run.processes.cores)
        for target_run in target_runs
        if target_run.failure is None
    ]


def _rounds(
    target_runs: Sequence[TargetRun],
    setup: RunSetup,
    source: random.Random,
    watch: Callable[[float], None],
) -> RoundsSpan:
    """Measures one block of every target at every case in each round."""
    before, started = load.snapshot(), time.perf_counter_ns()
    for target_run in target_runs:
        target_run.attempt(TargetRun.look)
    ends = max(setup.ends, time.monotonic() + GRACE)
    for turn in range(setup.rounds):
        if turn >= FEWEST_ROUNDS and time.monotonic() >= ends:
            break
        for case in schedule.order(len(setup.cases), source):
            for place in schedule.order(len(target_runs), source):
                _block(target_runs, place, setup, case)
        watch((turn + 1) / setup.rounds)
    # Right after the last block: the clocks of the GPUs, and what holds them down, are the blocks'.
    ended, devices = time.perf_counter_ns(), gpus.states(_devices(setup))
    return RoundsSpan(started, ended, load.between(before, load.snapshot()), devices)


def _block(target_runs: Sequence[TargetRun], place: int, setup: RunSetup, case: int) -> None:
    """One block of one target; the others stand still where they would take its cores."""
    target_run, name = target_runs[place], setup.cases[case].name
    # Workers of one thread share a core, and one that waits for its parent takes none of it.
    others = _others(target_runs, target_run) if setup.threads > 1 else []
    with stopped(others):
        if others:  # It stood still itself while they were measured.
            target_run.attempt(TargetRun.wake, case, name)
        target_run.attempt(TargetRun.block, case, name)


def _others(target_runs: Sequence[TargetRun], timed: TargetRun) -> list[int]:
    """The processes of the workers that wait while one is timed."""
    return [
        pid
        for target_run in target_runs
        if target_run is not timed and target_run.failure is None
        for pid in target_run.processes.ids
    ]


def _generation(setup: RunSetup, count: int, cores: Cores, span: RoundsSpan) -> Generation:
    activity = span.activity
    return Generation(
        number=count,
        cores=sorted(cores.workers),
        driver=list(cores.driver),
        started=(span.started - setup.began) / 1e9,
        ended=(span.ended - setup.began) / 1e9,
        steal=number(activity.steal),
        others=number(activity.others),
        frequency=[mhz for core, mhz in activity.frequency.items() if core in cores.workers],
        busy=list(activity.busiest),
        devices=list(span.devices),
    )


def _devices(setup: RunSetup) -> set[int]:
    """The numbers of the NVIDIA GPUs that targets run on."""
    numbers = set()
    for spec in (target.spec for target in setup.targets):
        provider = listing.provider(spec.entry, spec.provider)
        if provider.accelerator == "nvidia":
            numbers.add(int(spec.options.get(provider.device_option, "0")))
    return numbers


def _result(
    setup: RunSetup, target_runs: Sequence[TargetRun], generation: Generation
) -> GenerationResult:
    in_order = sorted(target_runs, key=lambda target_run: target_run.target.index)
    cases = [
        (target_run, case, blocks)
        for target_run in in_order
        for case, blocks in target_run.cases.items()
    ]
    parts = [target_run.part(generation.number, setup.began) for target_run in in_order]
    return GenerationResult(
        part=GenerationPart(generation=generation, targets=parts),
        samples={
            f"{target_run.target.index}/{case}/{generation.number}": blocks.samples
            for target_run, case, blocks in cases
            if target_run.failure is None
        },
        calibrations={
            (target_run.target.index, case): blocks.calibration
            for target_run, case, blocks in cases
        },
        starts={target_run.target.label: target_run.times.ready for target_run in in_order},
        warm_up=sum(target_run.times.warm_up for target_run in in_order),
    )
