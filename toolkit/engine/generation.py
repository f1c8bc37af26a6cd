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

from toolkit.engine.circuit import Circuit, Found, Result
from toolkit.engine.cores import Place, pinned, stopped
from toolkit.engine.lane import Lane
from toolkit.measure import gpus, noise, schedule
from toolkit.measure.cores import Cores, draw_cores
from toolkit.records.schema import Busy, Device, Generation
from toolkit.records.slices import Slice
from toolkit.units import number
from toolkit.workers.launch import Worker


@dataclass(frozen=True)
class Span:
    """The time of the rounds, in nanoseconds of time.perf_counter_ns, and the machine in it."""

    started: int
    ended: int
    activity: noise.Activity
    devices: Sequence[gpus.State]
    """The GPUs that were used, right after the last block."""


def run(
    circuit: Circuit, count: int, found: Found, watch: Callable[[float], None] = lambda _: None
) -> Result:
    """Measures generation number `count`. `found` is empty for the first.

    `watch` is told the share done, between blocks.
    """
    source = schedule.stream(circuit.seed, count)
    cores = draw_cores(sorted(os.sched_getaffinity(0)), circuit.threads, source, noise.siblings())
    lanes: list[Lane] = []
    try:
        _start(lanes, circuit, source)  # G1
        with pinned(_places(lanes, cores), cores.driver):  # G2
            for lane in lanes:
                lane.attempt(Lane.prepare, circuit)  # G3
            for lane in lanes:
                lane.attempt(Lane.warm, circuit, found)  # G4
            span = _rounds(lanes, circuit, source, watch)  # G5
            for lane in lanes:
                lane.attempt(Lane.close, circuit)  # G6
    finally:
        for lane in lanes:
            lane.worker.stop()
    return _result(circuit, lanes, _generation(circuit, count, cores, span))


def _start(lanes: list[Lane], circuit: Circuit, source: random.Random) -> None:
    """Fills `lanes`: whoever is started is stopped, whatever happens. Who comes first is drawn anew
    (schedule S4), and with it who loads and warms up first."""
    for place in schedule.order(len(circuit.entrants), source):
        entrant = circuit.entrants[place]
        padding = len(schedule.padding(source))
        worker = Worker(entrant.job, circuit.rooms, patience=circuit.patience, padding=padding)
        lanes.append(Lane(entrant, worker))
    for lane in lanes:
        lane.attempt(lambda lane: lane.worker.post_hello())
    for lane in lanes:
        lane.attempt(Lane.hello)


def _rounds(
    lanes: Sequence[Lane],
    circuit: Circuit,
    source: random.Random,
    watch: Callable[[float], None],
) -> Span:
    before, started = noise.snapshot(), time.perf_counter_ns()
    for lane in lanes:
        lane.attempt(Lane.look)
    for turn in range(circuit.rounds):
        for case in schedule.order(len(circuit.cases), source):
            for place in schedule.order(len(lanes), source):
                _block(lanes, place, circuit, case)
        watch((turn + 1) / circuit.rounds)
    ended, devices = time.perf_counter_ns(), gpus.states(_devices(circuit))
    return Span(started, ended, noise.between(before, noise.snapshot()), devices)


def _block(lanes: Sequence[Lane], place: int, circuit: Circuit, case: int) -> None:
    """One block of one target; the others stand still where they would take its cores."""
    lane, name = lanes[place], circuit.cases[case].name
    others = _others(lanes, place) if circuit.threads > 1 else []
    with stopped(others):
        if others:  # It stood still itself while they were measured.
            lane.attempt(Lane.wake, case, name)
        lane.attempt(Lane.block, case, name)


def _others(lanes: Sequence[Lane], place: int) -> list[int]:
    """The processes of the workers that wait while one is timed."""
    return _processes([lane for index, lane in enumerate(lanes) if index != place])


def _places(lanes: Sequence[Lane], cores: Cores) -> list[Place]:
    """Every worker gets as many of the cores as it has threads: those with fewer share theirs with
    those that have more."""
    for lane in lanes:
        lane.cores = cores.of(lane.entrant.program.threads)
    return [Place(lane.processes, lane.cores) for lane in lanes if lane.failure is None]


def _processes(lanes: Sequence[Lane]) -> list[int]:
    return [pid for lane in lanes if lane.failure is None for pid in lane.processes]


def _generation(circuit: Circuit, count: int, cores: Cores, span: Span) -> Generation:
    return Generation(
        number=count,
        cores=sorted(cores.workers),
        driver=list(cores.driver),
        started=(span.started - circuit.began) / 1e9,
        ended=(span.ended - circuit.began) / 1e9,
        steal=number(span.activity.steal),
        others=number(span.activity.others),
        frequency=[mhz for core, mhz in span.activity.frequency.items() if core in cores.workers],
        busy=[Busy(name=b.name, cores=b.cores, core=b.core) for b in span.activity.busiest],
        devices=[
            Device(name=g.name, clock=g.clock, temperature=g.temperature, throttled=[*g.throttled])
            for g in span.devices
        ],
    )


def _devices(circuit: Circuit) -> set[int]:
    """The numbers of the GPUs that targets run on."""
    jobs = [entrant.job for entrant in circuit.entrants if entrant.job.provider == "cuda"]
    return {int(job.options.get("device", "0")) for job in jobs}


def _result(circuit: Circuit, lanes: Sequence[Lane], generation: Generation) -> Result:
    samples = {
        f"{lane.entrant.index}/{case}/{generation.number}": np.array([b.ns for b in blocks])
        for lane in lanes
        if lane.failure is None
        for case, blocks in lane.blocks.items()
    }
    in_order = sorted(lanes, key=lambda lane: lane.entrant.index)
    pieces = [lane.piece(generation.number, circuit.began) for lane in in_order]
    found = {(lane.entrant.index, case): s for lane in lanes for case, s in lane.settled.items()}
    starts = {lane.entrant.label: lane.ready for lane in lanes}
    warm_up = sum(lane.warm_up for lane in lanes)
    return Result(Slice(generation=generation, targets=pieces), samples, found, starts, warm_up)
