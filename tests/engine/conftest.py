"""Run setups of real workers on a small model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from tests import small
from toolkit.answers import simulate
from toolkit.engine import assignment, unoptimised
from toolkit.engine.assignment import Assignment, FeedRequest
from toolkit.engine.setup import NamedFeed, ReadyTarget, RunSetup
from toolkit.runtimes import listing
from toolkit.runtimes.listing import RuntimeEntry
from toolkit.runtimes.target import parse
from toolkit.tensors import Array
from toolkit.workers import environments
from toolkit.workers.jobs import Patience, WorkerSpec
from toolkit.workers.launch import Launcher

MakeSetup = Callable[..., RunSetup]
ROUNDS = 4


def ready_target(
    index: int, text: str, model: Path, *, entry: RuntimeEntry | None = None
) -> ReadyTarget:
    """A target as it is typed, ready to be started."""
    target = parse(text)
    entry = entry or listing.find(target.runtime)
    spec = WorkerSpec(entry, environments.find(None), target.provider or "cpu", target.options)
    program = unoptimised.program(model, onnx.load(model), target.threads or 1)
    return ReadyTarget(index, target.label, spec, program)


def launched(folder: Path, *entries: RuntimeEntry) -> Launcher:
    """Starts workers with our code in this folder."""
    return Launcher(environments.lay(folder / "rooms", [*entries]), Patience(verb=30))


def ready(index: int, text: str, asked: Assignment) -> ReadyTarget:
    """A target as it is typed, to be judged on the assignment's own file."""
    assert asked.program.model is not None
    return replace(ready_target(index, text, asked.program.model), program=asked.program)


def bound(rows: int) -> NamedFeed:
    """A feed of the layer."""
    array = np.random.default_rng(rows).normal(size=(rows, 8)).astype(np.float32)
    return NamedFeed(f"batch {rows}", {"x": array}, {"x": "float32"})


@pytest.fixture(scope="session")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Assignment:
    """The reference model, whose PyTorch source is known."""
    folder = tmp_path_factory.mktemp("asked")
    return assignment.ask(
        small.mlp(folder / "mlp.onnx"), FeedRequest(), folder, simulate.reference_runner
    )


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return small.layer(tmp_path / "layer.onnx")


@pytest.fixture
def setup(tmp_path: Path, model: Path) -> MakeSetup:
    """Makes the setup of a run from targets as they are typed, judged by the evaluator."""
    worker_code = environments.lay(tmp_path / "rooms", [])
    evaluator = ReferenceEvaluator(str(model))

    def make(
        *targets: str,
        batches: tuple[int, ...] = (1,),
        patience: Patience = Patience(verb=20),  # noqa: B008 - a constant.
        **changes: object,
    ) -> RunSetup:
        cases = [bound(rows) for rows in batches]

        def check(target: int, case: int, outputs: Mapping[str, Array]) -> str:
            right = evaluator.run(None, dict(cases[case].arrays))
            same = np.allclose(outputs["y"], right[0], atol=1e-5)  # type: ignore[index]
            return "" if same else "another answer"

        plain = RunSetup(
            launcher=Launcher(worker_code, patience),
            targets=[ready_target(index, text, model) for index, text in enumerate(targets)],
            cases=cases,
            other=None,
            rounds=ROUNDS,
            seed=0,
            check=check,
        )
        return replace(plain, **changes)  # type: ignore[arg-type]

    return make
