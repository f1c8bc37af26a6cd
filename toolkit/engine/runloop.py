"""The run loop: process starts of all targets, one after the other, until enough is known or the
time is used. METHODOLOGY.md, sections 2 and 3, says the same for readers of a report."""

from __future__ import annotations

import math
import os
import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import msgspec

from toolkit.engine import calibration, generation
from toolkit.engine.setup import Calibrations, GenerationResult, ReadyTarget, RunSetup
from toolkit.machine import facts
from toolkit.measure import schedule, stats
from toolkit.measure.schedule import Pace, Progress, Stop, Why
from toolkit.onnxfiles import filestates
from toolkit.records import pairing, privacy, store
from toolkit.records.parts import assemble
from toolkit.records.schema import Run, Warning, WarningKind
from toolkit.records.store import RunFolder
from toolkit.units import Seconds, size

Watch = Callable[[float | None, str], None]
"""Told the share done (None: unknown) and what is being done."""


def measure(
    setup: RunSetup, run: Run, folder: RunFolder, pace: Pace, watch: Watch
) -> list[Warning]:
    """Runs generations and keeps each as it is done; returns what the run has to say of itself.

    Goes on with the numbers of the generations that `folder` already holds. Raises InputError
    where the time is too short for an interval (see `schedule.foresee`), and where a file of the
    model changed: the generation in which it did is not kept.
    """
    loop = _begun(setup, run, folder, pace)
    loop.foretell()
    stop: Stop | None = None
    while stop is None and loop.setup.targets:
        is_first = not loop.run.generations
        starts = loop.start_all(watch)
        if is_first and loop.setup.targets:
            starts = starts.as_later()
            loop.foresee(starts)
        stop = schedule.decide(loop.pace, loop.progress(loop.elapsed, starts.seconds))
    return loop.warnings(stop)


def _begun(setup: RunSetup, run: Run, folder: RunFolder, pace: Pace) -> _Loop:
    """The loop at its beginning, or where an earlier process was interrupted."""
    parts = store.parts(folder.path, run.plan)
    # The clocks go on as if the run had never stood still.
    so_far = parts[-1].generation.ended if parts else 0.0
    loop = _Loop(
        setup=replace(setup, began=time.perf_counter_ns() - round(so_far * 1e9)),
        run=assemble(run, parts),
        folder=folder,
        pace=pace,
        began=time.monotonic() - so_far,
        calibrations=calibration.levelled(calibration.of_parts(parts), setup.targets),
        started=time.monotonic(),
    )
    loop.leave_out_failed()
    return loop


@dataclass(frozen=True)
class _Starts:
    """One process start of every target: a generation, or several where they are too many."""

    seconds: Seconds
    """The wall time of all of it."""
    ready: Mapping[str, Seconds]
    """Target → its own time until it was loaded and bound."""
    longer: Seconds
    """The time by which the warm-ups of later ones are longer; negative: shorter."""

    def as_later(self) -> _Starts:
        """The later ones, foretold from the first, which looked longer for steadiness."""
        return replace(self, seconds=self.seconds + self.longer)


@dataclass(frozen=True)
class _Outlook:
    """The state of a run before a generation, for the line that tells its progress."""

    done: int
    """Generations that are over."""
    expected: int
    """Generations that there will be, about."""
    left: Seconds | None
    """None: that cannot be told yet."""

    def tell(self, watch: Watch, share: float) -> None:
        """Tells the share of the run from the share of the generation that is done."""
        left = "" if self.left is None else f" · about {self.left:.0f} s left"
        text = f"process start {self.done + 1} of about {self.expected}{left}"
        watch(min(1.0, (self.done + share) / self.expected), text)


@dataclass
class _Loop:
    """A run while it is measured."""

    setup: RunSetup
    """Its targets are those that have not failed."""
    run: Run
    """The record with all generations so far."""
    folder: RunFolder
    pace: Pace
    began: Seconds
    """The moment when the run began, on the clock of time.monotonic."""
    calibrations: Calibrations
    started: Seconds
    """The moment when this process began to measure, by the same clock; the record has the wall
    time before it."""
    foretold: Seconds | None = None
    """The time of a generation by what was seen while the targets were judged; None: unknown."""

    @property
    def elapsed(self) -> Seconds:
        """The wall time since the run began, without the time in which it was interrupted."""
        return time.monotonic() - self.began

    @property
    def pairs(self) -> int:
        """The targets that are held against the baseline at one case: so many pairs have one
        verdict together (Holm)."""
        return max(1, len(pairing.compared_targets(self.run)) - 1)

    def start_all(self, watch: Watch) -> _Starts:
        """Starts every target once and measures it, in as many generations as that takes (S6)."""
        began, longer = time.monotonic(), 0.0
        ready: dict[str, Seconds] = {}
        for targets in self._groups():
            group = replace(self.setup, targets=targets, ends=self._ends())
            number = self._next_number()
            tell = partial(self._outlook().tell, watch)
            with filestates.unchanged(self.setup.files):
                result = generation.run(group, number, self.calibrations, tell)
            self._keep(result)
            ready |= result.starts
            longer += result.later_warm_up - result.warm_up
        return _Starts(time.monotonic() - began, ready, longer)

    def _ends(self) -> Seconds:
        """The moment after which no round is begun: --quick asks for what fits into the time, be it
        a part of one generation. Other runs end between generations, all of which are alike."""
        if self.pace.time is None or not self.pace.quick:
            return math.inf
        return self.began + self.pace.time

    def _next_number(self) -> int:
        # Not how many there are: one that cannot be read leaves a gap.
        return 1 + max((generation.number for generation in self.run.generations), default=-1)

    def _groups(self) -> list[list[ReadyTarget]]:
        """The targets that are alive together, by what they hold and by the memory that is free."""
        targets = self.setup.targets
        right = pairing.right_targets(self.run)
        base = pairing.baseline(self.run, right or pairing.compared_targets(self.run))
        indices = [target.index for target in targets]
        place = (
            0 if base is None else indices.index(base)
        )  # None is right: any may be in all groups.
        room = round(schedule.ROOM * self.setup.memory())
        groups = schedule.groups([target.resident for target in targets], place, room)
        return [[targets[place] for place in group] for group in groups]

    def _keep(self, result: GenerationResult) -> None:
        """Writes a generation before anything else can go wrong, and goes on with what it found."""
        seconds = self.run.seconds + time.monotonic() - self.started
        part = msgspec.structs.replace(result.part, seconds=seconds)
        if self.run.machine.identity == facts.ANONYMOUS:
            part = privacy.anonymous(part)
        self.folder.append(part, result.samples)
        self.run = assemble(self.run, [part])
        # A group of targets that starts for the first time brings calibrations of its own.
        known = {**self.calibrations, **result.calibrations}
        self.calibrations = calibration.levelled(known, self.setup.targets)
        self.leave_out_failed()

    def leave_out_failed(self) -> None:
        """Leaves out the targets that failed in a generation: they start in no other."""
        failed = {record.target for record in self.run.records if record.failure is not None}
        targets = [target for target in self.setup.targets if target.index not in failed]
        self.setup = replace(self.setup, targets=targets)

    def _faster(self, ready: Mapping[str, Seconds]) -> str:
        """The options that name the targets without the slowest to start, where two are left."""
        slowest = max(ready, key=ready.__getitem__, default="")
        others = [target for target in self.setup.targets if target.label != slowest]
        names = [self.run.plan.targets[target.index].name for target in others]
        return " ".join(f"--target {shlex.quote(name)}" for name in names) if names[1:] else ""

    def foretell(self) -> None:
        """Foretells from the judging how long the process starts take, before there is one.

        Raises InputError where the user's time is clearly too short.
        """
        costs = [target.cost for target in self.setup.targets]
        known = [cost for cost in costs if cost is not None]
        if self.run.generations or len(known) < len(costs) or not known:
            return
        cores = len(os.sched_getaffinity(0))
        # Each group has the baseline once more, which makes little.
        self.foretold = schedule.foretold(known, self.setup.rounds, cores)
        ready = {t.label: t.cost.ready() for t in self.setup.targets if t.cost is not None}
        first = schedule.First(
            self.foretold, self.elapsed, ready, self.pairs, seen=False, faster=self._faster(ready)
        )
        self.pace = schedule.foresee(self.pace, first)

    def foresee(self, starts: _Starts) -> None:
        """Sets the pace, now that it is known how long a process start of all targets takes."""
        faster = self._faster(starts.ready)
        first = schedule.First(
            starts.seconds, self.elapsed, starts.ready, self.pairs, faster=faster
        )
        self.pace = schedule.foresee(self.pace, first)

    def progress(self, elapsed: Seconds, next_one: Seconds) -> Progress:
        """The state of the run: it has as many process starts as the pair that has the fewest."""
        effects = pairing.against_baseline(self.run)
        starts = min(map(len, effects), default=len(self.run.generations))
        return Progress(starts, effects, elapsed, next_one, self.pairs)

    def _outlook(self) -> _Outlook:
        done = len(self.run.generations)
        fewest = schedule.fewest(self.pairs, self.pace.alpha) * len(self._groups())
        elapsed = self.run.generations[-1].ended if done else self.elapsed
        next_one = elapsed / done if done else self.foretold
        if next_one is None:
            return _Outlook(done, max(fewest, done + 1), None)
        left = self._time_left(elapsed, next_one)
        if left is None or not next_one:
            return _Outlook(done, max(fewest, done + 1), left)
        return _Outlook(done, done + max(1, round(left / next_one)), left)

    def _time_left(self, elapsed: Seconds, next_one: Seconds) -> Seconds | None:
        return schedule.time_left(self.pace, self.progress(elapsed, next_one))

    def warnings(self, stop: Stop | None) -> list[Warning]:
        """Warns of an early end, and of what the run cannot say."""
        warnings = [self._little_memory(), _stopped_early(stop), self._too_few(), self._wide()]
        return [warning for warning in warnings if warning is not None]

    def _little_memory(self) -> Warning | None:
        """Said where not even two of the targets are well within what is free."""
        held = sorted((target.resident for target in self.setup.targets), reverse=True)[:2]
        free = self.setup.memory()
        if len(held) < 2 or sum(held) <= schedule.ROOM * free:
            return None
        detail = f"two targets hold up to {size(sum(held))}, {size(free)} are free"
        return Warning(kind=WarningKind.LITTLE_MEMORY, detail=detail)

    def _too_few(self) -> Warning | None:
        """Said where so few process starts have no interval, or cannot tell so many pairs apart."""
        starts = self.progress(0.0, 0.0).generations
        needed = stats.starts_needed(self.pairs, self.pace.alpha)
        if starts < stats.FEWEST:
            detail = f"{starts} of the {stats.FEWEST} that an interval needs"
            return Warning(kind=WarningKind.NO_INTERVAL, detail=detail)
        if starts < needed:
            detail = f"{starts} of the {needed} that {self.pairs} pairs need"
            return Warning(kind=WarningKind.TOO_MANY_PAIRS, detail=detail)
        return None

    def _wide(self) -> Warning | None:
        """Said where a ratio is not known as well as was asked for."""
        wanted = self.pace.precision
        widest = schedule.widest_interval(pairing.against_baseline(self.run), self.pace.alpha)
        if wanted is None or widest is None or widest <= wanted:
            return None
        detail = f"the widest interval is ±{widest:.1%}, ±{wanted:.1%} was asked for"
        return Warning(kind=WarningKind.WIDE, detail=detail)


def _stopped_early(stop: Stop | None) -> Warning | None:
    if stop is None or stop.why is not Why.PRECISE:
        return None
    return Warning(kind=WarningKind.STOPPED_EARLY, detail=stop.text)
