"""The large constants of a model stand apart from its graph."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import ModelProto, helper, numpy_helper

from toolkit.onnxfiles import graphs, modelfile, thinmodels
from toolkit.onnxfiles.tensordata import Stored
from toolkit.oracle.evaluator import Evaluator
from toolkit.tensors import Array

DRAW = np.random.default_rng(0)


def tower(dtype: type | np.dtype = np.float32) -> ModelProto:
    """Two products by large constants, one an initializer and one of a node; a small one added."""
    first, second = (DRAW.normal(size=(64, 64)).astype(dtype) for _ in range(2))
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    nodes = [
        helper.make_node("Constant", [], ["w2"], value=numpy_helper.from_array(second)),
        helper.make_node("MatMul", ["x", "w1"], ["a"]),
        helper.make_node("MatMul", ["a", "w2"], ["b"]),
        helper.make_node("Add", ["b", "c"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tower",
        [helper.make_tensor_value_info("x", kind, ["n", 64])],
        [helper.make_tensor_value_info("y", kind, ["n", 64])],
        [numpy_helper.from_array(first, "w1"), numpy_helper.from_array(np.ones(64, dtype), "c")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def beside(model: ModelProto, folder: Path) -> Path:
    """Writes a model with all of its constants in a file beside it."""
    path = folder / "m.onnx"
    onnx.save_model(
        graphs.copied(model), str(path), save_as_external_data=True, location="m.data",
        size_threshold=0, convert_attribute=True,
    )  # fmt: skip
    return path


def test_the_graph_keeps_what_is_small_and_takes_the_rest_as_inputs() -> None:
    model = tower()

    light, large = thinmodels.of_model(model).apart()

    assert set(large) == {"w1", "w2"}
    assert [tensor.name for tensor in light.graph.initializer] == ["c"]
    assert {value.name for value in light.graph.input} == {"x", "w1", "w2"}
    assert len(light.SerializeToString()) < 2000
    onnx.checker.check_model(light, full_check=True)


def test_a_constant_is_a_view_of_the_file_and_cannot_be_written() -> None:
    model = tower()
    stored = numpy_helper.to_array(model.graph.initializer[0])

    array = thinmodels.of_model(model).weights["w1"].array()

    assert np.array_equal(array, stored)
    assert not array.flags.owndata
    assert not array.flags.writeable


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16], ids=str)
def test_external_data_is_mapped_and_the_model_computes_the_same(
    tmp_path: Path, dtype: type
) -> None:
    model = tower(dtype)
    path = beside(model, tmp_path)
    x: Array = DRAW.normal(size=(3, 64)).astype(dtype)
    fed = {"x": x.view(np.uint16) if dtype is ml_dtypes.bfloat16 else x}

    apart = modelfile.parse(path)
    large = thinmodels.of_model(apart, tmp_path).weights
    got = Evaluator(apart, folder=tmp_path).run(fed)["y"]

    assert isinstance(large["w1"].source, Stored)
    assert isinstance(large["w1"].array(few=True), np.memmap)
    assert np.array_equal(large["w1"].array(few=True), large["w1"].array())
    assert np.array_equal(got, Evaluator(model).run(fed)["y"])


def test_external_data_without_its_folder_is_an_error(tmp_path: Path) -> None:
    apart = modelfile.parse(beside(tower(), tmp_path))

    with pytest.raises(KeyError, match="w1 lies in another file"):
        thinmodels.of_model(apart).weights["w1"].array()
