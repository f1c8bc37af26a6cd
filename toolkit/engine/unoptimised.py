"""Runs small variations of a model in float32 without any optimisation, for the simulations."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import onnx
from onnx import ModelProto

from toolkit.answers import simulate
from toolkit.answers.simulate import Runner, StartRunner
from toolkit.errors import WorkerDied
from toolkit.machine.describe import cores_allowed
from toolkit.onnxfiles import modelfile, thinmodels
from toolkit.onnxfiles.thinmodels import ThinModel
from toolkit.runtimes import listing
from toolkit.runtimes.base import Program
from toolkit.supervision import progress
from toolkit.tensors import Array, Feed, TensorSpec
from toolkit.workers import environments
from toolkit.workers.jobs import Patience, WorkerSpec
from toolkit.workers.launch import Worker


@contextmanager
def unoptimised(worker_code: Path, env: str | None = None) -> Iterator[Runner]:
    """Runs models in ONNX Runtime with all optimisations off, in a worker of the environment; where
    toolkit's own has no onnxruntime, on the ONNX reference evaluator in this process.

    The worker is started when it is first needed, and again after one that died.
    """
    if env is None and importlib.util.find_spec("onnxruntime") is None:
        with simulate.reference_runner() as run:
            yield run
        return
    runner = _runner(worker_code, env)
    try:
        yield runner
    finally:
        runner.stop()


@contextmanager
def imported_early(worker_code: Path) -> Iterator[StartRunner]:
    """Imports ONNX Runtime in a worker while something else is computed.

    Gives what brings runners as `unoptimised` does: the first of them has that worker. Without one
    until the end the worker is stopped.
    """
    if importlib.util.find_spec("onnxruntime") is None:
        yield partial(unoptimised, worker_code)
        return
    waiting = [_runner(worker_code)]
    waiting[0].begin()

    @contextmanager
    def start() -> Iterator[Runner]:
        if not waiting:
            with unoptimised(worker_code) as run:
                yield run
            return
        runner = waiting.pop()
        try:
            yield runner
        finally:
            runner.stop()

    try:
        yield start
    finally:
        while waiting:
            waiting.pop().stop()


def _runner(worker_code: Path, env: str | None = None) -> _WorkerRunner:
    # Each shape is run once: a plan of its memory would not be used again.
    options = {"optimize": "none", "plan": "off"}
    spec = WorkerSpec(listing.find("onnxruntime"), environments.find(env), "cpu", options)
    return _WorkerRunner(spec, worker_code)


class _WorkerRunner:
    """A runner that loads each model into one worker, in place of the last."""

    def __init__(self, spec: WorkerSpec, worker_code: Path) -> None:
        self._spec = spec
        self._worker_code = worker_code
        # Resolved: by its folder a saved graph knows which weights lie beside it already.
        self._file = worker_code.parent.resolve() / "simulated.onnx"
        self._worker: Worker | None = None
        self._is_greeted = False

    def begin(self) -> None:
        """Starts the worker, without waiting until it has imported its library."""
        if self._worker is None:
            self._worker = Worker(
                self._spec, self._worker_code, patience=Patience(), keeps_limit=True
            )
            self._worker.post_hello()
            self._is_greeted = False

    def __call__(self, model: ThinModel, feeds: Sequence[Feed]) -> list[dict[str, Array]]:
        file = model.file or self._file
        if model.file is None:
            model.save(file)
        try:
            with progress.waiting("ONNX Runtime without optimisations"):
                worker = self._started()
                worker.load_program(program(file, model.proto, len(cores_allowed())))
                return [worker.evaluate(str(i), feed, {}) for i, feed in enumerate(feeds)]
        except WorkerDied:
            self.stop()
            raise

    def _started(self) -> Worker:
        self.begin()
        assert self._worker is not None, "begin() makes it"
        if not self._is_greeted:
            self._worker.hello()
            self._is_greeted = True
        return self._worker

    def stop(self) -> None:
        """Ends the worker, and removes the model that it ran last."""
        if self._worker is not None:
            self._worker.stop()
            self._worker = None
        thinmodels.remove(self._file)


def program(file: Path, model: ModelProto, threads: int = 1) -> Program:
    """The program of a model that was made here and saved as `file`."""
    return Program(
        file,
        tuple(_spec(value) for value in modelfile.fed_inputs(model.graph)),
        tuple(_spec(value) for value in model.graph.output),
        threads=threads,
    )


def _spec(value: onnx.ValueInfoProto) -> TensorSpec:
    tensor = value.type.tensor_type
    shape = tuple(
        dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None
        for dim in tensor.shape.dim
    )
    known = shape if tensor.HasField("shape") else None
    return TensorSpec(value.name, modelfile.type_name(tensor.elem_type), known)
