"""Circuits of real workers on a small model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from tests import small
from toolkit.engine import runner
from toolkit.engine.circuit import Bound, Circuit, Entrant
from toolkit.runtimes import listing
from toolkit.runtimes.listing import Listed
from toolkit.runtimes.target import parse
from toolkit.tensors import Array
from toolkit.workers import environments
from toolkit.workers.jobs import Job, Patience

MakeCircuit = Callable[..., Circuit]
ROUNDS = 4


def entrant(index: int, text: str, model: Path, *, listed: Listed | None = None) -> Entrant:
    """A target as it is typed, ready to be started."""
    target = parse(text)
    found = listed or listing.find(target.runtime)
    job = Job(found, environments.find(None), target.provider or "cpu", target.options)
    program = runner.program(model, onnx.load(model), target.threads or 1)
    return Entrant(index, target.label, job, program)


def bound(rows: int) -> Bound:
    """A feed of the layer."""
    array = np.random.default_rng(rows).normal(size=(rows, 8)).astype(np.float32)
    return Bound(f"batch {rows}", {"x": array}, {"x": "float32"})


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return small.layer(tmp_path / "layer.onnx")


@pytest.fixture
def circuit(tmp_path: Path, model: Path) -> MakeCircuit:
    """Makes a circuit of targets as they are typed; answers are judged against the evaluator's."""
    rooms = environments.lay(tmp_path / "rooms", [])
    evaluator = ReferenceEvaluator(str(model))

    def make(*targets: str, batches: tuple[int, ...] = (1,), **changes: object) -> Circuit:
        cases = [bound(rows) for rows in batches]

        def judge(target: int, case: int, outputs: Mapping[str, Array]) -> str:
            right = evaluator.run(None, dict(cases[case].arrays))
            same = np.allclose(outputs["y"], right[0], atol=1e-5)  # type: ignore[index]
            return "" if same else "another answer"

        made = Circuit(
            rooms=rooms,
            entrants=[entrant(index, text, model) for index, text in enumerate(targets)],
            cases=cases,
            other=None,
            rounds=ROUNDS,
            seed=0,
            patience=Patience(verb=20),
            judge=judge,
        )
        return replace(made, **changes)  # type: ignore[arg-type]

    return make
