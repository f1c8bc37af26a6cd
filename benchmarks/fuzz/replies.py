"""Damages what a worker replies, and the files in which it gives its outputs."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any, cast

import numpy as np

from benchmarks.fuzz import arrays, values
from benchmarks.fuzz.outcomes import Outcome
from tests import small
from toolkit.answers import simulate
from toolkit.engine import assignment as assignments
from toolkit.engine.assignment import Assignment, FeedRequest
from toolkit.errors import TargetError
from toolkit.feeds import elements
from toolkit.runtimes import listing
from toolkit.workers import environments, protocol
from toolkit.workers.jobs import Patience, WorkerSpec
from toolkit.workers.keeping import Keeper
from toolkit.workers.launch import Worker
from toolkit.workers.log import WorkerLog

FOLDER = "FOLDER"
"""Stands in a reply for the folder that the worker was told."""
PLACED = {"nodes": {"cpu": 4}, "elsewhere": {"cuda": ["Relu"]}, "copies": None}
ROWS = [{"name": "output", "type": "float32", "file": f"{FOLDER}/0.npy"}]
SOUND: Mapping[str, Mapping[str, Any]] = {
    "hello": {
        "version": "1.0",
        "file": None,
        "python": "3.11.0",
        "seconds": 0.1,
        "precision": "float32",
        "providers": ["cpu"],
        "starts_from": "model",
        "empty": 30.0,
        "converts": False,
    },
    "convert": {"seconds": 1.5},
    "load": {"seconds": 0.1, "placement": PLACED, "copies": "every call copies", "computes": [7]},
    "bind": {},
    "answer": {"tensors": ROWS, "seconds": 0.1},
    "sample": {"ns": [3000, 3100], "start": 10**12, "switches": 0},
    "copies": {"into": 100.0, "out": 50.0},
    "inputs": {"changed": ["input"]},
    "usage": {"resident": 50_000_000, "peak": 60_000_000},
}
"""Verb → a reply as it should be."""
FAILED = {"error": "it has no operator Foo", "cures": ["pip install foo"], "kind": "library"}
LINE, VERB, ARRAY = "reply", "verb", "0.npy"
"""The files of a case: the line, the verb that it answers, and the output beside it."""


class Replies:
    """Replies that are damaged, and outputs."""

    def write(self, seed: int, folder: Path) -> str:
        """Writes the line, its verb and an output; returns the verb."""
        draw = Random(seed)
        verb = draw.choice((*SOUND, "answer", "answer", "answer"))
        reply = {"number": 1, **(FAILED if draw.random() < 0.15 else SOUND[verb])}
        is_file = verb == "answer" and draw.random() < 0.7
        times = 0 if is_file else draw.choice((1, 1, 2))
        line = values.encoded(values.changed(reply, draw, times), draw) if times else _text(reply)
        line += draw.choice((b"\n",) * 20 + (b"", b"\n\n", b"\r\n", b" " * (5 << 20)))
        (folder / VERB).write_text(verb)
        (folder / LINE).write_bytes(line)
        output = np.linspace(0, 1, 2, dtype=np.float32).reshape(1, 2)
        data = arrays.damaged(output, draw) if is_file else arrays.plain(output)
        (folder / ARRAY).write_bytes(data)
        return verb

    def __init__(self) -> None:
        self._spec = WorkerSpec(
            listing.find("fake"), environments.find(None), "cpu", {"us": "1000"}
        )
        self._assignment: Assignment | None = None

    def read(self, folder: Path) -> Outcome:
        """Takes the reply as the parent of a worker does; what it gave, is used."""
        verb = (folder / VERB).read_text()
        line, data = (folder / LINE).read_bytes(), (folder / ARRAY).read_bytes()
        with Played(self._spec, folder / "work", line, data) as worker:
            try:
                given = _ask(worker, verb, folder)
            except TargetError as error:
                demand_lines([error.what, *error.cures, *error.last_words])
                return "refused", error.what
        if verb == "answer":
            return "judged", self._judged(given[0], folder)
        demand_sound(given)
        return "read", ""

    def _judged(self, outputs: Mapping[str, Any], folder: Path) -> str:
        """The verdict on outputs of the first feed; those of the others are right."""
        if self._assignment is None:
            work = folder / "assignment"
            work.mkdir()
            path = small.mlp(work / "m.onnx")
            request = FeedRequest(batch=[1])
            self._assignment = assignments.ask(path, request, work, simulate.reference_runner)
        judge = self._assignment.judge
        types = {spec.name: spec.type for spec in self._assignment.file.outputs}
        answers = [
            {name: elements.as_type(array, types[name]) for name, array in each.items()}
            for each in judge.oracle
        ]
        verdict = judge.verdict([outputs, *answers[1:]])
        demand_sound(verdict)
        return verdict.text


def _text(reply: Mapping[str, Any]) -> bytes:
    return json.dumps(reply).encode()


def _ask(worker: Worker, verb: str, folder: Path) -> Any:
    """Asks a worker one verb; returns what it gave."""
    program = small.mlp_program(folder / "m.onnx")
    match verb:
        case "hello":
            worker.post_hello()
            return worker.hello()
        case "convert":
            return worker.convert(program, {}, {}, folder)
        case "load":
            return worker.load_program(program)
        case "bind":
            return worker.bind("0", {}, {})
        case "answer":
            return worker.answer("0")
        case "sample":
            return worker.sample("0", 2)
        case "copies":
            return worker.copies("0", 2)
        case "inputs":
            return worker.changed("0")
        case _:
            return worker.usage()


class _Gone:
    """In place of the process: it has ended by itself."""

    worker = 0

    def wait(self, timeout: float) -> int:
        return 0

    def end(self) -> None:
        """Has nothing to end."""


class Played(Worker):
    """A worker that is a thread of this process: it has one line to say, whatever it is asked.

    All that the parent does with a line is the product's own; the process alone is not there.
    """

    def __init__(self, spec: WorkerSpec, work: Path, line: bytes, data: bytes) -> None:
        work.mkdir()
        self.spec = spec
        self.work = work
        self._patience = Patience(5.0, 5.0)
        self._folder = work / "worker"
        self._folder.mkdir()
        self._temporary = str(work / "temporary")
        self._files = 0
        self._number = 0
        self._verb = "start"
        self._is_idle = True
        self._deadline = 0.0
        self._log = WorkerLog()
        self._log.started()
        self._keeper = cast(Keeper, _Gone())
        self._read, theirs_write = os.pipe()
        theirs_read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._reader = protocol.Reader(self._read)
        told = (theirs_read, theirs_write, line, data)
        self._thread = threading.Thread(target=_reply, args=told, daemon=True)
        self._thread.start()

    def stop(self, grace: float = 5.0) -> None:
        """Ends the thread, too."""
        super().stop(grace)
        self._thread.join(grace)


def _reply(asked: int, told: int, line: bytes, data: bytes) -> None:
    """Reads a request, writes the output where that names a folder, and says the line."""
    with contextlib.suppress(OSError, protocol.Closed), _closing(asked, told):
        request = protocol.Reader(asked).receive()
        folder = request.get("folder", "")
        if request["verb"] == "answer":
            Path(folder).mkdir(exist_ok=True)
            (Path(folder) / ARRAY).write_bytes(data)
        left = line.replace(FOLDER.encode(), str(folder).encode())
        while left:
            left = left[os.write(told, left) :]


@contextlib.contextmanager
def _closing(*pipes: int) -> Iterator[None]:
    try:
        yield
    finally:
        for pipe in pipes:
            os.close(pipe)


def demand_lines(texts: list[str]) -> None:
    """Raises ValueError for a text that is no line to be printed."""
    for text in texts:
        if not text.isprintable() or len(text) > 2000:
            raise ValueError(f"a text is no line: {text[:80]!r}")


def demand_sound(given: Any) -> None:
    """Raises ValueError where a record could not hold what was taken."""
    plain = dataclasses.asdict(given) if dataclasses.is_dataclass(given) else given  # type: ignore[arg-type]
    json.dumps(plain, allow_nan=False, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, frozenset):
        return sorted(value)
    return str(value)
