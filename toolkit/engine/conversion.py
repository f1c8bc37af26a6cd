"""Loads a program into a worker, in the runtime's own form where the runtime makes one.

Such a form is made once and kept: in the user's cache for all later runs where its key holds all
that it depends on, else in the scratch space of the run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache as once
from pathlib import Path
from typing import Any

import toolkit
from toolkit import __version__
from toolkit.machine import describe
from toolkit.onnxfiles import filestates, modelfile
from toolkit.onnxfiles.modelfile import ModelFile
from toolkit.records.schema import Conversion
from toolkit.runtimes import listing
from toolkit.runtimes.base import Program
from toolkit.sources import factory
from toolkit.tensors import Feed
from toolkit.units import Seconds
from toolkit.workers import cache, managed, recipes
from toolkit.workers.environments import OWN, PythonEnvironment
from toolkit.workers.jobs import Hello, Loaded, WorkerSpec
from toolkit.workers.launch import Worker

FORM = "model"
"""The folder of the form itself, inside the cached one: the cache's own mark lies beside it."""


@dataclass(frozen=True)
class LoadedProgram:
    """A program that a worker holds."""

    program: Program
    """The program as it was loaded: with its converted form, where the runtime makes one."""
    reply: Loaded
    conversion: Conversion | None


def load(
    worker: Worker, hello: Hello, program: Program, first: Feed, provider: str | None = None
) -> LoadedProgram:
    """Converts the program where the runtime converts, and loads it.

    `first` is the first feed that it will be given; `provider` another one than the worker's own.
    Raises TargetError where the runtime cannot do one of the two.
    """
    ready, conversion = converted(worker, hello, program, first)
    return LoadedProgram(ready, worker.load_program(ready, provider), conversion)


def converted(
    worker: Worker, hello: Hello, program: Program, first: Feed
) -> tuple[Program, Conversion | None]:
    """The program with its converted form, for a runtime that converts; others get it as it is.

    Raises TargetError where the runtime cannot convert it, InputError where the file changed
    meanwhile.
    """
    if not hello.converts:
        return program, None
    types = {spec.name: spec.type for spec in program.inputs}
    file = None if program.model is None else modelfile.read(program.model)

    def convert(folder: Path) -> Seconds:
        # A form of another file than its key names would be kept for all later runs.
        with filestates.unchanged([] if file is None else file.states):
            return worker.convert(program, first, types, folder)

    is_pinned = _is_pinned(worker.spec, hello, program)
    shelf = managed.conversions() if is_pinned else worker.work / "converted"
    folder = shelf / _key(worker.spec, hello, program, file, first)
    facts, was_kept = _made(folder, convert)
    conversion = Conversion(seconds=facts["seconds"], size=facts["size"], kept=was_kept)
    return replace(program, converted=folder / FORM), conversion


def _made(folder: Path, convert: Callable[[Path], Seconds]) -> tuple[dict[str, Any], bool]:
    """Makes the form where it is not there yet; returns its facts, and whether it was there."""

    def make(fresh: Path) -> dict[str, Any]:
        form = fresh / FORM
        form.mkdir()
        seconds = convert(form)
        return {"seconds": seconds, "size": cache.size(form)}

    facts, was_kept = cache.made(folder, make)
    if was_kept and cache.size(folder / FORM) != facts["size"]:
        # The cached form was modified since: rebuild it.
        cache.remove(folder)
        facts, was_kept = cache.made(folder, make)
    return facts, was_kept


def _is_pinned(spec: WorkerSpec, hello: Hello, program: Program) -> bool:
    """True where all that a conversion depends on stands in its key.

    An environment of the user's may hold another converter, and a user's factory may read what it
    likes.
    """
    runtime, home = listing.facts(spec.entry), spec.environment
    if runtime is None or not isinstance(home, PythonEnvironment):
        return False
    # A runtime with pins may stand in toolkit's own environment in any version of them.
    is_ours = home.name == OWN and not runtime.requirements
    if not is_ours and not home.python.is_relative_to(recipes.folder()):
        return False
    source = program.source if hello.starts_from == "source" else None
    return source is None or source.factory.startswith("toolkit.")


@once
def _code() -> str:
    """The digest of our own code that takes part in conversions: a change makes all forms anew."""
    package = Path(toolkit.__file__).parent
    rooms = (package / "runtimes", package / "sources")
    files = sorted(path for room in rooms for path in room.rglob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def _key(
    spec: WorkerSpec, hello: Hello, program: Program, file: ModelFile | None, first: Feed
) -> str:
    """The name of the folder of a form: a digest of all that the form depends on."""
    source = program.source if hello.starts_from == "source" else None
    made = managed.holding(spec.environment)
    parts = {
        "toolkit": __version__,
        "runtime": [spec.entry.name, hello.version, hello.python],
        "target": [spec.provider, dict(sorted(spec.options.items())), program.threads],
        "model": None if file is None else file.sha256,
        "source": None if source is None else [source.factory, factory.digest(source)],
        "feed": {name: [str(a.dtype), list(a.shape)] for name, a in first.items()},
        "processor": describe.processor(),  # Code may be compiled for this very processor.
        "lock": "" if made is None else [made.lock, *made.unhashed],
        "code": _code(),
    }
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return f"{spec.entry.name}-{digest[:24]}"
