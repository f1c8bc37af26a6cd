"""Which runtimes are here, and what they really run on: each is given a model of one Relu."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import onnx

from toolkit.answers import card
from toolkit.engine.conversion import converted
from toolkit.engine.runner import program
from toolkit.errors import ToolkitError
from toolkit.runtimes import listing
from toolkit.runtimes.base import Facts, Program
from toolkit.runtimes.listing import Listed
from toolkit.sources import relu
from toolkit.units import Bytes
from toolkit.workers import environments, managed
from toolkit.workers.environments import OWN, Environment
from toolkit.workers.jobs import Hello, Job, Patience
from toolkit.workers.launch import Worker

HIDDEN = ("fake",)
"""Runs nothing."""


@dataclass(frozen=True)
class Place:
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
class Found:
    """What a runtime showed."""

    place: Place
    version: str = ""
    precision: str = ""
    works: tuple[str, ...] = ()
    """Providers that ran the model, with its answer right."""
    refused: tuple[tuple[str, str], ...] = ()
    """(provider, why not)."""
    fault: str = ""
    """Why the library itself does not answer."""


def places() -> list[Place]:
    """Every runtime, wherever it is: toolkit's own environment first, then those that it made."""
    found = []
    for name in listing.names():
        if name in HIDDEN:
            continue
        found += [*_places(listing.find(name))]
    return found


def _places(listed: Listed) -> Iterator[Place]:
    runtime = listing.facts(listed)
    if runtime is None:
        yield Place(listed.name, OWN)
        return
    somewhere = False
    if not runtime.requirements or managed.installed_here(runtime, runtime.providers[0]):
        somewhere = True
        yield Place(runtime.name, OWN, licence=runtime.licence, size=_size_here(runtime))
    for one in managed.installed():
        if one.runtime == runtime.name:
            somewhere = True
            yield Place(runtime.name, one.folder.name, one.name, runtime.licence, one.size)
    if not somewhere:
        yield Place(runtime.name, "", runtime.name, runtime.licence)


def _size_here(runtime: type[Facts]) -> Bytes | None:
    """Of the library's package in toolkit's own environment."""
    for name in runtime.distributions:
        try:
            files = importlib.metadata.files(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        paths = [Path(str(file.locate())) for file in files]
        return sum(path.stat().st_size for path in paths if path.is_file())
    return None


def probe(wanted: Sequence[Place], rooms: Path, watch: Callable[[float, str], None]) -> list[Found]:
    """Runs a model of one Relu on every provider of every place; imports go side by side."""
    here = [place for place in wanted if place.environment]
    done = []
    with ExitStack() as stack:
        started = [(place, _started(place, rooms, stack)) for place in here]
        for number, (place, worker) in enumerate(started):
            watch(number / len(started), place.runtime)
            done.append(_probed(place, worker, rooms.parent))
    return [*done, *(Found(place) for place in wanted if not place.environment)]


def _started(place: Place, rooms: Path, stack: ExitStack) -> Worker | str:
    try:
        job = Job(listing.find(place.runtime), _environment(place), "", {})
        worker = stack.enter_context(Worker(job, rooms, patience=Patience()))
        worker.post_hello()
    except ToolkitError as error:
        return error.what
    return worker


def _environment(place: Place) -> Environment:
    if place.environment == OWN:
        return environments.find(None)
    folder = managed.folder() / place.environment
    return environments.of(listing.find(place.runtime), str(folder))


def _probed(place: Place, worker: Worker | str, work: Path) -> Found:
    if isinstance(worker, str):
        return Found(place, fault=worker)
    try:
        hello = worker.hello()
    except ToolkitError as error:
        return Found(place, fault=error.what)
    works, refused = [], []
    for provider in hello.providers:
        reason = _tried(worker, hello, provider, work)
        if reason:
            refused.append((provider, reason))
        else:
            works.append(provider)
    worker.stop()
    return Found(place, hello.version, hello.precision, tuple(works), tuple(refused))


def _tried(worker: Worker, hello: Hello, provider: str, work: Path) -> str:
    """Empty where the provider ran the model and its answer is right; else why not."""
    feed = {card.INPUT: card.ORDINARY}
    try:
        ready, _ = converted(worker, hello, _relu(hello, work), feed, {})
        worker.post_load(ready, provider)
        worker.load()
        worker.bind("relu", feed, {})
        outputs, _ = worker.answer("relu")
    except ToolkitError as error:
        return error.what
    right = (outputs[card.OUTPUT] == card.ORDINARY.clip(0)).all()
    return "" if right else "its Relu is not max(0, x) for ordinary values"


def _relu(hello: Hello, work: Path) -> Program:
    file = work / "relu.onnx"
    model = card.models()["alone"]
    onnx.save_model(model, str(file))
    plain = program(file, model)
    source = relu.FORMS["alone"] if hello.starts_from == "source" else None
    return Program(plain.model, plain.inputs, plain.outputs, source)
