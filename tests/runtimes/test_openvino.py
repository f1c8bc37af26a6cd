"""OpenVINO, from the environment that toolkit makes for it: pinned to float32, and caught where it
is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests import needs, small
from tests.workers.conftest import Start, start
from toolkit.errors import EnvironmentFault, LibraryError, TargetError
from toolkit.onnxfiles import modelfile
from toolkit.pipelines.bench import BenchRequest
from toolkit.pipelines.check import check
from toolkit.runtimes import listing, openvino
from toolkit.runtimes.base import Program
from toolkit.runtimes.target import parse
from toolkit.tensors import Feed
from toolkit.workers import cache, managed

pytestmark = pytest.mark.process

__all__ = ["start"]


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    try:
        managed.home(listing.find("openvino"), "cpu")
    except EnvironmentFault as error:
        needs.absent(f"{error.what}; {error.cures[0]}")


def verdicts(model: Path, *targets: str) -> list[tuple[str, bool]]:
    run = check(model, BenchRequest([parse(text) for text in targets])).run
    return [(r.verdict.text, r.verdict.right) for r in run.records if r.verdict is not None]


def test_it_is_pinned_to_float32_by_both_ways_in(tmp_path: Path) -> None:
    model = small.mlp(tmp_path / "mlp.onnx")

    found = verdicts(model, "openvino", "openvino,io=bound")

    assert found == [("float32", True), ("float32", True)]


@pytest.mark.skipif(
    not needs.bfloat16_products(),
    reason="this processor has no bfloat16, so OpenVINO's default is float32",
)
def test_its_default_is_named_bfloat16_and_not_right(tmp_path: Path) -> None:
    model = small.mlp(tmp_path / "mlp.onnx")

    found = verdicts(
        model,
        "openvino,precision=default",
        "openvino,precision=bfloat16",
    )

    assert found == [("bfloat16", False), ("bfloat16", True)]


def test_a_refusal_names_the_operator(start: Start, tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("ImageDecoder", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [9])],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, ["a", "b", 3])],
    )
    opset = helper.make_opsetid("", 20)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=10)
    onnx.save(model, tmp_path / "image.onnx")
    file = modelfile.read(tmp_path / "image.onnx")
    worker = start("openvino")
    worker.post_hello()
    worker.hello()

    with pytest.raises(LibraryError) as raised:
        worker.load_program(Program(file.path, file.inputs, file.outputs))

    assert raised.value.what == (
        "RuntimeError: No conversion rule found for operations: ImageDecoder-20"
    )


@pytest.mark.parametrize("io", ["numpy", "bound"])
def test_an_input_that_it_folds_away_may_be_fed(start: Start, tmp_path: Path, io: str) -> None:
    graph = helper.make_graph(
        [helper.make_node("ReduceSum", ["x", "axes"], ["y"], keepdims=1)],
        "g",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3]),
            helper.make_tensor_value_info("axes", TensorProto.INT64, [0]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1])],
    )
    opset = helper.make_opsetid("", 13)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    onnx.save(model, tmp_path / "sum.onnx")
    file = modelfile.read(tmp_path / "sum.onnx")
    worker = start("openvino", io=io)
    worker.post_hello()
    worker.hello()
    worker.load_program(Program(file.path, file.inputs, file.outputs))

    feed: Feed = {"x": np.ones((2, 3), np.float32), "axes": np.zeros(0, np.int64)}

    assert worker.evaluate("0", feed, {})["y"].tolist() == [[6.0]]


def test_an_input_that_an_output_repeats_is_fed(start: Start, tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Dropout", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 3])],
    )
    opset = helper.make_opsetid("", 13)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    onnx.save(model, tmp_path / "same.onnx")
    file = modelfile.read(tmp_path / "same.onnx")
    worker = start("openvino")
    worker.post_hello()
    worker.hello()
    program = Program(file.path, file.inputs, file.outputs)
    worker.load_program(program)
    x = np.arange(6, dtype=np.float32).reshape(2, 3)

    bound = start("openvino", io="bound")
    bound.post_hello()
    bound.hello()

    with pytest.raises(TargetError, match="an output is an input here"):
        bound.load_program(program)
    np.testing.assert_array_equal(worker.evaluate("0", {"x": x}, {})["y"], x)


def test_it_reports_nothing(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report leaves an identity in the user's home; `CI` would silence it by itself."""
    monkeypatch.setenv("TOOLKIT_CACHE", str(cache.root()))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("CI", raising=False)
    (tmp_path / "home").mkdir()
    worker = start("openvino")
    worker.post_hello()
    worker.hello()
    worker.post_load(small.mlp_program(small.mlp(tmp_path / "mlp.onnx")))
    worker.load()

    assert [*(tmp_path / "home").rglob("*")] == []


def test_a_bound_buffer_that_no_call_wrote_is_seen(start: Start, tmp_path: Path) -> None:
    worker = start("openvino", io="bound")
    worker.post_hello()
    worker.hello()
    worker.post_load(small.mlp_program(small.mlp(tmp_path / "mlp.onnx")))
    placement = worker.load().placement
    worker.bind("a", {"input": np.ones((7, 64), np.float32)}, {})
    first, _ = worker.answer("a")
    worker.sample("a", 20, 2)
    left, _ = worker.answer("a", again=False)

    assert placement.nodes["cpu"] > 0
    np.testing.assert_array_equal(first["output"], left["output"])


class Refusing:
    """A request that refuses what it is given, as OpenVINO words it."""

    def infer(self, inputs: object = None) -> None:
        raise RuntimeError(
            "Exception from src/inference/src/cpp/infer_request.cpp:224:\n"
            "Check 'k_lhs == k_rhs' failed at src/plugins/intel_cpu/matmul.cpp:45:\n"
            "Matmul input shapes are incompatible\n"
        )


@pytest.mark.parametrize("io", ["numpy", "bound"])
def test_what_a_call_raises_has_no_places_of_its_source(io: str) -> None:
    call = openvino._infer if io == "bound" else openvino._answered

    with pytest.raises(RuntimeError) as raised:
        call(Refusing(), {})

    assert str(raised.value) == "Matmul input shapes are incompatible"


def test_copies_are_timed_before_any_call(start: Start, tmp_path: Path) -> None:
    """Binding a feed runs nothing: the buffers are filled when the copies are asked for."""
    file = modelfile.read(small.mlp(tmp_path / "mlp.onnx"))
    worker = start("openvino")
    worker.post_hello()
    worker.hello()
    worker.load_program(Program(file.path, file.inputs, file.outputs))

    worker.bind("a", {file.inputs[0].name: np.ones((2, 64), np.float32)}, {})

    assert worker.copies("a", 3) is not None
