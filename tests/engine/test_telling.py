"""Where drawn feeds cannot tell float32 from less, others are looked for that can."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests import small
from toolkit.answers import simulate
from toolkit.engine import assignment
from toolkit.engine.assignment import Assignment, FeedRequest
from toolkit.errors import InputError
from toolkit.exporter import testdata
from toolkit.onnxfiles import modelfile
from toolkit.tensors import Array

PERCEPTRON = (("MatMul", ["x", "w"], "a"), ("Sigmoid", ["a"], "y"))
ROWS: dict[str, list[int | str]] = {"x": ["rows", 32]}


def saved(path: Path, *nodes: tuple[str, list[str], str], gain: float) -> Path:
    """x (rows, 32) → y (rows, 32), with a weight w and the number 1,000 as `least`."""
    draw = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(draw.normal(0, gain, (32, 32)).astype(np.float32), "w"),
        numpy_helper.from_array(np.array(1000, np.float32), "least"),
    ]
    made = [helper.make_node(kind, inputs, [output]) for kind, inputs, output in nodes]
    return small.save(path, made, ROWS, {"y": ["rows", 32]}, weights)


def ask(path: Path) -> Assignment:
    work = path.parent / "work"
    work.mkdir(exist_ok=True)
    return assignment.ask(path, FeedRequest(), work, simulate.reference_runner)


def right(asked: Assignment) -> list[dict[str, Array]]:
    """The answers of a float32 evaluation."""
    (plain, *_) = asked.judge.simulated
    return [dict(outputs) for outputs in plain.outputs]


def in_float16(asked: Assignment) -> list[dict[str, Array]]:
    assert asked.judge.lower is not None
    full = next(each for each in asked.judge.lower.every() if each.precision == "float16")
    return [dict(outputs) for outputs in full.outputs]


def origins(asked: Assignment) -> list[str]:
    return [*dict.fromkeys(feed.origin for feed in asked.feeds)]


def beyond_a_thousand(folder: Path) -> Path:
    """Only what is larger than 1,000 goes on: nothing that is drawn is, at any scale."""
    folder.mkdir()
    beyond = [("Sub", ["x", "least"], "a"), ("Relu", ["a"], "b"), ("MatMul", ["b", "w"], "c")]
    return saved(folder / "m.onnx", *beyond, ("Sigmoid", ["c"], "y"), gain=1e-3)


def with_data(model: Path, owner: str = "") -> Path:
    """Test data beside a model, as its own tool wrote them; by `owner`, ours of that sha256."""
    folder = model.parent / "test_data_set_0"
    folder.mkdir()
    values = np.random.default_rng(1).uniform(1000, 3000, (40, 32)).astype(np.float32)
    tensor = numpy_helper.from_array(values, "x")
    tensor.doc_string = f"{testdata.OWNER}{owner}" if owner else ""
    (folder / "input_0.pb").write_bytes(tensor.SerializeToString())
    return folder


def test_inputs_of_another_scale_are_judged_and_not_timed(tmp_path: Path) -> None:
    """A sigmoid that is saturated by what is drawn, and tells at a hundredth of it."""
    path = saved(tmp_path / "m.onnx", *PERCEPTRON, gain=1e5)

    asked = ask(path)

    assert origins(asked) == ["drawn with seed 0", "inputs 0.01 times as large"]
    assert all(asked.feeds[case].origin == "drawn with seed 0" for case in asked.cases)
    assert asked.notes[0] == (
        "judged with inputs 0.01 times as large too: the drawn feeds tell too little"
    )
    assert asked.judge.verdict(right(asked)).text == "float32"
    assert asked.judge.verdict(in_float16(asked)).refuted


def test_a_model_that_tells_is_given_no_more_feeds(tmp_path: Path) -> None:
    path = saved(tmp_path / "m.onnx", *PERCEPTRON, gain=0.3)

    assert origins(ask(path)) == ["drawn with seed 0"]


def test_the_test_data_beside_a_file_are_tried_first(tmp_path: Path) -> None:
    path = beyond_a_thousand(tmp_path / "m")
    without = ask(path)
    with_data(path)

    asked = ask(path)

    assert origins(without) == ["drawn with seed 0"]
    verdict = without.judge.verdict(right(without))
    assert verdict.answer == "not shown"
    assert verdict.reason.startswith("its values are the same whatever is fed; ")
    assert origins(asked) == ["drawn with seed 0", "test_data_set_0"]
    assert asked.judge.verdict(right(asked)).text == "float32"


@pytest.mark.parametrize("owner", ["", "0" * 64], ids=["of nobody", "of another file"])
def test_test_data_that_may_be_another_models_are_left_alone(tmp_path: Path, owner: str) -> None:
    path = beyond_a_thousand(tmp_path / "m")
    with_data(path, owner)
    small.layer(path.parent / "other.onnx")

    assert origins(ask(path)) == ["drawn with seed 0"]


def test_test_data_with_the_files_hash_are_its_own_beside_any_model(tmp_path: Path) -> None:
    path = beyond_a_thousand(tmp_path / "m")
    small.layer(path.parent / "other.onnx")
    with_data(path, modelfile.read(path).sha256)

    assert origins(ask(path)) == ["drawn with seed 0", "test_data_set_0"]


def test_test_data_that_do_not_fit_are_left_alone(tmp_path: Path) -> None:
    path = beyond_a_thousand(tmp_path / "m")
    folder = with_data(path)
    wide = numpy_helper.from_array(np.zeros((4, 31), np.float32), "x")
    (folder / "input_0.pb").write_bytes(wide.SerializeToString())

    assert origins(ask(path)) == ["drawn with seed 0"]


def test_where_drawn_values_make_no_sense_the_test_data_are_proposed(tmp_path: Path) -> None:
    """An input that holds a shape: what is drawn for it fits no x."""
    folder = tmp_path / "with space"
    folder.mkdir()
    nodes = [helper.make_node("Reshape", ["x", "shape"], ["y"])]
    inputs = {"x": [4, 8], "shape": [2]}
    graph = helper.make_graph(
        nodes,
        "g",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, inputs["x"]),
            helper.make_tensor_value_info("shape", TensorProto.INT64, inputs["shape"]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["a", "b"])],
    )
    path = folder / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]), path)
    data = folder / "test_data_set_0"
    data.mkdir()
    for place, array in enumerate([np.ones((4, 8), np.float32), np.array([8, 4])]):
        tensor = numpy_helper.from_array(array, [*inputs][place])
        (data / f"input_{place}.pb").write_bytes(tensor.SerializeToString())

    with pytest.raises(InputError) as raised:
        ask(path)

    proposed = f"--inputs '{folder}'    takes the test data that lie beside the file"
    assert raised.value.cures[0] == proposed
