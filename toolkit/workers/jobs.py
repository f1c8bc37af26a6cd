"""What a worker is started for, and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from toolkit.runtimes.base import Placement, Program
from toolkit.runtimes.listing import RuntimeEntry
from toolkit.tensors import TensorSpec
from toolkit.units import Seconds
from toolkit.workers.environments import Environment
from toolkit.workers.protocol import Message


@dataclass(frozen=True)
class Patience:
    """How long one verb of one target may take."""

    verb: Seconds = 60.0
    load: Seconds = 600.0

    def of(self, verb: str) -> Seconds:
        """The time that a verb has: an import, a load and the first calls, which `bind` makes, may
        compile or read from a slow disk."""
        return self.load if verb in ("hello", "convert", "load", "bind") else self.verb


@dataclass(frozen=True)
class WorkerSpec:
    """What a worker is started for."""

    listed: RuntimeEntry
    environment: Environment
    provider: str
    options: Mapping[str, str]


@dataclass(frozen=True)
class Hello:
    """Which library a worker really has."""

    version: str
    file: Path | None
    python: str
    seconds: Seconds
    precision: str
    providers: tuple[str, ...]
    starts_from: str
    empty: float
    """Nanoseconds that an empty interval shows."""
    converts: bool
    """It makes a form of its own of the model before it loads it."""


@dataclass(frozen=True)
class Loaded:
    """What a load gave."""

    seconds: Seconds
    placement: Placement
    copies: str
    computes: frozenset[int] = frozenset()
    """Processes that compute in place of the worker's own: those of a browser."""


@dataclass(frozen=True)
class Block:
    """A block of timed calls."""

    ns: list[int]
    start: int
    """On the clock of time.perf_counter_ns, which all processes of a Linux machine share."""
    switches: int
    """Involuntary context switches."""


def message(program: Program) -> Message:
    source = program.source
    return {
        "model": None if program.model is None else str(program.model),
        "inputs": [_spec(spec) for spec in program.inputs],
        "outputs": [_spec(spec) for spec in program.outputs],
        "threads": program.threads,
        "converted": None if program.converted is None else str(program.converted),
        "source": None
        if source is None
        else {
            "factory": source.factory,
            "weights": None if source.weights is None else str(source.weights),
            "folder": None if source.folder is None else str(source.folder),
        },
    }


def _spec(spec: TensorSpec) -> Message:
    shape = None if spec.shape is None else list(spec.shape)
    return {"name": spec.name, "type": spec.type, "shape": shape}
