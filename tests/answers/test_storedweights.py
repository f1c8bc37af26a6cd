"""Quantized weights as the floats that they stand for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantFormat
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

from tests.answers.networks import SHAPES, encoder, feeds, onnxruntime_runner
from toolkit.answers.intermediates import find
from toolkit.answers.judge import Judge
from toolkit.answers.rewrite import float32_form
from toolkit.answers.simulate import simulate
from toolkit.onnxfiles import thinmodels
from toolkit.oracle.evaluator import Evaluator
from toolkit.tensors import Array, TensorSpec

FEEDS = feeds(SHAPES["encoder"], count=2)
DRAW = np.random.default_rng(0)


def quantized(**how: Any) -> ModelProto:
    quantizer = MatMulNBitsQuantizer(encoder(), block_size=32, **how)
    quantizer.process()
    result = quantizer.model.model
    assert isinstance(result, ModelProto)
    return result


def operators(model: ModelProto) -> set[str]:
    return {node.op_type for node in model.graph.node}


def integers(model: ModelProto) -> list[str]:
    low = (TensorProto.UINT8, TensorProto.UINT4, TensorProto.INT4)
    return [tensor.name for tensor in model.graph.initializer if tensor.data_type in low]


def in_float32(model: ModelProto) -> ModelProto:
    return float32_form(thinmodels.of_model(model)).whole()


@pytest.mark.parametrize(
    "how",
    [
        {"bits": 4},
        {"bits": 8, "is_symmetric": True},
        {"bits": 2},
        {"quant_format": QuantFormat.QDQ},
        {"quant_format": QuantFormat.QDQ, "is_symmetric": True},
    ],
    ids=["4 bits", "8 bits, symmetric", "2 bits", "QDQ", "QDQ, symmetric"],
)
def test_the_float_form_of_a_file_computes_the_same(how: dict[str, Any]) -> None:
    model = quantized(**how)

    plain = in_float32(model)

    assert not operators(plain) & {"MatMulNBits", "DequantizeLinear"}
    assert not integers(plain)
    for before, after in zip(
        onnxruntime_runner(model, FEEDS), onnxruntime_runner(plain, FEEDS), strict=True
    ):
        for name, values in before.items():
            np.testing.assert_allclose(after[name], values, rtol=0, atol=1e-5)


def product(*, stored: bool) -> tuple[ModelProto, dict[str, Array]]:
    """One MatMulNBits of 32 inputs and 5 outputs with a bias, its bytes stored or fed."""
    arrays: dict[str, Array] = {
        "b": DRAW.integers(0, 256, (5, 2, 8)).astype(np.uint8),
        "scales": DRAW.standard_normal((5, 2)).astype(np.float32),
        "bias": DRAW.standard_normal(5).astype(np.float32),
    }
    node = helper.make_node(
        "MatMulNBits",
        ["x", "b", "scales", "", "", "bias"],
        ["y"],
        domain="com.microsoft",
        K=32,
        N=5,
        block_size=16,
        bits=4,
    )
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3, 32])]
    fed = {"x": DRAW.standard_normal((3, 32)).astype(np.float32)}
    if not stored:
        fed["b"] = arrays.pop("b")
        inputs.append(helper.make_tensor_value_info("b", TensorProto.UINT8, [5, 2, 8]))
    graph = helper.make_graph(
        [node],
        "product",
        inputs,
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [3, 5])],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9), fed


def test_a_bias_is_added() -> None:
    model, fed = product(stored=True)

    plain = in_float32(model)

    assert [node.op_type for node in plain.graph.node] == ["MatMul", "Add"]
    (before,), (after,) = (onnxruntime_runner(each, [fed]) for each in (model, plain))
    np.testing.assert_allclose(after["y"], before["y"], rtol=0, atol=1e-5)


def test_weights_that_are_fed_stay() -> None:
    model, _ = product(stored=False)

    assert operators(in_float32(model)) == {"MatMulNBits"}


def test_feeds_can_tell_float32_from_less() -> None:
    model = quantized(bits=4)

    made = simulate(model, FEEDS, onnxruntime_runner).made
    answers = onnxruntime_runner(model, FEEDS)

    exact = made[0].outputs
    for simulation in made[1:]:
        errors = [
            np.sqrt(np.mean((a[name] - e[name]) ** 2))
            for a, e in zip(simulation.outputs, exact, strict=True)
            for name in e
        ]
        assert min(errors) > 1e-4, simulation
    hidden = find(model)
    specs = (TensorSpec(model.graph.output[0].name, "float32", None),)
    oracle = [Evaluator(model).run(feed) for feed in FEEDS]
    judge = Judge(specs, oracle, made, "the evaluator", hidden.choices, hidden.saturated)
    assert judge.verdict(answers).text == "float32"
