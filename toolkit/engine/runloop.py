"""Generations, one after the other, until enough is known or the time is used."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from toolkit.engine import generation
from toolkit.engine.setup import Calibration, Calibrations, ReadyTarget, RunSetup
from toolkit.measure import schedule, stats, steady
from toolkit.measure.schedule import Length, Pace, Progress, Stop, Why
from toolkit.measure.stats import effect
from toolkit.records import store
from toolkit.records.parts import GenerationPart
from toolkit.records.schema import Run, Warning, WarningKind
from toolkit.records.store import RunFolder
from toolkit.runtimes import listing
from toolkit.units import Seconds, size

Watch = Callable[[float | None, str], None]
"""Told the share done (None: unknown) and what is being done."""


def measure(
    setup: RunSetup, run: Run, folder: RunFolder, pace: Pace, watch: Watch
) -> list[Warning]:
    """Runs generations and keeps each as it is done; returns what the run has to say of itself.

    Goes on with the numbers of the generations that `folder` already holds. Raises InputError
    where the time is too short for an interval (see `schedule.foresee`).
    """
    parts = store.parts(folder.path)
    found = _levelled(_found_before(parts), setup.targets)
    so_far = parts[-1].generation.ended if parts else 0.0
    began = time.monotonic() - so_far
    setup = replace(setup, began=time.perf_counter_ns() - round(so_far * 1e9))
    for part in parts:
        setup = _without_failed(setup, part)
    stop: Stop | None = None
    while stop is None and setup.targets:
        fresh = not parts
        lap, later = time.monotonic(), 0.0
        starts: dict[str, Seconds] = {}
        for group in _groups(setup, run):  # S6
            tell = _Teller(watch, pace, parts, setup, run)
            result = generation.run(replace(setup, targets=group), len(parts), found, tell)
            folder.append(result.part, result.samples)
            parts.append(result.part)
            found = _levelled({**found, **result.found}, setup.targets)
            starts |= result.starts
            later += result.later_warm_up - result.warm_up
            setup = _without_failed(setup, result.part)
        took = time.monotonic() - lap
        if fresh and setup.targets:
            took += later
            so_far = time.monotonic() - began
            pairs = _beside(run, setup.targets)
            pace = schedule.foresee(pace, schedule.First(took, so_far, starts, pairs))
        stop = schedule.decide(
            pace, _progress(run, parts, setup.targets, time.monotonic() - began, took)
        )
    return _said(stop, run, parts, setup, pace)


def _levelled(found: Calibrations, ready_targets: Sequence[ReadyTarget]) -> Calibrations:
    """All targets of a runtime warm up as long as the one that needed longest: else the one whose
    first start happened to be slow would be the warmer one in all others. What is compiled while it
    runs may do so at any moment: it is looked at as long as in the first start."""
    jobs = {one.index: one.job for one in ready_targets}
    spans: dict[tuple[str, str, int], Seconds] = {}
    for (target, case), settled in found.items():
        if target in jobs:
            listed, name = jobs[target].listed, jobs[target].provider
            compiles = listing.provider(listed, name).compiles_while_running
            least = steady.SPAN if compiles else 0.0
            kind = (listed.name, name, case)
            spans[kind] = max(spans.get(kind, least), settled.span)
    return {
        (target, case): replace(
            settled, span=spans[jobs[target].listed.name, jobs[target].provider, case]
        )
        for (target, case), settled in found.items()
        if target in jobs  # One that failed starts in no other.
    }


def _groups(setup: RunSetup, run: Run) -> list[list[ReadyTarget]]:
    """The targets that are alive together, by what they hold and by the memory that is free."""
    indices = [ready_target.index for ready_target in setup.targets]
    base = indices.index(_base(run, setup.targets)) if indices else 0
    room = round(schedule.ROOM * setup.memory())
    sizes = [ready_target.resident for ready_target in setup.targets]
    return [
        [setup.targets[place] for place in group] for group in schedule.groups(sizes, base, room)
    ]


def _progress(
    run: Run,
    parts: Sequence[GenerationPart],
    ready_targets: Sequence[ReadyTarget],
    elapsed: Seconds,
    lap: Seconds,
) -> Progress:
    """Where the run stands: it has as many process starts as the pair that has the fewest."""
    found = effects(run, parts, ready_targets)
    starts = min((len(pairs) for pairs in found), default=len(parts))
    return Progress(starts, found, elapsed, lap, _beside(run, ready_targets))


def _beside(run: Run, ready_targets: Sequence[ReadyTarget]) -> int:
    """Targets that are held against the baseline at one case: as many pairs have one verdict."""
    return max(1, len(_right(run, ready_targets)) - 1)


def effects(
    run: Run, parts: Sequence[GenerationPart], ready_targets: Sequence[ReadyTarget]
) -> list[list[float]]:
    """The log ratios to the baseline of every target that is right, at every case; where the
    planned baseline has failed, to the first that has not, as the report shows them."""
    base = _base(run, ready_targets)
    others = [index for index in _right(run, ready_targets) if index != base]
    return [
        pairs
        for target in others
        for case in range(len(run.plan.cases))
        if (pairs := _pairs(parts, base, target, case))
    ]


def _right(run: Run, ready_targets: Sequence[ReadyTarget]) -> list[int]:
    right = {record.target for record in run.records if record.verdict and record.verdict.right}
    return [ready_target.index for ready_target in ready_targets if ready_target.index in right]


def _base(run: Run, ready_targets: Sequence[ReadyTarget]) -> int:
    """What the others are compared with: as planned, or the first right one; the first of all where
    none is right."""
    able = _right(run, ready_targets)
    if run.plan.baseline in able:
        return run.plan.baseline
    return next(iter(able), ready_targets[0].index if ready_targets else 0)


def _pairs(parts: Sequence[GenerationPart], base: int, target: int, case: int) -> list[float]:
    found = []
    for part in parts:
        medians = {
            (piece.target, one.case): one.series.medians
            for piece in part.targets
            for one in piece.cases
        }
        if (base, case) in medians and (target, case) in medians:
            found.append(effect(medians[base, case], medians[target, case]))
    return found


def _without_failed(setup: RunSetup, part: GenerationPart) -> RunSetup:
    """A target that failed in a generation starts in no other."""
    failed = {piece.target for piece in part.targets if piece.failure is not None}
    return replace(setup, targets=[e for e in setup.targets if e.index not in failed])


def _found_before(parts: Sequence[GenerationPart]) -> Calibrations:
    """The lengths of the blocks of a run that goes on: fixed for the run."""
    return {
        (piece.target, one.case): Calibration(
            Length(one.calls, one.discarded), steady.later_span(piece.steady_after or 0.0)
        )
        for part in reversed(parts)  # The first one counts: it looked longest.
        for piece in part.targets
        for one in piece.cases
    }


def _said(
    stop: Stop | None, run: Run, parts: Sequence[GenerationPart], setup: RunSetup, pace: Pace
) -> list[Warning]:
    found = []
    if too_large := _too_large(setup):
        found.append(Warning(kind=WarningKind.LITTLE_MEMORY, detail=too_large))
    if stop is not None and stop.why is Why.PRECISE:
        found.append(Warning(kind=WarningKind.STOPPED_EARLY, detail=stop.text))
    starts = _progress(run, parts, setup.targets, 0.0, 0.0).generations
    pairs = _beside(run, setup.targets)
    widest = schedule.widest_interval(effects(run, parts, setup.targets), pace.alpha)
    if starts < stats.FEWEST:
        detail = f"{starts} of the {stats.FEWEST} that an interval needs"
        found.append(Warning(kind=WarningKind.NO_INTERVAL, detail=detail))
    elif starts < (needed := stats.starts_needed(pairs, pace.alpha)):
        detail = f"{starts} of the {needed} that {pairs} pairs need"
        found.append(Warning(kind=WarningKind.TOO_MANY_PAIRS, detail=detail))
    if pace.precision is not None and widest is not None and widest > pace.precision:
        detail = f"the widest interval is ±{widest:.1%}, ±{pace.precision:.1%} was asked for"
        found.append(Warning(kind=WarningKind.WIDE, detail=detail))
    return found


def _too_large(setup: RunSetup) -> str:
    """Said where not even two of the targets are well within what is free."""
    held = sorted((ready_target.resident for ready_target in setup.targets), reverse=True)[:2]
    free = setup.memory()
    if len(held) < 2 or sum(held) <= schedule.ROOM * free:
        return ""
    return f"two targets hold up to {size(sum(held))}, {size(free)} are free"


class _Teller:
    """Turns the share of a generation into the share of the run, and the time that is left."""

    def __init__(
        self, watch: Watch, pace: Pace, parts: Sequence[GenerationPart], setup: RunSetup, run: Run
    ) -> None:
        self._watch = watch
        self._done = len(parts)
        turn = len(_groups(setup, run))
        fewest = schedule.fewest(_beside(run, setup.targets), pace.alpha)
        self._expected = max(fewest * turn, len(parts) + 1)
        ended = parts[-1].generation.ended if parts else 0.0
        lap = ended / len(parts) if parts else 0.0
        now = _progress(run, parts, setup.targets, ended, lap)
        self._left = schedule.time_left(pace, now) if parts else None

    def __call__(self, share: float) -> None:
        done = (self._done + share) / self._expected
        left = "" if self._left is None else f" · about {self._left:.0f} s left"
        self._watch(min(1.0, done), f"process start {self._done + 1}{left}")
