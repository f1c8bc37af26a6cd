"""Which runtimes are here, and what they really run on: each is given a model of one Relu."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import onnx

from toolkit.answers import specialvalues
from toolkit.engine.conversion import converted
from toolkit.engine.unoptimised import program
from toolkit.errors import ToolkitError
from toolkit.runtimes import base, listing
from toolkit.runtimes.base import Program, RuntimeFacts
from toolkit.runtimes.listing import RuntimeEntry
from toolkit.sources import relu
from toolkit.units import Bytes
from toolkit.workers import environments, managed
from toolkit.workers.environments import OWN, Environment
from toolkit.workers.jobs import Hello, Patience, WorkerSpec
from toolkit.workers.launch import Worker

HIDDEN = ("fake",)
"""Runs nothing."""


@dataclass(frozen=True)
class Installation:
    """A runtime in one environment, or in none."""

    runtime: str
    environment: str
    """'own', the name of a managed one, or '' where it is installed nowhere."""
    recipe: str = ""
    """What `toolkit runtimes install` takes; empty where it makes none."""
    licence: str = ""
    size: Bytes | None = None
    """On disk: of a managed environment all of it, else of the library's own package."""


@dataclass(frozen=True)
class ProbeResult:
    """What a runtime showed."""

    place: Installation
    version: str = ""
    precision: str = ""
    works: tuple[str, ...] = ()
    """Providers that ran the model, with its answer right."""
    refused: tuple[tuple[str, str], ...] = ()
    """(provider, why not)."""
    fault: str = ""
    """Why the library itself does not answer."""


def places() -> list[Installation]:
    """Every runtime, wherever it is: toolkit's own environment first, then those that it made."""
    found = []
    for name in listing.names():
        if name in HIDDEN:
            continue
        found += [*_places(listing.find(name))]
    return found


def _places(listed: RuntimeEntry) -> Iterator[Installation]:
    runtime = listing.facts(listed)
    if runtime is None:
        yield Installation(listed.name, OWN)
        return
    somewhere = False
    if not runtime.requirements or managed.installed_here(runtime, base.providers(runtime)[0].name):
        somewhere = True
        yield Installation(runtime.name, OWN, licence=runtime.licence, size=_size_here(runtime))
    for one in managed.installed():
        if one.runtime == runtime.name:
            somewhere = True
            yield Installation(runtime.name, one.folder.name, one.name, runtime.licence, one.size)
    if not somewhere:
        yield Installation(runtime.name, "", runtime.name, runtime.licence)


def _size_here(runtime: type[RuntimeFacts]) -> Bytes | None:
    """Of the library's package in toolkit's own environment."""
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
        started = [(place, _started(place, worker_code, stack)) for place in here]
        for number, (place, worker) in enumerate(started):
            watch(number / len(started), place.runtime)
            done.append(_probed(place, worker, worker_code.parent))
    return [*done, *(ProbeResult(place) for place in wanted if not place.environment)]


def _started(place: Installation, worker_code: Path, stack: ExitStack) -> Worker | str:
    try:
        job = WorkerSpec(listing.find(place.runtime), _environment(place), "", {})
        worker = stack.enter_context(Worker(job, worker_code, patience=Patience()))
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
        reason = _tried(worker, hello, provider, work)
        if reason:
            refused.append((provider, reason))
        else:
            works.append(provider)
    worker.stop()
    return ProbeResult(place, hello.version, hello.precision, tuple(works), tuple(refused))


def _tried(worker: Worker, hello: Hello, provider: str, work: Path) -> str:
    """Empty where the provider ran the model and its answer is right; else why not."""
    feed = {specialvalues.INPUT: specialvalues.ORDINARY}
    try:
        ready, _ = converted(worker, hello, _relu(hello, work), feed, {})
        worker.post_load(ready, provider)
        worker.load()
        worker.bind("relu", feed, {})
        outputs, _ = worker.answer("relu")
    except ToolkitError as error:
        return error.what
    right = (outputs[specialvalues.OUTPUT] == specialvalues.ORDINARY.clip(0)).all()
    return "" if right else "its Relu is not max(0, x) for ordinary values"


def _relu(hello: Hello, work: Path) -> Program:
    file = work / "relu.onnx"
    model = specialvalues.models()["alone"]
    onnx.save_model(model, str(file))
    plain = program(file, model)
    source = relu.FORMS["alone"] if hello.starts_from == "source" else None
    return Program(plain.model, plain.inputs, plain.outputs, source)
