"""Finds the runtimes that are here, and what they really run on: each is given one Relu."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from toolkit.answers import specialvalues
from toolkit.engine import conversion, relu
from toolkit.errors import ToolkitError
from toolkit.runtimes import listing
from toolkit.runtimes.base import RuntimeFacts
from toolkit.runtimes.listing import RuntimeEntry
from toolkit.units import Bytes
from toolkit.workers import environments, managed
from toolkit.workers.environments import OWN, Environment
from toolkit.workers.jobs import Hello, Patience, WorkerSpec
from toolkit.workers.launch import Worker

HIDDEN = ("fake",)
"""Runtimes that run nothing: they are for tests."""


@dataclass(frozen=True)
class Installation:
    """A runtime in one environment, or in none."""

    runtime: str
    environment: str
    """'own', the name of a managed one, or '' where the runtime is installed nowhere."""
    recipe: str = ""
    """The name that `toolkit runtimes install` takes; empty where it makes no environment."""
    licence: str = ""
    size: Bytes | None = None
    """Bytes on disk: those of a whole managed environment, else of the library's own package."""


@dataclass(frozen=True)
class ProbeResult:
    """All that a runtime showed in one environment."""

    place: Installation
    version: str = ""
    precision: str = ""
    works: tuple[str, ...] = ()
    """Providers that ran the model, with its answer right."""
    refused: tuple[tuple[str, str], ...] = ()
    """(provider, why not)."""
    fault: str = ""
    """The reason why the library itself does not answer; empty where it does."""


def places() -> list[Installation]:
    """Every runtime, wherever it is: in toolkit's own environment first, then in those it made."""
    names = [name for name in listing.names() if name not in HIDDEN]
    return [place for name in names for place in _places(listing.find(name))]


def _places(entry: RuntimeEntry) -> list[Installation]:
    """The environments that hold a runtime; where none does, one entry without an environment."""
    runtime = listing.facts(entry)
    if runtime is None:  # A plug-in's code runs in a worker only: it is taken to be here.
        return [Installation(entry.name, OWN)]
    own = []
    if not runtime.requirements or managed.installed_here(runtime, runtime.providers[0]):
        size = _size_here(runtime)
        own = [Installation(runtime.name, OWN, licence=runtime.licence, size=size)]
    made = [
        Installation(runtime.name, env.folder.name, env.name, runtime.licence, env.size)
        for env in managed.installed()
        if env.runtime == runtime.name
    ]
    nowhere = Installation(runtime.name, "", runtime.name, runtime.licence)
    return [*own, *made] or [nowhere]


def _size_here(runtime: type[RuntimeFacts]) -> Bytes | None:
    """The size of the library's package in toolkit's own environment."""
    for name in runtime.distributions:
        try:
            files = importlib.metadata.files(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        paths = [Path(str(file.locate())) for file in files]
        return sum(path.stat().st_size for path in paths if path.is_file())
    return None


def probe(
    wanted: Sequence[Installation], worker_code: Path, watch: Callable[[float, str], None]
) -> list[ProbeResult]:
    """Runs a model of one Relu on every provider of every place; imports go side by side."""
    here = [place for place in wanted if place.environment]
    done = []
    with ExitStack() as stack:
        workers = [(place, _started(place, worker_code, stack)) for place in here]
        for number, (place, worker) in enumerate(workers):
            watch(number / len(workers), place.runtime)
            done.append(_probed(place, worker, worker_code.parent))
    return [*done, *(ProbeResult(place) for place in wanted if not place.environment)]


def _started(place: Installation, worker_code: Path, stack: ExitStack) -> Worker | str:
    """A worker that imports its library, or why it cannot be started."""
    try:
        spec = WorkerSpec(listing.find(place.runtime), _environment(place), "", {})
        worker = stack.enter_context(Worker(spec, worker_code, patience=Patience()))
        worker.post_hello()
    except ToolkitError as error:
        return error.what
    return worker


def _environment(place: Installation) -> Environment:
    if place.environment == OWN:
        return environments.find(None)
    folder = managed.folder() / place.environment
    return environments.of(listing.find(place.runtime), str(folder))


def _probed(place: Installation, worker: Worker | str, work: Path) -> ProbeResult:
    if isinstance(worker, str):
        return ProbeResult(place, fault=worker)
    try:
        hello = worker.hello()
    except ToolkitError as error:
        return ProbeResult(place, fault=error.what)
    works, refused = [], []
    for provider in hello.providers:
        reason = _refusal(worker, hello, provider, work)
        if reason:
            refused.append((provider, reason))
        else:
            works.append(provider)
    worker.stop()
    return ProbeResult(place, hello.version, hello.precision, tuple(works), tuple(refused))


def _refusal(worker: Worker, hello: Hello, provider: str, work: Path) -> str:
    """Runs the model on a provider; returns why it does not work there, '' where it does."""
    feed = {specialvalues.INPUT: specialvalues.ORDINARY}
    try:
        conversion.load(worker, hello, relu.program("alone", hello, work), feed, provider)
        outputs = worker.evaluate("relu", feed, {})
    except ToolkitError as error:
        return error.what
    is_right = (outputs[specialvalues.OUTPUT] == specialvalues.ORDINARY.clip(0)).all()
    return "" if is_right else "its Relu is not max(0, x) for ordinary values"
