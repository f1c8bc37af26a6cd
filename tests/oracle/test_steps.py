"""A float that float32 cannot tell from an integer is that integer where a graph takes a step."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from toolkit.oracle import oracles, steps
from toolkit.oracle.evaluator import Evaluator
from toolkit.tensors import Array, TensorSpec

AT_EDGES = np.array([1.99999999, 1.9999, -3.0000001, 0.0, 5e-8, 16777217.0, np.nan, np.inf])


def stepped(operator: str, **given: int) -> Array:
    """What the oracle gives for AT_EDGES."""
    x, y = (
        helper.make_tensor_value_info(name, kind, [len(AT_EDGES)])
        for name, kind in (("x", TensorProto.DOUBLE), ("y", given.get("to", TensorProto.DOUBLE)))
    )
    node = helper.make_node(operator, ["x"], ["y"], **given)  # type: ignore[arg-type]
    model = helper.make_model(
        helper.make_graph([node], "g", [x], [y]), opset_imports=[helper.make_opsetid("", 20)]
    )
    return Evaluator(model).run({"x": AT_EDGES})["y"]


def test_a_step_is_taken_from_its_edge() -> None:
    assert stepped("Cast", to=TensorProto.INT64)[:6].tolist() == [2, 1, -3, 0, 0, 16777217]
    assert stepped("Floor")[:5].tolist() == [2, 1, -3, 0, 0]
    assert stepped("Ceil")[:5].tolist() == [2, 2, -3, 0, 0]
    np.testing.assert_array_equal(stepped("Floor")[6:], AT_EDGES[6:])


def test_what_takes_no_step_keeps_its_numbers() -> None:
    np.testing.assert_array_equal(stepped("Cast", to=TensorProto.DOUBLE), AT_EDGES)
    assert stepped("Cast", to=TensorProto.BOOL)[3:5].tolist() == [False, True]
    assert steps.onto(AT_EDGES.astype(np.float32)).dtype == np.float32


class Stepping(nn.Module):
    """Converts, rounds down and rounds up."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return x.long(), x.floor(), x.ceil(), x.bool()


def test_a_module_takes_steps_as_its_file_does() -> None:
    x = np.array([1.99999999, 1.9999, -3.0000001, 0.0, 5e-8])
    oracle = oracles.of_module(Stepping(), [TensorSpec("x", "float64", (5,))], {"x": x})

    long, floor, ceil, truth = oracle.answer({"x": x}).values()

    assert long.tolist() == stepped("Cast", to=TensorProto.INT64)[:5].tolist()
    assert floor.tolist() == stepped("Floor")[:5].tolist()
    assert ceil.tolist() == stepped("Ceil")[:5].tolist()
    assert truth.tolist() == [True, True, True, False, True]


@pytest.mark.parametrize("place", [16, 32, 64])
def test_a_bucket_of_relative_positions_does_not_hang_on_the_type_of_a_constant(place: int) -> None:
    low = float(np.float32(math.log(16)))
    exact, rounded = (math.log(place / 8) / log * 8 for log in (math.log(16), low))

    assert int(steps.onto(np.array(exact))) == int(steps.onto(np.array(rounded)))
    assert int(exact) != int(rounded)
