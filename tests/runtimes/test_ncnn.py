"""ncnn: pinned to float32, its batch axis, its codes; and what it refuses says which operator."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from tests import needs, small
from tests.workers.conftest import Start, start
from toolkit.errors import EnvironmentFault, ShapeRefused, TargetError
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
        managed.home(listing.find("ncnn"), "cpu")
    except EnvironmentFault as error:
        needs.absent(f"{error.what}; {error.cures[0]}")


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


def verdicts(model: Path, *options: str) -> list[tuple[str, bool]]:
    run = check(model, BenchRequest([parse(f"ncnn,{option}") for option in options])).run
    return [(r.verdict.text, r.verdict.right) for r in run.records if r.verdict is not None]


def rows(count: int, *shape: int) -> Feed:
    return {"x": np.random.default_rng(count).normal(size=(count, *shape)).astype(np.float32)}


def net(
    path: Path,
    nodes: list[onnx.NodeProto],
    x: list[int | str],
    y: list[int | str],
    **weights: np.ndarray,
) -> Program:
    """A model from x to y."""
    tensors = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    small.save(path, nodes, {"x": x}, {"y": y}, tensors)
    given, made = (TensorSpec(n, "float32", tuple(s)) for n, s in (("x", x), ("y", y)))
    return Program(path, (given,), (made,))


def test_it_computes_in_what_was_asked_for(tmp_path: Path) -> None:
    model = small.mlp(tmp_path / "mlp.onnx")

    found = verdicts(model, "precision=float32", "io=bound", "precision=float16")

    assert [right for _, right in found] == [True, True, True]
    assert [text for text, _ in found[:2]] == ["float32", "float32"]
    assert "float16" in found[2][0]


def test_a_convolution_takes_every_batch_along_ncnns_own_axis(start: Start, tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["y"]),
    ]
    w = rows(4, 1, 3, 3)["x"]
    shapes: tuple[list[int | str], ...] = (["batch", 1, 6, 6], ["batch", 4, 6, 6])
    program = net(tmp_path / "conv.onnx", nodes, *shapes, w=w)
    worker = loaded(start("ncnn"), program, rows(1, 1, 6, 6))

    for count in (1, 2, 7):
        worker.bind(str(count), rows(count, 1, 6, 6), {})
        outputs, _ = worker.answer(str(count))
        expected = small.expected(program, rows(count, 1, 6, 6))
        np.testing.assert_allclose(outputs["y"], expected, atol=1e-5)


def test_a_call_leaves_its_input_as_it_was(start: Start, tmp_path: Path) -> None:
    """A first layer that works in place would write into the bound input."""
    nodes = [helper.make_node("Sigmoid", ["x"], ["y"])]
    program = net(tmp_path / "sigmoid.onnx", nodes, ["batch", 8], ["batch", 8])
    worker = loaded(start("ncnn", io="bound"), program, rows(3, 8))
    worker.bind("a", rows(3, 8), {})

    first, _ = worker.answer("a")
    worker.sample("a", 20)
    last, _ = worker.answer("a", again=False)

    np.testing.assert_array_equal(first["y"], last["y"])


def test_weights_in_a_file_of_their_own_are_read(start: Start, tmp_path: Path) -> None:
    """pnnx by itself does not find them, and ends well."""
    whole = small.mlp_program(small.mlp(tmp_path / "whole.onnx"))
    onnx.save_model(
        onnx.load(tmp_path / "whole.onnx"),
        tmp_path / "mlp.onnx",
        save_as_external_data=True,
        location="w",
        size_threshold=0,
    )
    feed = {"input": rows(7, 64)["x"]}
    program = small.mlp_program(tmp_path / "mlp.onnx")
    worker = loaded(start("ncnn"), program, feed)
    worker.bind("a", feed, {})

    outputs, _ = worker.answer("a")

    np.testing.assert_allclose(outputs["output"], small.expected(whole, feed), atol=1e-6)


def test_a_shape_that_ncnn_gets_wrong_is_refused(start: Start, tmp_path: Path) -> None:
    """ncnn keeps every entry of a dynamic axis that it should average over."""
    nodes = [helper.make_node("ReduceMean", ["x", "axes"], ["y"], keepdims=0)]
    axes = np.array([1], np.int64)
    program = net(tmp_path / "mean.onnx", nodes, ["batch", "seq", 8], ["batch", 8], axes=axes)
    worker = loaded(start("ncnn"), program, rows(2, 5, 8))

    with pytest.raises(ShapeRefused) as caught:
        worker.bind("a", rows(2, 5, 8), {})

    assert caught.value.what == "it gives 'y' the shape (2, 5, 8), the model (2, 8)"


def test_an_operator_that_it_does_not_have_is_refused_by_name(start: Start, tmp_path: Path) -> None:
    nodes = [helper.make_node("Hardmax", ["x"], ["y"])]
    program = net(tmp_path / "one.onnx", nodes, ["batch", 8], ["batch", 8])

    with pytest.raises(TargetError) as caught:
        loaded(start("ncnn"), program, rows(2, 8))

    assert caught.value.what == "ncnn has no layer for Hardmax"


def test_a_layer_that_would_lose_its_attributes_is_refused(start: Start, tmp_path: Path) -> None:
    """pnnx leaves an ONNX LSTM without an initial state as it is; ncnn has a layer of that name."""
    nodes = [helper.make_node("LSTM", ["x", "w", "r"], ["y"], hidden_size=6)]
    w, r = rows(1, 24, 8)["x"], rows(1, 24, 6)["x"]
    program = net(tmp_path / "lstm.onnx", nodes, ["seq", 1, 8], ["seq", 1, 1, 6], w=w, r=r)

    with pytest.raises(TargetError) as caught:
        loaded(start("ncnn"), program, rows(5, 1, 8))

    assert caught.value.what == "ncnn has no layer for LSTM"


def test_an_integer_output_is_refused(start: Start, tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    program = net(tmp_path / "one.onnx", nodes, ["batch", 8], ["batch", 8])
    whole = replace(program, outputs=(TensorSpec("y", "int64", ("batch", 8)),))

    with pytest.raises(TargetError) as caught:
        loaded(start("ncnn"), whole, rows(2, 8))

    assert caught.value.what == "ncnn gives float32 only, and 'y' is int64"
