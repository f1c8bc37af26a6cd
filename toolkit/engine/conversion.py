"""The form of the model that a runtime makes for itself: made once, kept in the cache."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from toolkit import __version__, onnxfile
from toolkit.records import machine
from toolkit.records.schema import Conversion
from toolkit.runtimes import listing
from toolkit.runtimes.base import Program
from toolkit.runtimes.listing import Listed
from toolkit.sources import factory
from toolkit.tensors import Feed
from toolkit.workers import cache
from toolkit.workers.jobs import Hello, Job
from toolkit.workers.launch import Worker


def converted(
    worker: Worker, hello: Hello, program: Program, feed: Feed, types: Mapping[str, str]
) -> tuple[Program, Conversion | None]:
    """The program with its converted form, for a runtime that converts; others have it as it is.

    `feed` is the first that will be timed. Raises TargetError where the runtime cannot convert it.
    """
    if not hello.converts:
        return program, None
    folder = cache.root() / "conversions" / _key(worker.job, hello, program, feed)

    def make(place: Path) -> dict[str, float]:
        made = place / "model"
        made.mkdir()
        seconds = worker.convert(program, feed, types, made)
        return {"seconds": seconds, "size": cache.size(made)}

    facts, there = cache.made(folder, make)
    fact = Conversion(seconds=facts["seconds"], size=facts["size"], kept=there)
    return replace(program, converted=folder / "model"), fact


def _code(listed: Listed) -> str:
    """Of the file that holds `convert`, and the pins of what it calls."""
    runtime = listing.facts(listed)
    if runtime is None:
        return ""
    file = Path(inspect.getfile(runtime))
    return hashlib.sha256(file.read_bytes()).hexdigest() + " ".join(runtime.requirements)


def _key(job: Job, hello: Hello, program: Program, feed: Feed) -> str:
    """All that the converted form depends on; code may be compiled for this very processor."""
    source = program.source if hello.starts_from == "source" else None
    parts = {
        "toolkit": __version__,
        "runtime": [job.listed.name, hello.version, hello.python],
        "target": [job.provider, dict(sorted(job.options.items())), program.threads],
        "model": None if program.model is None else onnxfile.read(program.model).sha256,
        "source": None if source is None else [source.factory, factory.digest(source)],
        "feed": {name: [str(a.dtype), list(a.shape)] for name, a in feed.items()},
        "processor": machine.processor(),
        "code": _code(job.listed),
    }
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return f"{job.listed.name}-{digest[:24]}"
