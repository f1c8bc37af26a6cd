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

import numpy as np

from toolkit.engine.setup import Calibrations, GenerationResult, RunSetup
from toolkit.engine.targetrun import TargetRun
from toolkit.machine import gpus, load
from toolkit.machine.facts import GpuState
from toolkit.machine.pinning import CoreAssignment, pinned, stopped
from toolkit.measure import schedule
from toolkit.measure.cores import Cores, draw_cores
from toolkit.records.parts import GenerationPart
from toolkit.records.schema import Generation
from toolkit.runtimes import listing
from toolkit.units import number
from toolkit.workers.launch import Worker


@dataclass(frozen=True)
class Span:
    """The time of the rounds, in nanoseconds of time.perf_counter_ns, and the machine in it."""

    started: int
    ended: int
    activity: load.Activity
    devices: Sequence[GpuState]
    """The GPUs that were used, right after the last block."""


def run(
    setup: RunSetup,
    count: int,
    found: Calibrations,
    watch: Callable[[float], None] = lambda _: None,
) -> GenerationResult:
    """Measures generation number `count`. `found` is empty for the first.

    `watch` is told the share done, between blocks.
    """
    source = schedule.stream(setup.seed, count)
    cores = draw_cores(sorted(os.sched_getaffinity(0)), setup.threads, source, load.siblings())
    target_runs: list[TargetRun] = []
    try:
        _start(target_runs, setup, source)  # G1
        with pinned(_places(target_runs, cores), cores.driver):  # G2
            for target_run in target_runs:
                target_run.attempt(TargetRun.prepare, setup)  # G3
            for target_run in target_runs:
                target_run.attempt(TargetRun.warm, setup, found)  # G4
            span = _rounds(target_runs, setup, source, watch)  # G5
            for target_run in target_runs:
                target_run.attempt(TargetRun.close, setup)  # G6
    finally:
        for target_run in target_runs:
            target_run.worker.stop()
    return _result(setup, target_runs, _generation(setup, count, cores, span))


def _start(target_runs: list[TargetRun], setup: RunSetup, source: random.Random) -> None:
    """Fills `lanes`: whoever is started is stopped, whatever happens. Who comes first is drawn anew
    (schedule S4), and with it who loads and warms up first."""
    for place in schedule.order(len(setup.targets), source):
        ready_target = setup.targets[place]
        padding = len(schedule.padding(source))
        worker = Worker(
            ready_target.job, setup.worker_code, patience=setup.patience, padding=padding
        )
        target_runs.append(TargetRun(ready_target, worker))
    for target_run in target_runs:
        target_run.attempt(lambda target_run: target_run.worker.post_hello())
    for target_run in target_runs:
        target_run.attempt(TargetRun.hello)


def _rounds(
    target_runs: Sequence[TargetRun],
    setup: RunSetup,
    source: random.Random,
    watch: Callable[[float], None],
) -> Span:
    before, started = load.snapshot(), time.perf_counter_ns()
    for target_run in target_runs:
        target_run.attempt(TargetRun.look)
    for turn in range(setup.rounds):
        for case in schedule.order(len(setup.cases), source):
            for place in schedule.order(len(target_runs), source):
                _block(target_runs, place, setup, case)
        watch((turn + 1) / setup.rounds)
    ended, devices = time.perf_counter_ns(), gpus.states(_devices(setup))
    return Span(started, ended, load.between(before, load.snapshot()), devices)


def _block(target_runs: Sequence[TargetRun], place: int, setup: RunSetup, case: int) -> None:
    """One block of one target; the others stand still where they would take its cores."""
    target_run, name = target_runs[place], setup.cases[case].name
    others = _others(target_runs, place) if setup.threads > 1 else []
    with stopped(others):
        if others:  # It stood still itself while they were measured.
            target_run.attempt(TargetRun.wake, case, name)
        target_run.attempt(TargetRun.block, case, name)


def _others(target_runs: Sequence[TargetRun], place: int) -> list[int]:
    """The processes of the workers that wait while one is timed."""
    return _processes(
        [target_run for index, target_run in enumerate(target_runs) if index != place]
    )


def _places(target_runs: Sequence[TargetRun], cores: Cores) -> list[CoreAssignment]:
    """Every worker gets as many of the cores as it has threads: those with fewer share theirs with
    those that have more."""
    for target_run in target_runs:
        target_run.cores = cores.of(target_run.target.program.threads)
    return [
        CoreAssignment(target_run.processes, target_run.cores)
        for target_run in target_runs
        if target_run.failure is None
    ]


def _processes(target_runs: Sequence[TargetRun]) -> list[int]:
    return [
        pid
        for target_run in target_runs
        if target_run.failure is None
        for pid in target_run.processes
    ]


def _generation(setup: RunSetup, count: int, cores: Cores, span: Span) -> Generation:
    return Generation(
        number=count,
        cores=sorted(cores.workers),
        driver=list(cores.driver),
        started=(span.started - setup.began) / 1e9,
        ended=(span.ended - setup.began) / 1e9,
        steal=number(span.activity.steal),
        others=number(span.activity.others),
        frequency=[mhz for core, mhz in span.activity.frequency.items() if core in cores.workers],
        busy=list(span.activity.busiest),
        devices=list(span.devices),
    )


def _devices(setup: RunSetup) -> set[int]:
    """The numbers of the NVIDIA GPUs that targets run on."""
    numbers = set()
    for job in (ready_target.job for ready_target in setup.targets):
        provider = listing.provider(job.listed, job.provider)
        if provider.accelerator == "nvidia":
            numbers.add(int(job.options.get(provider.device_option, "0")))
    return numbers


def _result(
    setup: RunSetup, target_runs: Sequence[TargetRun], generation: Generation
) -> GenerationResult:
    samples = {
        f"{target_run.target.index}/{case}/{generation.number}": np.array([b.ns for b in blocks])
        for target_run in target_runs
        if target_run.failure is None
        for case, blocks in target_run.blocks.items()
    }
    in_order = sorted(target_runs, key=lambda target_run: target_run.target.index)
    pieces = [target_run.piece(generation.number, setup.began) for target_run in in_order]
    found = {
        (target_run.target.index, case): s
        for target_run in target_runs
        for case, s in target_run.settled.items()
    }
    starts = {target_run.target.label: target_run.ready for target_run in target_runs}
    warm_up = sum(target_run.warm_up for target_run in target_runs)
    return GenerationResult(
        GenerationPart(generation=generation, targets=pieces), samples, found, starts, warm_up
    )
