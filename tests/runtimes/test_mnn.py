"""MNN: what its converter leaves out is written out for it, and what it refuses has a name."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests import needs, small
from tests.workers.conftest import Start, start
from toolkit.errors import EnvironmentFault, ShapeRefused, TargetError
from toolkit.pipelines.bench import BenchRequest
from toolkit.pipelines.check import check
from toolkit.runtimes import listing
from toolkit.runtimes.base import Program
from toolkit.runtimes.mnn import CONVERT
from toolkit.runtimes.target import parse
from toolkit.tensors import Feed, TensorSpec
from toolkit.workers import managed
from toolkit.workers.environments import PythonEnvironment
from toolkit.workers.launch import Worker

pytestmark = pytest.mark.process

__all__ = ["start"]

KINDS = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64, "bool": TensorProto.BOOL}


@pytest.fixture(scope="module", autouse=True)
def python() -> Path:
    """The Python of its environment."""
    try:
        home = managed.home(listing.find("mnn"), "cpu")
    except EnvironmentFault as error:
        needs.absent(f"{error.what}; {error.cures[0]}")
    assert isinstance(home, PythonEnvironment)
    return home.python


def loaded(worker: Worker, program: Program, feed: Feed) -> Worker:
    assert program.model is not None
    folder = program.model.parent / "converted"
    folder.mkdir()
    worker.post_hello()
    worker.hello()
    worker.convert(program, feed, {}, folder)
    worker.post_load(replace(program, converted=folder))
    worker.load()
    return worker


def rows(count: int, *shape: int) -> Feed:
    return {"x": np.random.default_rng(count).normal(size=(count, *shape)).astype(np.float32)}


def net(
    path: Path, node: onnx.NodeProto, x: TensorSpec, y: TensorSpec, **weights: np.ndarray
) -> Program:
    """A model of one node."""
    tensors = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    infos = [helper.make_tensor_value_info(s.name, KINDS[s.type], s.shape) for s in (x, y)]
    graph = helper.make_graph([node], "graph", infos[:1], infos[1:], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, path)
    return Program(path, (x,), (y,))


def test_it_is_float32_by_both_ways_in(tmp_path: Path) -> None:
    model = small.mlp(tmp_path / "mlp.onnx")

    run = check(model, BenchRequest([parse("mnn"), parse("mnn,io=bound")])).run

    found = [(r.verdict.text, r.verdict.right) for r in run.records if r.verdict is not None]
    assert found == [("float32", True), ("float32", True)]


def test_a_default_that_its_converter_does_not_know_is_written_out(
    start: Start, tmp_path: Path
) -> None:
    """With a variance as small as epsilon another epsilon shows."""
    node = helper.make_node("BatchNormalization", ["x", "s", "b", "m", "v"], ["y"])
    weights = {name: rows(3)["x"] for name in "sbm"}
    shape = ("batch", 3, 5, 5)
    x, y = (TensorSpec(name, "float32", shape) for name in "xy")
    small_variance = np.full(3, 1e-5, np.float32)
    program = net(tmp_path / "norm.onnx", node, x, y, **weights, v=small_variance)
    worker = loaded(start("mnn"), program, rows(2, 3, 5, 5))
    worker.bind("a", rows(2, 3, 5, 5), {})

    outputs, _ = worker.answer("a")

    expected = small.expected(program, rows(2, 3, 5, 5))
    np.testing.assert_allclose(outputs["y"], expected, rtol=1e-4)


def test_integers_of_64_bits_come_back_as_such(start: Start, tmp_path: Path) -> None:
    node = helper.make_node("Add", ["x", "x"], ["y"])
    x, y = (TensorSpec(name, "int64", ("batch", 4)) for name in "xy")
    program = net(tmp_path / "add.onnx", node, x, y)
    feed = {"x": np.arange(12).reshape(3, 4)}
    worker = loaded(start("mnn"), program, feed)
    worker.bind("a", feed, {})

    outputs, _ = worker.answer("a")

    assert outputs["y"].dtype == np.int64
    np.testing.assert_array_equal(outputs["y"], 2 * feed["x"])
    with pytest.raises(TargetError) as caught:
        worker.bind("b", {"x": feed["x"] + 2**40}, {})
    assert caught.value.what == "MNN has no int64, and a value of an input needs it"


def test_a_bool_comes_back_as_such(start: Start, tmp_path: Path) -> None:
    node = helper.make_node("Greater", ["x", "zero"], ["y"])
    x, y = TensorSpec("x", "float32", ("batch", 4)), TensorSpec("y", "bool", ("batch", 4))
    program = net(tmp_path / "greater.onnx", node, x, y, zero=np.zeros(1, np.float32))
    worker = loaded(start("mnn"), program, rows(3, 4))
    worker.bind("a", rows(3, 4), {})

    outputs, _ = worker.answer("a")

    assert outputs["y"].dtype == np.bool_
    np.testing.assert_array_equal(outputs["y"], rows(3, 4)["x"] > 0)


def test_an_operator_that_it_does_not_have_is_refused_by_name(start: Start, tmp_path: Path) -> None:
    x, y = TensorSpec("x", "float32", ("batch", 4)), TensorSpec("y", "bool", ("batch", 4))
    program = net(tmp_path / "nan.onnx", helper.make_node("IsNaN", ["x"], ["y"]), x, y)

    with pytest.raises(TargetError) as caught:
        loaded(start("mnn"), program, rows(3, 4))

    assert caught.value.what == "MNN cannot convert IsNaN"


def test_a_converter_that_crashes_is_one_line(start: Start, tmp_path: Path) -> None:
    """An LSTM without a bias: the worker outlives it."""
    node = helper.make_node("LSTM", ["x", "w", "r"], ["y"], hidden_size=6)
    x, y = TensorSpec("x", "float32", ("s", 1, 8)), TensorSpec("y", "float32", ("s", 1, 1, 6))
    w, r = rows(1, 24, 8)["x"], rows(1, 24, 6)["x"]
    program = net(tmp_path / "lstm.onnx", node, x, y, w=w, r=r)

    with pytest.raises(TargetError) as caught:
        loaded(start("mnn"), program, rows(5, 1, 8))

    assert caught.value.what == "MNN's converter crashed with SIGSEGV"


def test_an_input_without_elements_is_refused(start: Start, tmp_path: Path) -> None:
    """MNN would end its process, with exit code 0."""
    x, y = (TensorSpec(name, "float32", ("batch", 4)) for name in "xy")
    program = net(tmp_path / "relu.onnx", helper.make_node("Relu", ["x"], ["y"]), x, y)
    worker = loaded(start("mnn"), program, rows(3, 4))

    with pytest.raises(ShapeRefused):
        worker.bind("a", rows(0, 4), {})


def test_its_converter_starts_no_program_and_opens_no_connection(
    tmp_path: Path, python: Path
) -> None:
    small.mlp(tmp_path / "mlp.onnx")
    arguments = ["-f", "ONNX", "--modelFile", "mlp.onnx", "--MNNModel", "m", "--bizCode", "a"]
    traced = [needs.program("strace"), "-f", "-e", "trace=execve,network", "-o", "trace"]

    subprocess.run(
        [*traced, str(python), "-P", "-c", CONVERT, "mnnconvert", *arguments],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )

    lines = (tmp_path / "trace").read_text().splitlines()
    assert (tmp_path / "m").is_file()
    assert [line.split("(")[0].split()[-1] for line in lines if "(" in line] == ["execve"]
