"""ONNX Runtime, with types that numpy lacks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.workers.conftest import Start, start
from toolkit.errors import TargetError
from toolkit.onnxfiles import modelfile
from toolkit.runtimes.base import Program

pytestmark = pytest.mark.process

__all__ = ["start"]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("INT4", [[1, 2, -8], [-1, 5, 7], [0, 3, -2]]),
        ("UINT4", [[1, 2, 8], [15, 5, 7], [0, 3, 14]]),
    ],
)
def test_an_input_of_4_bits_has_the_values_that_were_fed(
    start: Start, tmp_path: Path, kind: str, expected: list[list[int]]
) -> None:
    graph = helper.make_graph(
        [helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)],
        "g",
        [helper.make_tensor_value_info("x", getattr(TensorProto, kind), [3, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [3, 3])],
    )
    opset = helper.make_opsetid("", 21)
    onnx.save(
        helper.make_model(graph, opset_imports=[opset], ir_version=10), tmp_path / "cast.onnx"
    )
    file = modelfile.read(tmp_path / "cast.onnx")
    worker = start("onnxruntime", io="bound")
    worker.post_hello()
    worker.hello()
    worker.load_program(Program(file.path, file.inputs, file.outputs))

    bits = np.array(expected, np.int8).view(np.uint8) & 0x0F
    answer = worker.evaluate("0", {"x": bits}, {"x": kind.lower()})

    assert answer["y"].tolist() == expected


def test_a_feed_is_bound_without_running_the_model(start: Start, tmp_path: Path) -> None:
    """Else the first call that a cold start tells is the second one, and what is only judged is
    run twice. A row that the table lacks fails where the model is run."""
    table = numpy_helper.from_array(np.ones((3, 2), np.float32), "table")
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "rows"], ["y"])],
        "g",
        [helper.make_tensor_value_info("rows", TensorProto.INT64, ["n"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [table],
    )
    opset = helper.make_opsetid("", 21)
    path = tmp_path / "gather.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=10), path)
    file = modelfile.read(path)
    worker = start("onnxruntime")
    worker.post_hello()
    worker.hello()
    worker.load_program(Program(file.path, file.inputs, file.outputs))

    worker.bind("a", {"rows": np.array([7])}, {})
    with pytest.raises(TargetError, match="indices element out of data bounds") as raised:
        worker.answer("a")
    worker.bind("b", {"rows": np.array([0, 2])}, {})

    assert raised.value.verb == "answer"
    assert worker.answer("b")[0]["y"].tolist() == [[1, 1], [1, 1]]
    assert worker.copies("b", 3) is not None
