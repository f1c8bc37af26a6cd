"""The form of the model that a runtime makes for itself: made once, kept in the cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import toolkit
from toolkit import __version__
from toolkit.machine import describe
from toolkit.onnxfiles import modelfile
from toolkit.records.schema import Conversion
from toolkit.runtimes import listing
from toolkit.runtimes.base import Program
from toolkit.sources import factory
from toolkit.tensors import Feed
from toolkit.workers import cache as kept
from toolkit.workers import managed
from toolkit.workers.environments import OWN, PythonEnvironment
from toolkit.workers.jobs import Hello, WorkerSpec
from toolkit.workers.launch import Worker


def converted(
    worker: Worker,
    hello: Hello,
    program: Program,
    feed: Feed,
    types: Mapping[str, str],
) -> tuple[Program, Conversion | None]:
    """The program with its converted form, for a runtime that converts; others have it as it is.

    `feed` is the first that will be timed. What is kept for later runs is what no hidden thing can
    change: an environment of the user's may hold another converter, and a user's factory may read
    what it likes; their forms go with the scratch space of the run. Raises TargetError
    where the runtime cannot convert it.
    """
    if not hello.converts:
        return program, None
    shelf = (
        managed.conversions()
        if _is_pinned(worker.job, hello, program)
        else worker.work / "converted"
    )
    folder = shelf / _key(worker.job, hello, program, feed)

    def make(place: Path) -> dict[str, float]:
        made = place / "model"
        made.mkdir()
        seconds = worker.convert(program, feed, types, made)
        return {"seconds": seconds, "size": kept.size(made)}

    facts, there = kept.made(folder, make)
    if there and kept.size(folder / "model") != facts["size"]:  # Somebody was there.
        kept.remove(folder)
        facts, there = kept.made(folder, make)
    fact = Conversion(seconds=facts["seconds"], size=facts["size"], kept=there)
    return replace(program, converted=folder / "model"), fact


def _is_pinned(job: WorkerSpec, hello: Hello, program: Program) -> bool:
    """Whether all that a conversion depends on stands in its key."""
    runtime, home = listing.facts(job.listed), job.environment
    if runtime is None or not isinstance(home, PythonEnvironment):
        return False
    own = home.name == OWN and not runtime.requirements
    if not own and not home.python.is_relative_to(managed.folder()):
        return False
    source = program.source if hello.starts_from == "source" else None
    return source is None or source.factory.startswith("toolkit.")


@cache
def _code() -> str:
    """Of all that takes part in a conversion: a file that changed makes them anew."""
    own = Path(toolkit.__file__).parent
    files = sorted(path for room in ("runtimes", "sources") for path in (own / room).rglob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def _key(job: WorkerSpec, hello: Hello, program: Program, feed: Feed) -> str:
    """All that the converted form depends on; code may be compiled for this very processor."""
    source = program.source if hello.starts_from == "source" else None
    parts = {
        "toolkit": __version__,
        "runtime": [job.listed.name, hello.version, hello.python],
        "target": [job.provider, dict(sorted(job.options.items())), program.threads],
        "model": None if program.model is None else modelfile.read(program.model).sha256,
        "source": None if source is None else [source.factory, factory.digest(source)],
        "feed": {name: [str(a.dtype), list(a.shape)] for name, a in feed.items()},
        "processor": describe.processor(),
        "pins": runtime.requirements if (runtime := listing.facts(job.listed)) else [],
        "code": _code(),
    }
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return f"{job.listed.name}-{digest[:24]}"
