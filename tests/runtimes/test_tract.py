"""tract: inputs in its own order, errors without their stack, a crash that is a row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import helper, numpy_helper

from tests import needs, small
from tests.workers.conftest import Start, start
from toolkit.errors import EnvironmentFault, ShapeRefused, TargetError, WorkerDied
from toolkit.pipelines.bench import BenchRequest
from toolkit.pipelines.check import check
from toolkit.runtimes import listing
from toolkit.runtimes.base import Program
from toolkit.runtimes.target import parse
from toolkit.tensors import Feed, TensorSpec
from toolkit.workers import managed
from toolkit.workers.launch import Worker

pytestmark = pytest.mark.process

__all__ = ["start"]


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    try:
        managed.home(listing.find("tract"), "cpu")
    except EnvironmentFault as error:
        needs.absent(f"{error.what}; {error.cures[0]}")


def loaded(worker: Worker, program: Program) -> Worker:
    worker.post_hello()
    worker.hello()
    worker.post_load(program)
    worker.load()
    return worker


def rows(count: int, *shape: int, name: str = "x") -> Feed:
    return {name: np.random.default_rng(count).normal(size=(count, *shape)).astype(np.float32)}


def test_it_is_float32_by_both_ways_in(tmp_path: Path) -> None:
    model = small.mlp(tmp_path / "mlp.onnx")

    run = check(model, BenchRequest([parse("tract"), parse("tract,io=bound")])).run

    found = [(r.verdict.text, r.verdict.right) for r in run.records if r.verdict is not None]
    assert found == [("float32", True), ("float32", True)]


@pytest.mark.parametrize("io", ["numpy", "bound"])
def test_inputs_go_by_their_names_whatever_their_order(
    start: Start, tmp_path: Path, io: str
) -> None:
    path, batch = tmp_path / "sub.onnx", "batch"
    node = helper.make_node("Sub", ["a", "b"], ["y"])
    small.save(path, [node], {"b": [batch, 4], "a": [batch, 4]}, {"y": [batch, 4]})
    a, b, y = (TensorSpec(name, "float32", (batch, 4)) for name in "aby")
    worker = loaded(start("tract", io=io), Program(path, (a, b), (y,)))
    feed = {**rows(3, 4, name="a"), "b": rows(3, 4)["x"] + 1}
    worker.bind("a", feed, {})

    outputs, _ = worker.answer("a")

    np.testing.assert_allclose(outputs["y"], feed["a"] - feed["b"], rtol=1e-6)


def test_an_operator_that_it_does_not_have_is_refused_by_name(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "det.onnx"
    small.save(path, [helper.make_node("Det", ["x"], ["y"])], {"x": ["n", 4, 4]}, {"y": ["n"]})
    x, y = TensorSpec("x", "float32", ("n", 4, 4)), TensorSpec("y", "float32", ("n",))

    with pytest.raises(TargetError) as caught:
        loaded(start("tract"), Program(path, (x,), (y,)))

    assert caught.value.what == "tract has no Det"


def test_an_error_is_told_without_the_stack_behind_it(start: Start, tmp_path: Path) -> None:
    bad = small.mlp_program(tmp_path / "bad.onnx")
    (tmp_path / "bad.onnx").write_text("hello")

    with pytest.raises(TargetError) as caught:
        loaded(start("tract"), bad)

    assert caught.value.what == "tract: failed to decode Protobuf message: unexpected end group tag"


def test_a_shape_at_which_it_fails_is_refused(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "add.onnx"
    node = helper.make_node("Add", ["x", "z"], ["y"])
    small.save(path, [node], {"x": ["n", 4], "z": ["n", 4]}, {"y": ["n", 4]})
    x, z, y = (TensorSpec(name, "float32", ("n", 4)) for name in "xzy")
    worker = loaded(start("tract"), Program(path, (x, z), (y,)))

    with pytest.raises(ShapeRefused) as caught:
        worker.bind("a", {**rows(3, 4), **rows(2, 4, name="z")}, {})

    assert caught.value.what.startswith("at the shape x (3, 4), z (2, 4): tract: Clashing")


def test_a_panic_is_the_end_of_its_worker_and_said_so(start: Start, tmp_path: Path) -> None:
    """An LSTM of a dynamic batch."""
    path = tmp_path / "lstm.onnx"
    node = helper.make_node("LSTM", ["x", "w", "r"], ["y"], hidden_size=6)
    shapes = {"w": (1, 24, 8), "r": (1, 24, 6)}
    weights = [numpy_helper.from_array(np.ones(s, np.float32), n) for n, s in shapes.items()]
    small.save(path, [node], {"x": ["s", "b", 8]}, {"y": ["s", 1, "b", 6]}, weights)
    x, y = TensorSpec("x", "float32", ("s", "b", 8)), TensorSpec("y", "float32", ("s", 1, "b", 6))

    with pytest.raises(WorkerDied) as caught:
        loaded(start("tract"), Program(path, (x,), (y,)))

    assert caught.value.what == "crashed with SIGABRT while loading the model"
