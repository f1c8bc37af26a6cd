"""The values that pass between the parent and a worker: its spec, and its replies."""

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
    """The longest that one verb of one target may take."""

    verb: Seconds = 60.0
    """The time of a verb that only computes."""
    load: Seconds = 600.0
    """The time of an import, a conversion or a load."""

    def of(self, verb: str) -> Seconds:
        """The time that a verb has before its worker counts as hanging."""
        # An import, a load and the first calls, which `bind` makes, may compile or read from a slow
        # disk.
        return self.load if verb in ("hello", "convert", "load", "bind") else self.verb


@dataclass(frozen=True)
class WorkerSpec:
    """The runtime, environment and options that a worker is started for."""

    entry: RuntimeEntry
    environment: Environment
    provider: str
    options: Mapping[str, str]


@dataclass(frozen=True)
class Hello:
    """A worker's reply to `hello`: the library that it really imported."""

    version: str
    file: Path | None
    """The library's own file; None where it is toolkit itself."""
    python: str
    """The version of what runs the worker: a Python, or a Node."""
    seconds: Seconds
    """The time of the import."""
    precision: str
    """The precision that the runtime declares with these options."""
    providers: tuple[str, ...]
    """The providers that this library has."""
    starts_from: str
    """'model' or 'source': what the runtime loads."""
    empty: float
    """Nanoseconds that an empty interval shows in this worker."""
    converts: bool
    """The runtime makes a form of its own of the model before it loads it."""


@dataclass(frozen=True)
class Loaded:
    """A worker's reply to `load`."""

    seconds: Seconds
    placement: Placement
    copies: str
    """The copies that the timed call will hold, in words."""
    computes: frozenset[int] = frozenset()
    """Processes that compute in place of the worker's own: those of a browser."""


@dataclass(frozen=True)
class Block:
    """A block of timed calls."""

    ns: list[int]
    """The time of each call that counts."""
    start: int
    """Its start on the clock of time.perf_counter_ns, which all processes of a machine share."""
    switches: int
    """Involuntary context switches."""


def message(program: Program) -> Message:
    """The program as a message holds it (`protocol`)."""
    source = program.source
    return {
        "model": None if program.model is None else str(program.model),
        "inputs": [_spec(spec) for spec in program.inputs],
        "outputs": [_spec(spec) for spec in program.outputs],
        "threads": program.threads,
        "converted": None if program.converted is None else str(program.converted),
        "optimised": None if program.optimised is None else str(program.optimised),
        "external": {location: str(file) for location, file in program.external.items()},
        "source": None
        if source is None
        else {
            "factory": source.factory,
            "weights": None if source.weights is None else str(source.weights),
            "folder": None if source.folder is None else str(source.folder),
            "arguments": source.arguments,
        },
    }


def _spec(spec: TensorSpec) -> Message:
    shape = None if spec.shape is None else list(spec.shape)
    return {"name": spec.name, "type": spec.type, "shape": shape}
