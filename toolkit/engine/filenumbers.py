"""Finds the numbers of a file as it stands: ONNX Runtime runs it in a worker, and the whole rule
judges them. `check` and the proof of an export show them."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from toolkit.answers.verdict import Verdict
from toolkit.engine import judges
from toolkit.engine.unoptimised import unoptimised
from toolkit.errors import TargetError
from toolkit.exporter.prove import Answers, Numbers
from toolkit.machine.describe import cores_allowed
from toolkit.onnxfiles.modelfile import ModelFile, Opened
from toolkit.oracle.oracles import Expected, Oracle
from toolkit.runtimes import listing
from toolkit.runtimes.base import Program
from toolkit.supervision import progress
from toolkit.tensors import Feed
from toolkit.workers import environments
from toolkit.workers.jobs import Patience, WorkerSpec
from toolkit.workers.launch import Worker

NONE = "no onnxruntime; python -m pip install onnxruntime gets one, then toolkit check shows them"

LACKING = "NOT_IMPLEMENTED"
"""ONNX Runtime's own word for an operator that this provider has not for this type: that says
nothing about the file."""


@contextmanager
def of_file(opened: Opened, oracle: Oracle) -> Iterator[Numbers | str]:
    """Gives the means to run and judge a file here, or in one line why it cannot be run.

    `oracle` is that of the module that it was made from. The file is loaded at once; its worker is
    gone at the end.
    """
    if importlib.util.find_spec("onnxruntime") is None:
        yield NONE
        return
    spec = WorkerSpec(listing.find("onnxruntime"), environments.find(None), "cpu", {})
    with tempfile.TemporaryDirectory(prefix="toolkit-") as work:
        worker_code = environments.lay(Path(work) / "rooms", [])
        with Worker(spec, worker_code, patience=Patience()) as worker:
            refusal = _refusal(worker, opened.facts)
            if refusal is not None and LACKING in refusal.what:
                yield f"onnxruntime cpu cannot run it: {refusal.what}"
            else:
                file = _FileInWorker(opened, oracle, worker, worker_code, refusal)
                yield Numbers(file.run, file.judge)


def _refusal(worker: Worker, file: ModelFile) -> TargetError | None:
    """Loads the file; returns what onnxruntime says where it refuses."""
    with progress.waiting(f"onnxruntime with {file.name}"):
        worker.post_hello()
        worker.hello()
        try:
            worker.load_program(
                Program(
                    file.path.resolve(), file.inputs, file.outputs, threads=len(cores_allowed())
                )
            )
        except TargetError as error:
            return error
    return None


@dataclass(frozen=True)
class _FileInWorker:
    """One file in a worker, and our code for the worker of its simulations."""

    file: Opened
    oracle: Oracle
    worker: Worker
    worker_code: Path
    refusal: TargetError | None

    def run(self, feeds: Sequence[Feed]) -> Answers:
        """The outputs for each feed. Raises TargetError where onnxruntime refuses the file."""
        if self.refusal is not None:
            raise self.refusal
        types = {spec.name: spec.type for spec in self.file.facts.inputs}
        with progress.waiting(f"onnxruntime with {self.file.facts.name}"):
            return [self.worker.evaluate(str(n), feed, types) for n, feed in enumerate(feeds)]

    def judge(self, expected: Sequence[Expected], answers: Answers) -> Verdict:
        """The verdict on these answers to the expected feeds."""
        facts = self.file.facts
        feeds = judges.judged_feeds(facts, self.oracle, expected)
        built = judges.build(
            self.file,
            feeds,
            origin=self.oracle.name,
            start=partial(unoptimised, self.worker_code),
        )
        return built.judge.verdict(answers)
