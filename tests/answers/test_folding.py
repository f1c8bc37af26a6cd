"""Folded graphs compute what the graphs computed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto

from tests.answers.networks import Builder, convnet, mlp, onnxruntime_runner
from toolkit.answers.folding import folded
from toolkit.onnxfiles import thinmodels
from toolkit.tensors import Array


def normalized(b: Builder, x: str, channels: int) -> str:
    values = b.rng.uniform(0.5, 1.5, (4, channels))
    return b.node("BatchNormalization", x, *(b.floats(v) for v in values), epsilon=0.01)


def layer(operator: str, shape: tuple[int, ...], channels: int, **given: Any) -> ModelProto:
    b = Builder(1)
    inputs = ["x", b.weight(*shape, inputs=4)]
    inputs += [b.bias(channels)] if given.pop("bias") else []
    y = normalized(b, b.node(operator, *inputs, **given), channels)
    return b.model([2, 4] if operator == "Gemm" else [2, 4, 6, 6], (y, 1))


def run(model: ModelProto) -> Array:
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    x = np.random.default_rng(2).normal(size=shape).astype(np.float32)
    (outputs,) = onnxruntime_runner(model, [{"x": x}])
    (array,) = outputs.values()
    return array


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(layer("Conv", (6, 4, 3, 3), 6, bias=True), id="conv"),
        pytest.param(layer("Conv", (6, 2, 3, 3), 6, bias=False, group=2), id="grouped conv"),
        pytest.param(layer("ConvTranspose", (4, 6, 3, 3), 6, bias=True), id="transposed conv"),
        pytest.param(
            layer("ConvTranspose", (4, 3, 3, 3), 6, bias=False, group=2),
            id="grouped transposed conv",
        ),
        pytest.param(layer("Gemm", (4, 6), 6, bias=True, alpha=0.5, beta=2.0), id="gemm"),
        pytest.param(layer("Gemm", (6, 4), 6, bias=False, transB=1), id="gemm of a transposed"),
    ],
)
def test_a_folded_layer_gives_the_same(model: ModelProto) -> None:
    result = folded(thinmodels.of_model(model))

    assert result is not None
    assert "BatchNormalization" not in {n.op_type for n in result.proto.graph.node}
    np.testing.assert_allclose(run(result.whole()), run(model), rtol=1e-4, atol=1e-5)


def test_every_norm_of_a_network_is_folded_and_the_file_is_left_alone() -> None:
    model = convnet()
    before = model.SerializeToString()

    result = folded(thinmodels.of_model(model))

    assert result is not None
    assert len(result.proto.graph.node) == len(model.graph.node) - 3
    assert model.SerializeToString() == before


def test_a_layer_that_something_else_reads_is_kept() -> None:
    b = Builder(3)
    y = b.node("Conv", "x", b.weight(4, 4, 1, 1, inputs=4))
    model = b.model([2, 4, 6, 6], (b.node("Add", y, normalized(b, y, 4)), 1))

    assert folded(thinmodels.of_model(model)) is None


def test_without_a_norm_there_is_nothing_to_fold() -> None:
    assert folded(thinmodels.of_model(mlp())) is None
