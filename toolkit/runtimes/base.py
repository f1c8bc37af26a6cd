"""The contract of a runtime: one class in one file, and a session for each program that it loads.

A class derives from `Runtime`, or from `RuntimeFacts` where its worker is not written in Python,
and a session from `Session`. What a library has in common with most others is a default there.

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
R10 A session serves several feeds, of several shapes, in turns: one is bound, then another, then
    the first is called again, and what each call left is its own.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, cast

import numpy as np

from toolkit.errors import TargetError, unknown
from toolkit.sources.source import Source
from toolkit.tensors import BITS, Array, Dim, Feed, TensorSpec, dtype_of


@dataclass(frozen=True)
class Program:
    """A model as a runtime is given it to load."""

    model: Path | None
    """The .onnx file, with its external data beside it. None for a Python target without a file."""
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    source: Source | None = None
    """The PyTorch source, where it is known: some runtimes start from it."""
    threads: int = 1
    converted: Path | None = None
    """The folder that the runtime's `convert` filled (R8)."""
    external: Mapping[str, Path] = field(default_factory=dict)
    """The files of external data: the location that the model names → the file. They were looked at
    when the model was read as untrusted input: a worker opens these by itself, and no others."""
    optimised: Path | None = None
    """The file, in a folder of its own, into which the runtime shall write the graph that its
    optimizer leaves, with large weights beside it; only where it `writes_optimised`."""


@dataclass(frozen=True)
class Option:
    """One option of a runtime, as `key=value` in a target."""

    default: str
    help: str
    choices: tuple[str, ...] = ()
    """The values allowed; empty: any."""


@dataclass(frozen=True)
class Provider:
    """A kind of device that a runtime computes on, with what a measurement must know of it.

    The parent reads these facts without importing the library, so a new accelerator is described
    in the file of its runtime and nowhere else.
    """

    name: str
    """As the user types it behind the colon of a target: 'cuda'."""
    accelerator: Literal["none", "nvidia", "gpu", "other"] = "none"
    """The device that must be here: none but the processor, an NVIDIA GPU with its driver, a
    graphics adapter of any maker, or one that `device_files` show. The number of threads makes
    nothing faster but the processor."""
    device_files: tuple[str, ...] = ()
    """Patterns of absolute paths; one of them exists where an accelerator of the kind 'other' is:
    '/dev/accel/accel*'."""
    device_option: str = ""
    """The option that holds the number of the NVIDIA GPU; empty: it is always the first."""
    compiles_while_running: bool = False
    """Its code is compiled while it runs, and again when it has run often: every process start
    warms up as long as the first one did."""
    requirements: tuple[str, ...] = ()
    """The pins of its environment, where it comes in a package of its own; empty: those of the
    runtime."""
    explained_by_doctor: bool = False
    """Its library tells on the log alone why it did not start, and the doctor's examination of CUDA
    finds the cause. Only ONNX Runtime's CUDA is examined so."""


CPU = Provider("cpu")
CUDA = Provider("cuda", accelerator="nvidia", device_option="device")
WASM = Provider("wasm", compiles_while_running=True)
WEBGPU = Provider("webgpu", accelerator="gpu", compiles_while_running=True)

WELL_KNOWN: Mapping[str, Provider] = {known.name: known for known in (CPU, CUDA, WASM, WEBGPU)}
"""The providers that a plug-in may give by their name alone: the parent does not import its class,
and before there was `Provider` a class listed names."""


@dataclass(frozen=True)
class Placement:
    """The providers that ran the nodes of a graph."""

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
    moves: Moves | Callable[[], Moves | None] | None = None
    """None: the copies cannot be made apart from the call. A function where buffers must be filled
    first, which takes a call: it is asked once the copies are to be timed, and may give None."""
    changed: Callable[[], Sequence[str]] = lambda: ()
    """The inputs that its runs have written into, where the call reads them from tensors of its
    own."""
    clock: Callable[[], int] = time.perf_counter_ns
    """Nanoseconds. Only the `fake` runtime has another one."""


class Session(Protocol):
    """A loaded program, which owns its buffers. Derive from it: all but `bind` have defaults."""

    def bind(self, feed: Feed) -> Call:
        """Makes the call for one feed, which the worker has compared with the program (R6).

        Raises ShapeRefused for a shape that the library cannot take (R9), and TargetError for
        anything else that it cannot.
        """

    def placement(self) -> Placement:
        """Tells where the nodes ran; the default: on one device, which does not list them."""
        return Placement({}, copies=0)

    def output_types(self) -> Mapping[str, str]:
        """Gives the ONNX types of those outputs whose numpy type does not tell (bfloat16 …)."""
        return {}

    def copies(self) -> str:
        """Says in words which copies lie inside the timed call."""
        return "numpy arrays in, new numpy arrays out"

    def close(self) -> None:
        """Removes what would outlive the process, such as files. The process ends next, without
        its destructors: memory need not be freed."""
        return


class RuntimeFacts(Protocol):
    """The facts of a runtime that are known before it is started. A runtime whose worker is not
    written in Python has these alone."""

    name: ClassVar[str]
    """As the user types it."""
    licence: ClassVar[str]
    """The library's, by its SPDX identifier."""
    module: ClassVar[str]
    """The module whose presence tells that it is installed."""
    distributions: ClassVar[tuple[str, ...]] = ()
    """The packages on the index that bring it, the usual one first."""
    requirements: ClassVar[tuple[str, ...]] = ()
    """The packages of an environment made for it, each pinned as pip takes it, the runtime's own
    package first: 'openvino==2026.4.0'. `make locks` compiles them, with what they bring along,
    into a lock file; those of npm have npm's. Options of pip may stand at the end. Empty: it is in
    toolkit's own environment or nowhere."""
    providers: ClassVar[tuple[Provider | str, ...]] = (CPU,)
    """The providers that it has, the default first. A name alone stands for one of WELL_KNOWN, or
    for another provider of the processor."""
    starts_from: ClassVar[Literal["model", "source"]] = "model"
    """It loads the .onnx file, or builds the PyTorch source."""
    writes_optimised: ClassVar[bool] = False
    """It can write the graph that its optimizer leaves (`Program.optimised`)."""
    options: ClassVar[Mapping[str, Option]] = {}
    variants: ClassVar[tuple[Mapping[str, str], ...]] = ({},)
    """The options with which `--all` measures it, a target each."""
    environment: ClassVar[Mapping[str, str]] = {}
    """Variables of its worker, whatever the options are (R7)."""

    def environment_for(self, options: Mapping[str, str]) -> Mapping[str, str]:
        """Gives the variables of a worker with these options, set before the library is imported.

        A worker in JavaScript is given those of the default options.
        """
        return self.environment

    def precision(self, options: Mapping[str, str]) -> str:
        """Declares what it computes in with these options (R3): 'float32' …"""
        return "float32"


class Runtime(RuntimeFacts, Protocol):
    """A library that runs a model, in a worker written in Python. Derive from it: all but `load`
    have defaults."""

    warm_calls: ClassVar[int] = 0
    """Calls that the worker makes of every feed that it bound, before any is judged or timed: 2
    where a library records its first call and compiles the second. What they raise refuses the
    feed's shape (R9)."""

    def version(self) -> str:
        """Imports the library and gives its version; empty: it does not say.

        The default is the module's `__version__`, else the version of the package that is there.
        """
        module = importlib.import_module(self.module)
        return str(getattr(module, "__version__", "")) or _distributed(self.distributions)

    def library(self) -> Path | None:
        """Gives the file that the library was imported from; None where toolkit is the library."""
        return Path(str(importlib.import_module(self.module).__file__))

    def load(self, program: Program, provider: str, options: Mapping[str, str]) -> Session:
        """Loads it. Raises TargetError where provider, operator or option is refused (R2)."""

    def converts(self, options: Mapping[str, str]) -> bool:
        """Tells whether it makes a form of its own of the model with these options first (R8); the
        default: with any, where it has a `convert`."""
        return type(self).convert is not Runtime.convert

    def convert(
        self, program: Program, feed: Feed, options: Mapping[str, str], folder: Path
    ) -> None:
        """Fills the empty `folder` with what `load` takes as `program.converted` (R8).

        `feed` is the first that will be timed: an example of the inputs. What is written must hold
        for the program's dynamic dimensions where the library can. Raises TargetError.
        """
        raise TargetError(f"{self.name} makes no form of its own of a model")


def _distributed(distributions: Sequence[str]) -> str:
    """The version of the first of these packages that is installed; empty where none is."""
    for distribution in distributions:
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return ""


def completed(runtime: type[Any]) -> type[Runtime]:
    """A runtime's class with the defaults of `Runtime` for what it leaves out.

    A plug-in may be older than a part of the contract, and derive from nothing of ours.
    """
    if Runtime in runtime.__mro__:
        return cast(type[Runtime], runtime)
    return cast(type[Runtime], type(runtime.__name__, (runtime, Runtime), {}))


def providers(runtime: type[RuntimeFacts]) -> tuple[Provider, ...]:
    """All that a runtime can run on, the default first, with their facts."""
    return tuple(
        WELL_KNOWN.get(provider, Provider(provider)) if isinstance(provider, str) else provider
        for provider in runtime.providers
    )


def provider_names(runtime: type[RuntimeFacts]) -> list[str]:
    """The names of all that a runtime can run on, the default first."""
    return [provider.name for provider in providers(runtime)]


def known_source(program: Program, runtime: str) -> Source:
    """The PyTorch source, for a runtime that starts from it.

    Raises TargetError where there is only the file.
    """
    if program.source is None:
        raise TargetError(
            f"{runtime} starts from the PyTorch source, which is not known",
            "--source FILE.py:NAME    names the module that the file was made from",
        )
    return program.source


def settings(runtime: type[RuntimeFacts], chosen: Mapping[str, str]) -> dict[str, str]:
    """All options of a runtime with the user's values over the defaults.

    Raises TargetError for an unknown option or value.
    """
    for key, value in chosen.items():
        if key not in runtime.options:
            raise TargetError(unknown(f"option of {runtime.name}", key, runtime.options))
        choices = runtime.options[key].choices
        if choices and value not in choices:
            raise TargetError(unknown(f"value of {runtime.name}'s option {key}", value, choices))
    return {key: chosen.get(key, option.default) for key, option in runtime.options.items()}


def check_provider(runtime: type[RuntimeFacts], asked: str) -> None:
    """Rule R2, for every runtime alike: one that has a single provider looks at no name.

    Raises TargetError for a provider that the runtime does not have.
    """
    names = provider_names(runtime)
    if asked not in names:
        raise TargetError(unknown(f"provider of {runtime.name}", asked, names))


def check_types(program: Program, runtime: str, *, strings: bool = False) -> None:
    """Refuses the types that numpy has not, and strings unless `strings` says that they are taken:
    for a library that is handed numpy's own types and no others.

    Raises TargetError that names the tensor.
    """
    for spec in (*program.inputs, *program.outputs):
        if spec.type in BITS or (spec.type == "string" and not strings):
            raise TargetError(f"{runtime} is not fed {spec.type} here ({spec.name!r})")


def check_feed(program: Program, feed: Feed) -> None:
    """Rule R6, for every runtime alike: several bind by position, cast or read out of bounds.

    Raises TargetError that names the input.
    """
    specs = {spec.name: spec for spec in program.inputs}
    if missing := [name for name in specs if name not in feed]:
        raise TargetError(f"the feed lacks the input {missing[0]!r}")
    if needless := [name for name in feed if name not in specs]:
        raise TargetError(unknown("input", needless[0], specs))
    for name, spec in specs.items():
        array, dtype = feed[name], dtype_of(spec.type)
        if array.dtype != dtype and not (dtype.kind == "U" and array.dtype.kind == "U"):
            raise TargetError(f"input {name!r} takes {spec.type}, the feed has {array.dtype.name}")
        if spec.shape is not None and not _fits(spec.shape, array.shape):
            raise TargetError(f"input {name!r} takes {spec.shape}, the feed has {array.shape}")


def _fits(dims: tuple[Dim, ...], shape: tuple[int, ...]) -> bool:
    return len(dims) == len(shape) and all(
        not isinstance(dim, int) or dim == size for dim, size in zip(dims, shape, strict=True)
    )


def shapes_of(feed: Feed) -> str:
    """The shapes of a feed, for the text of an error: 'ids (1, 16), mask (1, 16)'."""
    return ", ".join(f"{name} {array.shape}" for name, array in feed.items())


def unlikely(dtype: np.dtype[Any]) -> Any:
    """A value that hardly any model gives, for `Call.forget`: NaN, the largest integer, True."""
    if dtype.kind == "b":
        return True
    return np.nan if dtype.kind in "fc" else np.iinfo(dtype).max
