"""No float of a graph keeps its width, wherever its type stands."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import GraphProto, ModelProto, SparseTensorProto, TensorProto, helper, numpy_helper

from toolkit.onnxfiles.floattypes import TYPE_ATTRIBUTES, convert_floats

LOW = (TensorProto.FLOAT16, TensorProto.BFLOAT16)


def parse(body: str, head: str = '"" : 20') -> ModelProto:
    return onnx.parser.parse_model(f"<ir_version: 10, opset_import: [{head}]> {body}")


# 15360 and 16384 are the bits of 1 and 2 in float16, 16448 those of 3 in bfloat16.
def test_half_floats_become_float32_in_types_tensors_attributes_and_branches() -> None:
    model = parse(
        """g (float16[n] a, seq(float16[n]) many, optional(float16[n]) maybe, bool c)
            => (float16[n] y) <float16[1] w = {15360}>
        {
            t = Constant <value = float16[1] {16384}> ()
            b = Cast <to = 10> (a)
            i = If (c) <
                then_branch = p () => (float16[1] p0) <bfloat16[1] v = {16448}>
                    { p0 = Cast <to = 16> (v) },
                else_branch = e () => (float16[1] e0) { e0 = Identity (w) }
            >
            y = Sum (b, t, i, w)
        }"""
    )

    convert_floats(model.graph, LOW, TensorProto.FLOAT)

    text = onnx.printer.to_text(model)
    assert "float16" not in text
    assert text.count("Cast <to: int = 1>") == 2
    (weight,) = model.graph.initializer
    assert numpy_helper.to_array(weight).tolist() == [1.0]


def test_sparse_weights_are_converted_too() -> None:
    values = numpy_helper.from_array(np.array([1.5], np.float16), "s")
    where = numpy_helper.from_array(np.array([2]), "where")
    sparse = SparseTensorProto(values=values, indices=where, dims=[4])
    graph = GraphProto(name="g", sparse_initializer=[sparse])

    convert_floats(graph, LOW, TensorProto.FLOAT)

    assert graph.sparse_initializer[0].values.data_type == TensorProto.FLOAT


def test_defaults_are_written_down_where_float32_is_converted() -> None:
    model = parse(
        """g (int64 n, int64[1] s) => (float[m] y)
        {
            h = HannWindow (n)
            z = ConstantOfShape (s)
            k = Constant <value_float = 0.1> ()
            y = Sum (h, z, k)
        }"""
    )
    same = parse("g (float[1] x) => (float[1] y) { k = Constant <value_float = 0.1> () }")

    convert_floats(model.graph, [TensorProto.FLOAT], TensorProto.DOUBLE)
    convert_floats(same.graph, LOW, TensorProto.FLOAT)

    window, zeros, constant, _ = model.graph.node
    assert helper.get_node_attr_value(window, "output_datatype") == TensorProto.DOUBLE
    for node in (zeros, constant):
        assert helper.get_node_attr_value(node, "value").data_type == TensorProto.DOUBLE
    assert [a.name for a in same.graph.node[0].attribute] == ["value_float"]


@pytest.mark.parametrize("operator", TYPE_ATTRIBUTES)
def test_the_attribute_that_names_a_type_is_one_of_the_operator(operator: str) -> None:
    schema = onnx.defs.get_schema(operator)

    assert TYPE_ATTRIBUTES[operator] in schema.attributes


def test_a_type_attribute_of_integers_stays() -> None:
    node = helper.make_node("QuantizeLinear", ["x", "s"], ["y"], output_dtype=TensorProto.INT8)
    graph = helper.make_graph([node], "g", [], [])

    convert_floats(graph, LOW, TensorProto.FLOAT)

    assert graph.node[0].attribute[0].i == TensorProto.INT8
