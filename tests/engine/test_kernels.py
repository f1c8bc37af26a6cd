"""What a runtime makes of a quantized file is read from the graph that its optimizer leaves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from tests import small
from tests.answers.quantized import quantized
from toolkit.engine import kernels
from toolkit.measure import schedule
from toolkit.pipelines.compare import ComparedModels, compare
from toolkit.pipelines.request import BenchRequest
from toolkit.records.schema import Kernels
from toolkit.runtimes.target import parse


def with_pairs(plain: ModelProto) -> ModelProto:
    """A product of floats as a QDQ file that nothing fuses: its output is not quantized."""
    weight = numpy_helper.to_array(plain.graph.initializer[0])
    scale = np.float32(abs(weight).max() / 127)
    stored = {
        "w": np.round(weight / scale).astype(np.int8),
        "ws": scale,
        "xs": np.float32(4 / 127),
        "zero": np.int8(0),
    }
    x, y = plain.graph.input[0].name, plain.graph.output[0].name
    nodes = [
        helper.make_node("QuantizeLinear", [x, "xs", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "xs", "zero"], ["dx"]),
        helper.make_node("DequantizeLinear", ["w", "ws", "zero"], ["dw"]),
        helper.make_node("Conv", ["dx", "dw"], ["h"]),
        helper.make_node("Softplus", ["h"], [y]),
    ]
    tensors = [numpy_helper.from_array(np.asarray(v), name) for name, v in stored.items()]
    graph = helper.make_graph(nodes, "pairs", plain.graph.input, plain.graph.output, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def convolution() -> ModelProto:
    weight = np.random.default_rng(3).normal(size=(8, 4, 3, 3)).astype(np.float32)
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", channels, size, size])
        for name, channels, size in (("x", 4, 8), ("y", 8, 6))
    )
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["h"]),
        helper.make_node("Softplus", ["h"], ["y"]),
    ]
    graph = helper.make_graph(nodes, "plain", [x], [y], [numpy_helper.from_array(weight, "w")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def test_a_product_of_what_was_integers_just_before_is_not_fused() -> None:
    assert kernels.read(with_pairs(convolution())) == Kernels(
        operators={"QuantizeLinear": 1, "DequantizeLinear": 2, "Conv": 1, "Softplus": 1},
        unfused={"Conv": 1},
    )
    assert kernels.read(convolution()).unfused == {}


def compared(old: Path, new: Path, *targets: str) -> ComparedModels:
    request = BenchRequest(
        [parse(target) for target in targets], pace=schedule.pace(None, 1, quick=True)
    )
    return compare(old, new, request, reports=old.parent)


@pytest.mark.process
def test_onnxruntime_tells_what_it_runs_of_a_quantized_file_and_of_no_other(
    tmp_path: Path,
) -> None:
    plain = small.layer(tmp_path / "plain.onnx")
    onnx.save(quantized(onnx.load(plain), tmp_path, per_channel=False), tmp_path / "low.onnx")

    done = compared(plain, tmp_path / "low.onnx", "onnxruntime", "fake")

    assert done.finished is not None
    assert done.finished.folder is not None
    old, new, *fakes = [record.kernels for record in done.finished.run.records]
    assert [old, *fakes] == [None] * 3
    assert new is not None
    # The two nodes of the file for one product are one in the graph that runs.
    assert new.operators["DynamicQuantizeMatMul"] == 1
    assert "MatMulInteger" not in new.operators
    assert not (done.finished.folder / "work").exists()


@pytest.mark.process
def test_what_onnxruntime_does_not_fuse_is_counted(tmp_path: Path) -> None:
    onnx.save(convolution(), tmp_path / "plain.onnx")
    onnx.save(with_pairs(convolution()), tmp_path / "pairs.onnx")

    done = compared(tmp_path / "plain.onnx", tmp_path / "pairs.onnx", "onnxruntime")

    assert done.finished is not None
    (_, record) = done.finished.run.records
    assert record.kernels is not None
    assert record.kernels.unfused == {"Conv": 1}
