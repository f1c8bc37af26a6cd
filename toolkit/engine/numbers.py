"""The untouched file's own numbers: by ONNX Runtime in a worker, judged by the whole rule."""

from __future__ import annotations

import contextlib
import importlib.util
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from onnx import ModelProto

from toolkit import onnxfile
from toolkit.answers import simulate, tap
from toolkit.answers.simulate import Runner
from toolkit.answers.verdict import Verdict
from toolkit.answers.yardstick import Simulated, Yardstick
from toolkit.engine import runner as running
from toolkit.errors import TargetError
from toolkit.exporter.prove import Answers, Numbers
from toolkit.oracle import oracles, portable
from toolkit.oracle.oracles import Expected
from toolkit.oracle.portable import Unsupported
from toolkit.runtimes import listing
from toolkit.runtimes.base import Program
from toolkit.tensors import Array, Feed
from toolkit.workers import environments
from toolkit.workers.launch import Job, Patience, Worker

NONE = "no onnxruntime; python -m pip install onnxruntime gets one, then toolkit check shows them"


LACKING = "NOT_IMPLEMENTED"
"""ONNX Runtime's own word for an operator that this provider has not for this type: that says
nothing about the file."""


@contextmanager
def of_file(file: Path, origin: str) -> Iterator[Numbers | str]:
    """How a file is run and judged here, or in one line why it cannot be.

    `origin` is the oracle, in words. The file is loaded at once; its worker is gone at the end.
    """
    if importlib.util.find_spec("onnxruntime") is None:
        yield NONE
        return
    job = Job(listing.find("onnxruntime"), environments.find(None), "cpu", {})
    with tempfile.TemporaryDirectory(prefix="toolkit-") as work:
        rooms = environments.lay(Path(work) / "rooms", [])
        with Worker(job, rooms, patience=Patience()) as worker:
            bench = _Bench(file, origin, rooms, worker, _loaded(worker, file))
            if bench.refusal is not None and LACKING in bench.refusal.what:
                yield f"onnxruntime cpu cannot run it: {bench.refusal.what}"
            else:
                yield Numbers(bench.run, bench.judge)


def _loaded(worker: Worker, file: Path) -> TargetError | None:
    """Loads the file; what onnxruntime says where it refuses."""
    facts = onnxfile.read(file)
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
    origin: str
    rooms: Path
    worker: Worker
    refusal: TargetError | None

    def run(self, feeds: Sequence[Feed]) -> Answers:
        if self.refusal is not None:
            raise self.refusal
        types = {spec.name: spec.type for spec in onnxfile.read(self.file).inputs}
        return [_answer(self.worker, str(n), feed, types) for n, feed in enumerate(feeds)]

    def judge(self, expected: Sequence[Expected], answers: Answers) -> Verdict:
        with running.unoptimised(self.rooms) as runner:
            return self._yardstick(expected, runner).judge(answers)

    def _yardstick(self, expected: Sequence[Expected], runner: Runner) -> Yardstick:
        facts, model = onnxfile.read(self.file), onnxfile.load(self.file)
        names = [spec.name for spec in facts.outputs]
        # By place: a file renames an output that has the name of an input.
        truth = [dict(zip(names, each.outputs.values(), strict=True)) for each in expected]
        taps = tap.taps(model)
        if taps.tensors():
            model = tap.tapped(model, taps)
            truth = [
                {**_behind(model, each.feed.arrays), **t}
                for each, t in zip(expected, truth, strict=True)
            ]
        return Yardstick(
            outputs=facts.outputs,
            oracle=truth,
            simulated=_simulated(model, [each.feed.arrays for each in expected], runner),
            origin=self.origin,
            choices=taps.choices,
            saturated=taps.saturated,
        )


def _answer(worker: Worker, name: str, feed: Feed, types: Mapping[str, str]) -> dict[str, Array]:
    worker.bind(name, feed, types)
    return worker.answer(name)[0]


def _behind(tapped: ModelProto, feed: Feed) -> dict[str, Array]:
    """What lies behind the outputs, in float64; nothing where the evaluator cannot do the model."""
    try:
        return oracles.of_model(tapped).answer(feed)
    except Unsupported:
        return {}


def _simulated(model: ModelProto, feeds: Sequence[Feed], runner: Runner) -> tuple[Simulated, ...]:
    # Only old opsets lack what int8 needs: the simulations that can be made are made.
    with contextlib.suppress(Unsupported):
        model = portable.portable(model)
    return simulate.simulate(model, feeds, runner).made
