"""Real files are simulated in every form, and those that cannot be are named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import onnx.parser
import pytest
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper

from tests.answers.networks import (
    SHAPES,
    convnet,
    feeds,
    float16_file,
    mlp,
    onnxruntime_runner,
    torch_runner,
)
from toolkit.answers.judge import Simulation
from toolkit.answers.simulate import Simulations, run_on_reference, simulate
from toolkit.errors import ToolkitError
from toolkit.tensors import Array, Feed


def forms(simulations: Simulations) -> Counter[str]:
    return Counter(s.precision for s in simulations.made)


def sizes(simulations: Simulations, oracle: Sequence[dict[str, Array]]) -> dict[str, float]:
    return {
        f"{s.precision} {s.form}": float(
            np.sqrt(
                np.mean(
                    [(o[n] - a[n]) ** 2 for o, a in zip(oracle, s.outputs, strict=True) for n in o]
                )
            )
        )
        for s in simulations.made
    }


def test_a_network_has_twelve_forms_and_with_norms_sixteen() -> None:
    plain = simulate(mlp(), feeds(SHAPES["mlp"], count=1), onnxruntime_runner)
    norms = simulate(convnet(), feeds(SHAPES["convnet"], count=1), onnxruntime_runner)

    assert forms(plain) == {"float32": 1, "tf32": 2, "float16": 2, "bfloat16": 3, "int8": 4}
    assert forms(norms) == {"float32": 1, "tf32": 2, "float16": 4, "bfloat16": 5, "int8": 4}
    assert plain.made[0].precision == norms.made[0].precision == "float32"
    assert not plain.left_out
    assert not norms.left_out


@pytest.mark.parametrize("name", ["mlp", "convnet"])
def test_each_class_errs_as_much_as_its_significand_says(name: str) -> None:
    model, each = {"mlp": mlp, "convnet": convnet}[name](), feeds(SHAPES[name], count=2)
    errors = sizes(
        simulate(model, each, onnxruntime_runner), torch_runner(model, each, torch.float64)
    )

    noise = errors["float32 plain"]
    assert 100 * noise < errors["tf32 rounded"] < errors["tf32 truncated"]
    # Three bits fewer are eight times the error.
    assert 4 < errors["bfloat16 full"] / errors["float16 full"] < 16
    assert errors["bfloat16 full"] < 10 * errors["int8 inputs of products"]


def test_the_reference_evaluator_agrees_with_onnx_runtime() -> None:
    each = feeds((4, 64), count=1)
    ours, theirs = (simulate(mlp(), each, r) for r in (run_on_reference, onnxruntime_runner))

    for a, b in zip(ours.made, theirs.made, strict=True):
        assert (a.precision, a.form) == (b.precision, b.form)
        (name,) = a.outputs[0]
        np.testing.assert_allclose(a.outputs[0][name], b.outputs[0][name], atol=2e-3)


def test_the_file_is_left_alone() -> None:
    model = convnet()
    before = model.SerializeToString()

    simulate(model, feeds(SHAPES["convnet"], count=1), onnxruntime_runner)

    assert model.SerializeToString() == before


def test_what_an_old_opset_cannot_do_is_said() -> None:
    model = mlp()
    model.opset_import[0].version = 8

    simulations = simulate(model, feeds((4, 64), count=1), onnxruntime_runner)

    assert forms(simulations) == {"float32": 1, "tf32": 1, "float16": 2, "bfloat16": 3, "int8": 1}
    assert "int8, every node: needs opset 11, the file has 8" in simulations.left_out
    assert "tf32, truncated: needs opset 9, the file has 8" in simulations.left_out


def test_a_float16_file_is_simulated_from_its_own_weights_and_outputs() -> None:
    model = float16_file(mlp())
    each = [{"x": f["x"].astype(np.float16)} for f in feeds((40, 64), count=1)]

    simulations = simulate(model, each, onnxruntime_runner)

    assert forms(simulations)["float16"] == 1  # Its weights are float16's already.
    (plain,) = simulations.made[0].outputs[0].values()
    np.testing.assert_array_equal(plain.astype(np.float16).astype(np.float32), plain)


def refuses_casts(model: ModelProto, each: Sequence[Feed]) -> list[dict[str, Array]]:
    if any(n.op_type == "Cast" for n in model.graph.node):
        raise RuntimeError("Cast(13) is not implemented\nat line 3")
    return onnxruntime_runner(model, each)


def test_a_form_that_fails_is_left_out_with_its_reason() -> None:
    simulations = simulate(mlp(), feeds((4, 64), count=1), refuses_casts)

    assert forms(simulations)["tf32"] == 2
    assert "float16, full: Cast(13) is not implemented" in simulations.left_out


def refuses_all(model: ModelProto, each: Sequence[Feed]) -> list[dict[str, Array]]:
    raise RuntimeError("no such operator")


def test_without_float32_there_is_no_judge() -> None:
    with pytest.raises(ToolkitError, match="cannot be run in float32: no such operator"):
        simulate(mlp(), feeds((4, 64), count=1), refuses_all)


def branching() -> ModelProto:
    """y = relu(x)·w in both branches of an If."""
    body = [
        helper.make_graph(
            [helper.make_node("Mul", ["r", "w"], [f"out_{name}"])],
            name,
            [],
            [helper.make_tensor_value_info(f"out_{name}", TensorProto.FLOAT, None)],
        )
        for name in ("yes", "no")
    ]
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("If", ["flag"], ["y"], then_branch=body[0], else_branch=body[1]),
    ]
    graph = helper.make_graph(
        nodes,
        "branching",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None])],
        [
            numpy_helper.from_array(np.array([3.0], np.float32), "w"),
            numpy_helper.from_array(np.array(True), "flag"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_the_body_of_an_if_is_left_alone_and_that_is_said() -> None:
    x = np.array([0.1, 0.2, 0.7], np.float32)

    simulations = simulate(branching(), [{"x": x}], onnxruntime_runner)

    assert simulations.left_out == ("the bodies of If are not rounded",)
    full = next(s for s in simulations.made if (s.precision, s.form) == ("bfloat16", "full"))
    # Rounded on the way in and on the way out, though not inside.
    assert full.outputs[0]["y"].tolist() == [0.30078125, 0.6015625, 2.09375]


def test_a_form_that_rounds_nothing_in_a_graph_is_no_lower_format() -> None:
    model = onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["" : 20]>
        g (float[4, 250] x) => (float[4, 250] y) { z = Tanh (x)  y = Mul (z, z) }"""
    )
    runs: list[int] = []

    def run(copy: ModelProto, each: Sequence[Feed]) -> list[dict[str, Array]]:
        runs.append(len(copy.graph.node))
        return onnxruntime_runner(copy, each)

    done = simulate(model, feeds((4, 250), count=1), run)

    assert forms(done) == {"float32": 1, "float16": 1, "bfloat16": 1, "int8": 1}
    changed = {s.precision for s in done.made if not np.array_equal(_y(s), _y(done.made[0]))}
    assert changed == {"float16", "bfloat16", "int8"}  # Where every node is rounded.
    assert len(runs) == 1 + len(changed)
    assert runs.count(2) == 1


def _y(simulation: Simulation) -> Array:
    return simulation.outputs[0]["y"]
