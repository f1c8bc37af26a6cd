"""The contract of a runtime: one class in one file.

Rules, cited in the code of the worker and of the contract test:

R1  At module level a runtime's file imports only the standard library, numpy, toolkit's rooms from
    `errors` to `workers`, and itself. The library is imported inside the methods.
R2  A provider that was asked for runs, or `load` raises TargetError. There is no fall-back.
R3  Precision is declared: float32 unless an option asks for another, whatever is the default.
R4  The thread limit of the program is honoured by the library's own switch.
R5  What is judged is what is timed: `Call.run` is the one function that is timed and judged.
R6  A feed with a missing, unknown, mistyped or misshaped input raises; it is never cast or padded.
R7  Nothing phones home: what must be set before the library is imported stands in `environment`.
R8  What cannot load an .onnx as it is has a method `convert`; the parent keeps what that made, by
    the hash of the model, the library's version and the options.
R9  A feed of a shape that the library cannot take, though the model can, raises ShapeRefused in
    `bind`: the target is then judged at the shapes that it takes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np

from toolkit.errors import TargetError, unknown
from toolkit.sources.source import Source
from toolkit.tensors import BITS, Array, Dim, Feed, TensorSpec, dtype_of


@dataclass(frozen=True)
class Program:
    """What a runtime is given to load."""

    model: Path | None
    """The .onnx file, with its external data beside it. None for a Python target without a file."""
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    source: Source | None = None
    """The PyTorch source, where it is known: some runtimes start from it."""
    threads: int = 1
    converted: Path | None = None
    """The folder that the runtime's `convert` filled (R8)."""


@dataclass(frozen=True)
class Option:
    """One option of a runtime, as `key=value` in a target."""

    default: str
    help: str
    choices: tuple[str, ...] = ()
    """The values allowed; empty: any."""


@dataclass(frozen=True)
class Placement:
    """Which provider ran which nodes of the graph."""

    nodes: Mapping[str, int]
    """Provider → number of nodes. One entry where the runtime has no notion of placement."""
    elsewhere: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Provider other than the one asked for → the operators of the nodes it took."""
    copies: int | None = None
    """Copies between devices in one run; None: unknown."""


@dataclass(frozen=True)
class Moves:
    """The copies between numpy's arrays and the runtime that `Call.run` makes, each alone."""

    into: Callable[[], Any] | None = None
    """Copies the inputs; None: the call copies none."""
    out: Callable[[], Any] | None = None
    """Copies the outputs of a run that was; None: the call copies none."""


@dataclass(frozen=True)
class Call:
    """One feed bound to a session: a function to time, and what it leaves behind (rule R5).

    `run` returns when the work is done: on a device it waits for it.
    """

    run: Callable[[], Any]
    outputs: Callable[[Any], Mapping[str, Array]]
    """From what `run` returned to named arrays, in the order of the program's outputs."""
    forget: Callable[[], None] = lambda: None
    """Overwrites output buffers that outlive a call, so that a call that writes nothing is seen."""
    moves: Moves | None = None
    """None: the copies cannot be made apart from the call."""
    changed: Callable[[], Sequence[str]] = lambda: ()
    """The inputs that its runs have written into, where the call reads them from tensors of its
    own."""
    clock: Callable[[], int] = time.perf_counter_ns
    """Nanoseconds. Only the `fake` runtime has another one."""


class Session(Protocol):
    """A loaded program. Owns its buffers; `close` frees them."""

    def bind(self, feed: Feed) -> Call:
        """Makes the call for one feed. Raises TargetError for a feed that does not fit (R6)."""

    def placement(self) -> Placement:
        """Where the nodes ran."""

    def output_types(self) -> Mapping[str, str]:
        """ONNX types of the outputs whose numpy type does not tell (bfloat16 …); may be empty."""

    def copies(self) -> str:
        """Which copies lie inside the timed call, in words."""

    def close(self) -> None: ...


class RuntimeFacts(Protocol):
    """What is known of a runtime before it is started: all that toolkit has of one whose worker is
    not written in Python."""

    name: ClassVar[str]
    """As the user types it."""
    distributions: ClassVar[tuple[str, ...]]
    """The packages on the index that bring it, each with its default first."""
    requirements: ClassVar[tuple[str, ...]]
    """What an environment made for it holds, each pinned as pip takes it, the runtime's own package
    first: 'openvino==2026.4.0'; those of npm are in a lock file. Options of pip may stand at the
    end. Empty: it is in toolkit's own environment or nowhere."""
    provider_requirements: ClassVar[Mapping[str, tuple[str, ...]]]
    """Provider → the same for a provider that comes in a package of its own."""
    licence: ClassVar[str]
    """The library's, by its SPDX identifier."""
    module: ClassVar[str]
    """The module whose presence tells that it is installed."""
    providers: ClassVar[tuple[str, ...]]
    """What it can run on; the first is the default."""
    starts_from: ClassVar[Literal["model", "source"]]
    options: ClassVar[Mapping[str, Option]]
    variants: ClassVar[tuple[Mapping[str, str], ...]]
    """The options with which `--all` measures it, a target each."""
    environment: ClassVar[Mapping[str, str]]
    """Variables of its worker (R7)."""

    def precision(self, options: Mapping[str, str]) -> str:
        """What it declares to compute in with these options (R3): 'float32' …"""


class Runtime(RuntimeFacts, Protocol):
    """A library that runs a model."""

    def version(self) -> str:
        """The library's version. The import of the library happens here."""

    def library(self) -> Path | None:
        """The file that the library was imported from; None where toolkit itself is the library."""

    def load(self, program: Program, provider: str, options: Mapping[str, str]) -> Session:
        """Loads it. Raises TargetError where provider, operator or option is refused (R2)."""


@runtime_checkable
class Converting(Protocol):
    """A runtime that makes a form of its own of the model first (R8)."""

    def convert(
        self, program: Program, feed: Feed, options: Mapping[str, str], folder: Path
    ) -> None:
        """Fills the empty `folder` with what `load` takes as `program.converted`.

        `feed` is the first that will be timed: an example of the inputs. What is written must hold
        for the program's dynamic dimensions where the library can. Raises TargetError.
        """


@runtime_checkable
class SometimesConverting(Converting, Protocol):
    """A runtime that makes a form of its own with some of its options only."""

    def converts(self, options: Mapping[str, str]) -> bool:
        """Whether these options ask for it."""


def converts(runtime: Runtime, options: Mapping[str, str]) -> bool:
    """Whether the runtime makes a form of its own of the model with these options (R8)."""
    if isinstance(runtime, SometimesConverting):
        return runtime.converts(options)
    return isinstance(runtime, Converting)


def known_source(program: Program, runtime: str) -> Source:
    """The PyTorch source, for a runtime that starts from it.

    Raises TargetError where there is only the file.
    """
    if program.source is None:
        raise TargetError(f"{runtime} starts from the PyTorch source, which is not known")
    return program.source


def settings(runtime: type[RuntimeFacts], given: Mapping[str, str]) -> dict[str, str]:
    """All options of a runtime with the user's values over the defaults.

    Raises TargetError for an unknown option or value.
    """
    for key, value in given.items():
        if key not in runtime.options:
            raise TargetError(unknown(f"option of {runtime.name}", key, runtime.options))
        choices = runtime.options[key].choices
        if choices and value not in choices:
            raise TargetError(unknown(f"value of {runtime.name}'s option {key}", value, choices))
    return {key: given.get(key, option.default) for key, option in runtime.options.items()}


def check_provider(runtime: type[RuntimeFacts], asked: str) -> None:
    """Rule R2, for every runtime alike: one that has a single provider looks at no name.

    Raises TargetError for a provider that the runtime does not have.
    """
    if asked not in runtime.providers:
        raise TargetError(unknown(f"provider of {runtime.name}", asked, runtime.providers))


def check_types(program: Program, runtime: str) -> None:
    """For a runtime that is handed numpy's own types of number and no others.

    Raises TargetError that names the tensor.
    """
    for spec in (*program.inputs, *program.outputs):
        if spec.type in (*BITS, "string"):
            raise TargetError(f"{runtime} is not fed {spec.type} here ({spec.name!r})")


def check_feed(program: Program, feed: Feed) -> None:
    """Rule R6, for every runtime alike: several bind by position, cast or read out of bounds.

    Raises TargetError that names the input.
    """
    expected = {spec.name: spec for spec in program.inputs}
    if missing := [name for name in expected if name not in feed]:
        raise TargetError(f"the feed lacks the input {missing[0]!r}")
    if strange := [name for name in feed if name not in expected]:
        raise TargetError(unknown("input", strange[0], expected))
    for name, spec in expected.items():
        array = feed[name]
        wanted = dtype_of(spec.type)
        if array.dtype != wanted and not (wanted.kind == "U" and array.dtype.kind == "U"):
            raise TargetError(f"input {name!r} takes {spec.type}, the feed has {array.dtype.name}")
        if spec.shape is not None and not _fits(spec.shape, array.shape):
            raise TargetError(f"input {name!r} takes {spec.shape}, the feed has {array.shape}")


def _fits(shape: tuple[Dim, ...], found: tuple[int, ...]) -> bool:
    return len(shape) == len(found) and all(
        not isinstance(size, int) or size == actual
        for size, actual in zip(shape, found, strict=True)
    )


def unlikely(dtype: np.dtype[Any]) -> Any:
    """A value that hardly any model gives, for `Call.forget`: NaN, the largest integer, True."""
    if dtype.kind == "b":
        return True
    return np.nan if dtype.kind in "fc" else np.iinfo(dtype).max
