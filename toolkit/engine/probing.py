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
from toolkit.runtimes import base, listing
from toolkit.runtimes.base import RuntimeFacts
from toolkit.runtimes.listing import RuntimeEntry
from toolkit.units import Bytes
from toolkit.workers import cache, environments, managed, recipes
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


def installations() -> list[Installation]:
    """Every runtime, wherever it is: in toolkit's own environment first, then in those it made."""
    names = [name for name in listing.names() if name not in HIDDEN]
    return [each for name in names for each in _of_runtime(listing.find(name))]


def _of_runtime(entry: RuntimeEntry) -> list[Installation]:
    """The environments that hold a runtime; where none does, one entry without an environment."""
    runtime = listing.facts(entry)
    if runtime is None:  # A plug-in's code runs in a worker only: it is taken to be here.
        return [Installation(entry.name, OWN)]
    own = []
    if not runtime.requirements or managed.installed_here(runtime, base.providers(runtime)[0].name):
        size = _size_here(runtime)
        own = [Installation(runtime.name, OWN, licence=runtime.licence, size=size)]
    in_managed = [
        Installation(runtime.name, env.folder.name, env.name, runtime.licence, env.size)
        for env in managed.installed()
        if env.runtime == runtime.name and env.is_current
    ]
    nowhere = Installation(runtime.name, "", runtime.name, runtime.licence)
    return [*own, *in_managed] or [nowhere]


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
    """Runs a model of one Relu on every provider of every installation; imports go side by side."""
    installed = [each for each in wanted if each.environment]
    results = []
    with ExitStack() as stack:
        workers = [(each, _started(each, worker_code, stack)) for each in installed]
        for number, (installation, worker) in enumerate(workers):
            watch(number / len(workers), installation.runtime)
            results.append(_probed(installation, worker, worker_code.parent))
    return [*results, *(ProbeResult(each) for each in wanted if not each.environment)]


def _started(installation: Installation, worker_code: Path, stack: ExitStack) -> Worker | str:
    """A worker that imports its library, or why it cannot be started."""
    try:
        spec = WorkerSpec(listing.find(installation.runtime), _environment(installation), "", {})
        worker = stack.enter_context(Worker(spec, worker_code, patience=Patience()))
        worker.post_hello()
    except ToolkitError as error:
        return error.what
    return worker


def _environment(installation: Installation) -> Environment:
    if installation.environment == OWN:
        return environments.find(None)
    folder = recipes.folder() / installation.environment
    cache.use(folder)
    return environments.of(listing.find(installation.runtime), str(folder))


def _probed(installation: Installation, worker: Worker | str, work: Path) -> ProbeResult:
    if isinstance(worker, str):
        return ProbeResult(installation, fault=worker)
    try:
        hello = worker.hello()
    except ToolkitError as error:
        return ProbeResult(installation, fault=error.what)
    works, refused = [], []
    for provider in hello.providers:
        reason = _refusal(worker, hello, provider, work)
        if reason:
            refused.append((provider, reason))
        else:
            works.append(provider)
    worker.stop()
    return ProbeResult(installation, hello.version, hello.precision, tuple(works), tuple(refused))


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
