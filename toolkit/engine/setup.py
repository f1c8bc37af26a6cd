"""The values that go round in a run: the targets, their feeds, and what is calibrated once."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from toolkit.engine.assignment import Assignment
from toolkit.engine.variants import Variant
from toolkit.machine import memory
from toolkit.measure.schedule import Length, StartCost
from toolkit.onnxfiles.filestates import FileState
from toolkit.records.parts import GenerationPart
from toolkit.records.schema import Failure, Run
from toolkit.runtimes.base import Program
from toolkit.tensors import Array, Feed
from toolkit.units import Bytes, Seconds
from toolkit.workers.jobs import WorkerSpec
from toolkit.workers.launch import Launcher


class AnswerCheck(Protocol):
    """Compares a target's answer at a case with what its verdict was on."""

    def __call__(self, target: int, case: int, outputs: Mapping[str, Array]) -> str:
        """Returns '' where it is still that, else what is wrong with it."""


@dataclass(frozen=True)
class ReadyTarget:
    """One target of the run, ready to be started."""

    index: int
    """Its index into the plan's targets."""
    label: str
    spec: WorkerSpec
    program: Program
    variant: Variant | None = None
    """The file that it runs, where that is not the run's."""
    resident: Bytes = 0
    """The memory that its worker held after it was judged."""
    cost: StartCost | None = None
    """The time of its process start while it was judged; None where none was taken."""


@dataclass(frozen=True)
class NamedFeed:
    """One feed as the workers get it."""

    name: str
    arrays: Feed
    types: Mapping[str, str]
    """Input → its ONNX type."""


@dataclass(frozen=True)
class RunSetup:
    """All that is the same in every generation of a run."""

    launcher: Launcher
    targets: Sequence[ReadyTarget]
    cases: Sequence[NamedFeed]
    other: NamedFeed | None
    """A feed of another shape, for the first call at a new shape."""
    rounds: int
    seed: int
    check: AnswerCheck
    memory: Callable[[], Bytes] = memory.available
    """Tells how much memory is free."""
    files: Sequence[FileState] = ()
    """The files of the model, and of the variants that targets run, as they were judged."""
    ends: Seconds = math.inf
    """The moment, on the clock of time.monotonic, after which a generation begins no round."""
    began: int = field(default_factory=time.perf_counter_ns)
    """The moment when the run began, on the clock that processes of a machine share."""

    @property
    def threads(self) -> int:
        """The most threads of a target."""
        return max((target.program.threads for target in self.targets), default=1)


@dataclass(frozen=True)
class Calibration:
    """The values of one target at one case that its first generation finds; fixed for the run."""

    length: Length
    """The length of a block."""
    span: Seconds
    """The time over which the warm-up of later generations must be steady."""


Calibrations = dict[tuple[int, int], Calibration]
"""(target, case) → its calibration. Empty before the first generation."""


@dataclass(frozen=True)
class GenerationResult:
    """All that one generation gave."""

    part: GenerationPart
    samples: Mapping[str, Array]
    """Every sample; `schema.Timing` tells the keys and shapes."""
    calibrations: Calibrations
    starts: Mapping[str, Seconds]
    """Target → its own time until it was loaded and bound."""
    warm_up: Seconds
    """The time of this generation's warm-ups; those of later ones are shorter."""

    @property
    def later_warm_up(self) -> Seconds:
        """The time of a later generation's warm-ups: the last half of one lasts its span, so all of
        it about twice as long."""
        return sum(2 * calibration.span for calibration in self.calibrations.values())


def of_run(
    run: Run, assignment: Assignment, targets: Sequence[ReadyTarget], launcher: Launcher
) -> RunSetup:
    """The setup in which a judged run times these targets."""
    feeds = [assignment.feeds[number] for number in assignment.cases]
    cases = [
        NamedFeed(case.name, feed.arrays, assignment.types)
        for case, feed in zip(run.plan.cases, feeds, strict=True)
    ]
    shapes = [feed.shapes for feed in feeds]
    other = next((feed for feed in assignment.feeds if feed.shapes not in shapes), None)
    return RunSetup(
        launcher=launcher,
        targets=targets,
        cases=cases,
        other=None if other is None else NamedFeed("another shape", other.arrays, assignment.types),
        rounds=run.plan.rounds,
        seed=run.plan.seed,
        check=_check(run, assignment),
        files=files(assignment, targets),
    )


def files(
    assignment: Assignment, targets: Sequence[ReadyTarget | Failure]
) -> tuple[FileState, ...]:
    """The files that these targets are judged by or run, as they were when they were read."""
    variants = [
        target.variant.file
        for target in targets
        if isinstance(target, ReadyTarget) and target.variant is not None
    ]
    return tuple(state for file in (assignment.file, *variants) for state in file.states)


def _check(run: Run, assignment: Assignment) -> AnswerCheck:
    verdicts = {record.target: record.verdict for record in run.records}

    def check(target: int, case: int, outputs: Mapping[str, Array]) -> str:
        verdict = verdicts[target]
        if verdict is None:
            return "it was never judged"
        return assignment.judge.border([outputs], verdict, [assignment.cases[case]]).reason

    return check
