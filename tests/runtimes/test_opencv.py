"""OpenCV: its new engine or none, and outputs of the model's own types and shapes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests import needs, small
from tests.workers.conftest import Start, start
from toolkit.errors import EnvironmentFault, ShapeRefused, TargetError
from toolkit.pipelines.bench import BenchRequest
from toolkit.pipelines.check import check
from toolkit.runtimes import listing
from toolkit.runtimes.base import Program
from toolkit.runtimes.target import parse
from toolkit.tensors import TensorSpec
from toolkit.workers import managed
from toolkit.workers.launch import Worker

pytestmark = pytest.mark.process

__all__ = ["start"]

KINDS = {
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "int64": TensorProto.INT64,
    "bool": TensorProto.BOOL,
}


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    try:
        managed.home(listing.find("opencv"), "cpu")
    except EnvironmentFault as error:
        needs.absent(f"{error.what}; {error.cures[0]}")


def one(path: Path, node: onnx.NodeProto, x: TensorSpec, y: TensorSpec) -> Program:
    """A model of one node."""
    infos = [helper.make_tensor_value_info(s.name, KINDS[s.type], s.shape) for s in (x, y)]
    graph = helper.make_graph([node], "graph", infos[:1], infos[1:])
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("mine", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
    return Program(path, (x,), (y,))


def loaded(worker: Worker, program: Program) -> Worker:
    worker.post_hello()
    worker.hello()
    worker.post_load(program)
    worker.load()
    return worker


def test_it_is_float32(tmp_path: Path) -> None:
    run = check(small.mlp(tmp_path / "mlp.onnx"), BenchRequest([parse("opencv")])).run

    found = [(r.verdict.text, r.verdict.right) for r in run.records if r.verdict is not None]
    assert found == [("float32", True)]


@pytest.mark.parametrize(
    ("node", "kind", "shape"),
    [
        (helper.make_node("ArgMax", ["x"], ["y"], axis=-1, keepdims=0), "int64", ("batch",)),
        (helper.make_node("IsInf", ["x"], ["y"]), "bool", ("batch", 4)),
        (helper.make_node("ReduceSum", ["x"], ["y"], keepdims=0), "float32", ()),
    ],
    ids=["int64", "bool", "a scalar"],
)
def test_an_output_has_the_models_type_and_shape(
    start: Start, tmp_path: Path, node: onnx.NodeProto, kind: str, shape: tuple[int | str, ...]
) -> None:
    x, y = TensorSpec("x", "float32", ("batch", 4)), TensorSpec("y", kind, shape)
    program = one(tmp_path / "one.onnx", node, x, y)
    worker = loaded(start("opencv"), program)
    feed = {"x": np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)}
    worker.bind("a", feed, {})

    outputs, _ = worker.answer("a")

    expected = small.expected(program, feed)
    assert (outputs["y"].dtype, outputs["y"].shape) == (expected.dtype, expected.shape)
    np.testing.assert_allclose(outputs["y"], expected, rtol=1e-5)


def test_float64_is_refused_where_it_would_be_cast(start: Start, tmp_path: Path) -> None:
    x, y = (TensorSpec(name, "float64", ("batch", 4)) for name in "xy")
    program = one(tmp_path / "double.onnx", helper.make_node("Relu", ["x"], ["y"]), x, y)

    with pytest.raises(TargetError) as caught:
        loaded(start("opencv"), program)

    assert caught.value.what == "opencv is not fed float64 here ('x')"


def test_a_model_that_its_new_engine_cannot_read_is_refused_by_operator(
    start: Start, tmp_path: Path
) -> None:
    """Asked for the new engine alone it would take the old one, and then give an empty net."""
    x, y = (TensorSpec(name, "float32", ("batch", 4)) for name in "xy")
    node = helper.make_node("Own", ["x"], ["y"], domain="mine")
    program = one(tmp_path / "own.onnx", node, x, y)

    with pytest.raises(TargetError) as caught:
        loaded(start("opencv"), program)

    assert caught.value.what == "opencv's graph engine cannot read Own"
    assert any("Unsupported operations" in line for line in caught.value.last_words)


def test_a_shape_at_which_it_gives_nothing_is_refused(start: Start, tmp_path: Path) -> None:
    x, y = (TensorSpec(name, "float32", ("batch", 4)) for name in "xy")
    program = one(tmp_path / "relu.onnx", helper.make_node("Relu", ["x"], ["y"]), x, y)
    worker = loaded(start("opencv"), program)

    with pytest.raises(ShapeRefused) as caught:
        worker.bind("a", {"x": np.zeros((0, 4), np.float32)}, {})

    assert caught.value.what == "opencv gives no output at the shape x (0, 4)"


def test_a_shape_at_which_it_fails_is_refused_without_its_builders_paths(
    start: Start, tmp_path: Path
) -> None:
    x, y = (TensorSpec(name, "float32", ("batch", "n")) for name in "xy")
    node = helper.make_node("DepthToSpace", ["x"], ["y"], blocksize=2)
    program = one(tmp_path / "depth.onnx", node, x, y)
    worker = loaded(start("opencv"), program)

    with pytest.raises(ShapeRefused) as caught:
        worker.bind("a", {"x": np.zeros((2, 4), np.float32)}, {})

    assert caught.value.what.startswith("opencv at the shape x (2, 4): ")
    assert ".cpp" not in caught.value.what


def test_a_file_that_is_no_model_is_one_line(start: Start, tmp_path: Path) -> None:
    bad = small.mlp_program(tmp_path / "bad.onnx")
    (tmp_path / "bad.onnx").write_text("hello")

    with pytest.raises(TargetError) as caught:
        loaded(start("opencv"), bad)

    assert caught.value.what.startswith("opencv does not read the model: Failed to parse")
