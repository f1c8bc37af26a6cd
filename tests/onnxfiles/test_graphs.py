"""Nodes that compute shapes only are known by what they take, not by their operator."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from toolkit.onnxfiles import graphs


def test_only_nodes_that_descend_from_shape_and_constants_are_shape_arithmetic() -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "zero"], ["rows"]),
        helper.make_node("Concat", ["rows", "minus"], ["target"], axis=0),
        helper.make_node("Reshape", ["x", "target"], ["flat"]),
        helper.make_node("Gather", ["flat", "zero"], ["picked"]),
        helper.make_node("Mul", ["picked", "picked"], ["y"]),
    ]
    weights = [
        numpy_helper.from_array(np.array([value], np.int64), name)
        for name, value in (("zero", 0), ("minus", -1))
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        weights,
    )

    counts = graphs.shape_arithmetic(helper.make_model(graph))

    assert counts == Counter({"Shape": 1, "Gather": 1, "Concat": 1})


def test_what_holds_others_comes_behind_them() -> None:
    assert graphs.inner_first({"a": ["b", "c"], "b": ["c"], "c": ["stranger"]}) == ["c", "b", "a"]


def test_what_holds_itself_and_its_holders_are_left_out() -> None:
    circle = {"a": ["b"], "b": ["b"], "c": ["d"], "d": ["c"], "e": []}

    assert graphs.inner_first(circle) == ["e"]


def test_types_that_contradict_each_other_are_those_that_the_file_states() -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 20]> g (float[2] x) => (int64[2] y) { y = Relu (x) }'
    )

    assert graphs.described(model)["y"].type.tensor_type.elem_type == onnx.TensorProto.INT64
