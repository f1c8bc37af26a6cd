"""What goes round in a run: the targets, their feeds, and what is found of them once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from toolkit.engine.variants import Variant
from toolkit.machine import memory
from toolkit.measure.schedule import Length
from toolkit.records.parts import GenerationPart
from toolkit.runtimes.base import Program
from toolkit.tensors import Array, Feed
from toolkit.units import Bytes, Seconds
from toolkit.workers.jobs import Patience, WorkerSpec


class AnswerCheck(Protocol):
    """Whether a target's answer at a case is still what its verdict said."""

    def __call__(self, target: int, case: int, outputs: Mapping[str, Array]) -> str:
        """Empty, or what is wrong with it."""


@dataclass(frozen=True)
class ReadyTarget:
    """One target of the run."""

    index: int
    """In the plan."""
    label: str
    spec: WorkerSpec
    program: Program
    variant: Variant | None = None
    """The file that it runs, where that is not the run's."""
    resident: Bytes = 0
    """What its worker held after it was judged."""


@dataclass(frozen=True)
class NamedFeed:
    """One feed, as the workers get it."""

    name: str
    arrays: Feed
    types: Mapping[str, str]


@dataclass(frozen=True)
class RunSetup:
    """What is the same in every generation of a run."""

    worker_code: Path
    targets: Sequence[ReadyTarget]
    cases: Sequence[NamedFeed]
    other: NamedFeed | None
    """A feed of another shape, for the first call at a new shape."""
    rounds: int
    seed: int
    patience: Patience
    check: AnswerCheck
    memory: Callable[[], Bytes] = memory.available
    """What is still free."""
    began: int = field(default_factory=time.perf_counter_ns)
    """When the run began, on that clock."""

    @property
    def threads(self) -> int:
        """Most threads of a target."""
        return max((ready_target.program.threads for ready_target in self.targets), default=1)


@dataclass(frozen=True)
class Calibration:
    """What the first generation found for one target and one case; fixed for the run."""

    length: Length
    """Of a block."""
    span: Seconds
    """Over which the warm-up of later generations must be steady."""


Calibrations = dict[tuple[int, int], Calibration]
"""(target, case) → what was found. Empty before the first generation."""


@dataclass(frozen=True)
class GenerationResult:
    """What one generation gave."""

    part: GenerationPart
    samples: Mapping[str, Array]
    found: Calibrations
    starts: Mapping[str, Seconds]
    """Target → its own time until it was loaded and bound."""
    warm_up: Seconds
    """What this generation's took; that of later ones is shorter (`later_warm_up`)."""

    @property
    def later_warm_up(self) -> Seconds:
        """The last half of a warm-up lasts the span, so all of it about twice as long."""
        return sum(2 * settled.span for settled in self.found.values())
