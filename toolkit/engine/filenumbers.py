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

import onnx

from toolkit.answers.verdict import Verdict
from toolkit.engine import judges
from toolkit.engine.unoptimised import unoptimised
from toolkit.errors import TargetError
from toolkit.exporter import casting
from toolkit.exporter.prove import Answers, CannotRun, Numbers
from toolkit.machine.describe import cores_allowed
from toolkit.onnxfiles import modelfile
from toolkit.onnxfiles.modelfile import ModelFile, Opened
from toolkit.oracle.oracles import Expected, Oracle
from toolkit.runtimes import listing
from toolkit.supervision import progress
from toolkit.tensors import Feed
from toolkit.units import Bytes
from toolkit.workers import environments
from toolkit.workers.jobs import Patience, WorkerSpec
from toolkit.workers.launch import Worker

NONE = "no onnxruntime; python -m pip install onnxruntime gets one, then toolkit check shows them"

LACKING = "NOT_IMPLEMENTED"
"""ONNX Runtime's own word for an operator that this provider has not for this type: that says
nothing about the file."""


EARLY: Bytes = 1 << 30
"""Bytes of a file up to which it is loaded while the oracle computes. The session of a larger one
is not in memory before there is something to run."""


@contextmanager
def started() -> Iterator[FileRunner | str]:
    """Starts onnxruntime in a worker, which lasts as long as the block, to run a file later; or
    says in one line why none can be run here.

    It is imported meanwhile: whoever exports a module needs it only after torch has traced that.
    """
    if importlib.util.find_spec("onnxruntime") is None:
        yield NONE
        return
    spec = WorkerSpec(listing.find("onnxruntime"), environments.find(None), "cpu", {})
    with tempfile.TemporaryDirectory(prefix="toolkit-") as work:
        worker_code = environments.lay(Path(work) / "rooms", [])
        with Worker(spec, worker_code, patience=Patience()) as worker:
            worker.post_hello()
            yield FileRunner(worker, worker_code)


class FileRunner:
    """A worker that imports onnxruntime and loads one file after the other, and our code for the
    worker of simulations."""

    def __init__(self, worker: Worker, worker_code: Path) -> None:
        self.worker = worker
        self.worker_code = worker_code
        self._is_greeted = False
        self._is_loading = False

    def load(self, file: Opened) -> LoadingFile:
        """Has the file loaded, a small one without waiting for it."""
        loading = LoadingFile(file, self)
        if file.facts.size <= EARLY:
            loading.begin()
        return loading

    def takes(self, models: Sequence[onnx.ModelProto]) -> list[bool]:
        """Says of each of some small models whether onnxruntime loads it.

        Raises TargetError where onnxruntime cannot be imported.
        """
        taken = []
        with tempfile.TemporaryDirectory(prefix="toolkit-") as folder:
            for model in models:
                path = Path(folder) / "alone.onnx"
                path.write_bytes(model.SerializeToString())
                # The checker refuses types that are only in a later opset; so does onnxruntime.
                facts = modelfile.open_once(path, check=False).facts
                self.post(facts)
                taken.append(self.refusal(facts) is None)
        return taken

    def post(self, file: ModelFile) -> None:
        """Asks the worker to load a file. Raises TargetError where onnxruntime cannot be
        imported."""
        if not self._is_greeted:
            with progress.waiting("onnxruntime"):
                self.worker.hello()
            self._is_greeted = True
        self.refusal(file)  # Of a file that was loaded before, and that nobody asked about.
        self.worker.post_load(modelfile.program(file, threads=len(cores_allowed())))
        self._is_loading = True

    def refusal(self, file: ModelFile) -> TargetError | None:
        """Waits until a file is loaded; returns what onnxruntime says where it refuses."""
        if not self._is_loading:
            return None
        self._is_loading = False
        with progress.waiting(f"onnxruntime with {file.name}"):
            try:
                self.worker.load()
            except TargetError as error:
                return error
        return None


class LoadingFile:
    """A file that a worker loads, or will load once its numbers are asked for."""

    def __init__(self, file: Opened, runner: FileRunner) -> None:
        self.file = file
        self._runner = runner
        self._is_asked = False

    def begin(self) -> None:
        """Asks the worker to load the file, once. Raises TargetError as `FileRunner.post`."""
        if not self._is_asked:
            self._is_asked = True
            self._runner.post(self.file.facts)

    def numbers(self, oracle: Oracle) -> Numbers | CannotRun:
        """Gives the means to run and to judge the file, or says in one line why it cannot be run.

        `oracle` is that of the module that it was made from.
        """
        self.begin()
        refusal = self._runner.refusal(self.file.facts)
        if refusal is not None and LACKING in refusal.what:
            cures = (casting.CURE,) if casting.would_help(self.file.model) else ()
            return CannotRun(f"onnxruntime cpu cannot run it: {refusal.what}", cures)
        runner = self._runner
        file = _FileInWorker(self.file, oracle, runner.worker, runner.worker_code, refusal)
        return Numbers(file.run, file.judge)


@dataclass(frozen=True)
class _FileInWorker:
    """One loaded file in a worker, and our code for the worker of its simulations."""

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
