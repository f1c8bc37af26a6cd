"""Rounding by nodes is rounding in numpy, bit for bit, on both evaluators."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper

from tests.answers.networks import onnxruntime_runner
from toolkit.answers import rewrite
from toolkit.answers.simulate import RunWhole, run_on_reference

ROUNDINGS = {
    "tf32": rewrite.TF32,
    "truncated tf32": rewrite.TF32_CUT,
    "float16": rewrite.FLOAT16,
    "bfloat16": rewrite.BFLOAT16,
    "bfloat16 without a Cast": rewrite.BFLOAT16_EARLY,
}


def single(rounding: rewrite.Rounding) -> ModelProto:
    nodes, constants = rounding.nodes("x", "y")
    info = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [None]) for n in "xy"]
    graph = helper.make_graph(nodes, "rounding", info[:1], info[1:], constants)
    opsets = [helper.make_opsetid("", rounding.opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=7)


@pytest.mark.parametrize("runner", [onnxruntime_runner, run_on_reference])
@pytest.mark.parametrize("name", ROUNDINGS)
def test_nodes_round_as_numpy_does(name: str, runner: RunWhole) -> None:
    rng = np.random.default_rng(0)
    x = np.exp(rng.uniform(-8, 8, 20_000)) * rng.choice([-1, 1], 20_000)
    feed = {"x": x.astype(np.float32)}
    model = single(ROUNDINGS[name])
    onnx.checker.check_model(model)

    (outputs,) = runner(model, [feed])

    np.testing.assert_array_equal(outputs["y"], ROUNDINGS[name].weights(feed["x"], None))


@pytest.mark.parametrize("runner", [onnxruntime_runner, run_on_reference])
def test_int8_nodes_have_256_levels_over_the_range(runner: RunWhole) -> None:
    x = np.linspace(-1, 3, 5000, dtype=np.float32)

    (outputs,) = runner(single(rewrite.INT8), [{"x": x}])

    assert len(np.unique(outputs["y"])) == 256
    assert np.abs(outputs["y"] - x).max() <= 4 / 255 / 2 * 1.01


def test_a_file_of_zeros_survives_int8() -> None:
    (outputs,) = onnxruntime_runner(single(rewrite.INT8), [{"x": np.zeros(9, np.float32)}])

    assert not outputs["y"].any()
