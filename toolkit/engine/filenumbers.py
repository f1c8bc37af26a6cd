"""The untouched file's own numbers: by ONNX Runtime in a worker, judged by the whole rule."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from toolkit.answers.verdict import Verdict
from toolkit.engine import judges
from toolkit.engine import unoptimised as running
from toolkit.errors import TargetError
from toolkit.exporter.prove import Answers, Numbers
from toolkit.onnxfiles import modelfile
from toolkit.oracle.oracles import Expected, Oracle
from toolkit.runtimes import listing
from toolkit.runtimes.base import Program
from toolkit.tensors import Array, Feed
from toolkit.workers import environments
from toolkit.workers.jobs import Patience, WorkerSpec
from toolkit.workers.launch import Worker

NONE = "no onnxruntime; python -m pip install onnxruntime gets one, then toolkit check shows them"


LACKING = "NOT_IMPLEMENTED"
"""ONNX Runtime's own word for an operator that this provider has not for this type: that says
nothing about the file."""


@contextmanager
def of_file(file: Path, oracle: Oracle) -> Iterator[Numbers | str]:
    """How a file is run and judged here, or in one line why it cannot be.

    `oracle` is that of the module that it was made from. The file is loaded at once; its worker is
    gone at the end.
    """
    if importlib.util.find_spec("onnxruntime") is None:
        yield NONE
        return
    job = WorkerSpec(listing.find("onnxruntime"), environments.find(None), "cpu", {})
    with tempfile.TemporaryDirectory(prefix="toolkit-") as work:
        worker_code = environments.lay(Path(work) / "rooms", [])
        with Worker(job, worker_code, patience=Patience()) as worker:
            bench = _Bench(file, oracle, worker_code, worker, _loaded(worker, file))
            if bench.refusal is not None and LACKING in bench.refusal.what:
                yield f"onnxruntime cpu cannot run it: {bench.refusal.what}"
            else:
                yield Numbers(bench.run, bench.judge)


def _loaded(worker: Worker, file: Path) -> TargetError | None:
    """Loads the file; what onnxruntime says where it refuses."""
    facts = modelfile.read(file)
    worker.post_hello()
    worker.hello()
    worker.post_load(Program(file.resolve(), facts.inputs, facts.outputs))
    try:
        worker.load()
    except TargetError as error:
        return error
    return None


@dataclass(frozen=True)
class _Bench:
    """One file in a worker, and the rooms for another."""

    file: Path
    oracle: Oracle
    worker_code: Path
    worker: Worker
    refusal: TargetError | None

    def run(self, feeds: Sequence[Feed]) -> Answers:
        if self.refusal is not None:
            raise self.refusal
        types = {spec.name: spec.type for spec in modelfile.read(self.file).inputs}
        return [_answer(self.worker, str(n), feed, types) for n, feed in enumerate(feeds)]

    def judge(self, expected: Sequence[Expected], answers: Answers) -> Verdict:
        facts = modelfile.read(self.file)
        with running.unoptimised(self.worker_code) as runner:
            made = judges.build(
                facts,
                modelfile.load(self.file),
                [each.feed.arrays for each in expected],
                [[*each.outputs.values()] for each in expected],
                origin=self.oracle.name,
                runner=runner,
                plain=[self.oracle.in_float32(each.feed.arrays) for each in expected],
            )
        return made.judge.verdict(answers)


def _answer(worker: Worker, name: str, feed: Feed, types: Mapping[str, str]) -> dict[str, Array]:
    worker.bind(name, feed, types)
    return worker.answer(name)[0]
