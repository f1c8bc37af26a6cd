"""A model is written without a copy of its weights, to the same bytes as by onnx_ir."""

from __future__ import annotations

import errno
import tracemalloc
from collections.abc import Mapping
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest

from tests.exporter import models
from toolkit.onnxfiles import streamed

DRAW = np.random.default_rng(0)
LARGE = DRAW.normal(size=(300, 100)).astype(np.float32)


def model(weights: Mapping[str, ir.TensorProtocol]) -> ir.Model:
    """A graph without nodes that has these weights, all kinds of notes, and a function."""
    values = []
    for name, weight in weights.items():
        values.append(ir.Value(name=name, const_value=weight, metadata_props={"of": name}))
    x = ir.Value(name="x", shape=ir.Shape(["n"]), type=ir.TensorType(ir.DataType.FLOAT))
    double = ir.Node("", "Add", [x, x], name="double", doc_string="twice")
    double.outputs[0].name = "y"
    graph = ir.Graph(
        [x],
        double.outputs,
        nodes=[double],
        initializers=values,
        name="main",
        doc_string="a graph",
        opset_imports={"": 20},
        metadata_props={"kind": "planted"},
    )
    inner = ir.Value(name="inner")
    node = ir.Node("", "Relu", [inner], num_outputs=1)
    body = ir.Graph([inner], node.outputs, nodes=[node], opset_imports={"": 20})
    function = ir.Function("own", "Part", graph=body, attributes=[])
    return ir.Model(
        graph,
        ir_version=10,
        producer_name="a test",
        doc_string="a model",
        functions=[function],
        metadata_props={"a": "1"},
    )


def written_as_by_onnx_ir(of: ir.Model, folder: Path) -> bool:
    streamed.save(of, folder / "streamed.onnx")
    ir.save(of, folder / "whole.onnx")
    return (folder / "streamed.onnx").read_bytes() == (folder / "whole.onnx").read_bytes()


@pytest.mark.parametrize(
    "weight",
    [
        ir.Tensor(LARGE),
        ir.Tensor(LARGE.T),
        ir.Tensor(LARGE[::2]),
        ir.Tensor(LARGE.astype(np.float16)),
        ir.Tensor(np.tile(LARGE, (2, 1)).astype(ml_dtypes.bfloat16)),
        ir.Tensor(np.tile(LARGE, (4, 1)).astype(ml_dtypes.float8_e4m3fn)),
        ir.Tensor(DRAW.integers(-8, 8, size=(401, 501)).astype(ml_dtypes.int4)),
        ir.Tensor(np.zeros((300, 300), bool)),
        ir.Tensor(LARGE.astype(np.complex64)),
        ir.Tensor(LARGE, doc_string="drawn", metadata_props={"seed": "0"}),
        ir.Tensor(LARGE[:2]),
        ir.Tensor(np.float32(3)),
        ir.Tensor(np.empty((0, 4), np.float32)),
        ir.StringTensor(np.array([b"word"] * 20_000, object), shape=ir.Shape([20_000])),
        ir.serde.TensorProtoTensor(ir.to_proto(ir.Tensor(LARGE))),
    ],
    ids=lambda weight: f"{type(weight).__name__}-{weight.dtype}-{weight.shape}",
)
def test_a_weight_of_any_kind_is_written_alike(weight: ir.TensorProtocol, tmp_path: Path) -> None:
    assert written_as_by_onnx_ir(model({"w": weight}), tmp_path)


def test_weights_keep_their_order_and_the_model_keeps_them(tmp_path: Path) -> None:
    tensors = {f"w{n}": ir.Tensor(LARGE + n if n % 2 else LARGE[:1] + n) for n in range(6)}
    of = model(tensors)

    assert written_as_by_onnx_ir(of, tmp_path)
    assert all(of.graph.initializers[name].const_value is tensors[name] for name in tensors)


@pytest.mark.export
def test_what_torch_exports_is_written_alike_and_runs(tmp_path: Path) -> None:
    converted = models.converted(models.Several(), *models.SEVERAL)

    assert written_as_by_onnx_ir(converted.model, tmp_path)
    session = onnxruntime.InferenceSession(tmp_path / "streamed.onnx")
    assert [value.name for value in session.get_inputs()] == [
        value.name for value in converted.model.graph.inputs
    ]


def test_no_copy_of_the_weights_is_made(tmp_path: Path) -> None:
    weights = {f"w{n}": ir.Tensor(np.ones((1000, 1000), np.float32)) for n in range(5)}
    of = model(weights)
    tracemalloc.start()

    streamed.save(of, tmp_path / "m.onnx")

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000
    assert (tmp_path / "m.onnx").stat().st_size > 20_000_000


def test_a_full_disk_says_so_and_the_model_keeps_its_weights() -> None:
    weight = ir.Tensor(LARGE)
    of = model({"w": weight})

    with pytest.raises(OSError) as caught:
        streamed.save(of, Path("/dev/full"))

    assert caught.value.errno == errno.ENOSPC
    assert of.graph.initializers["w"].const_value is weight
