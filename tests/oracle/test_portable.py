"""A model is brought to the portable form and raised to float64."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
import pytest
from onnx import GraphProto, ModelProto, TensorProto, helper, numpy_helper

from toolkit.onnxfiles import graphs
from toolkit.oracle.evaluator import Evaluator
from toolkit.oracle.portable import LOW, Unsupported, portable, raised


def parse(body: str, head: str = '"" : 20', ir: int = 10) -> ModelProto:
    return onnx.parser.parse_model(f"<ir_version: {ir}, opset_import: [{head}]> {body}")


def types(graph: GraphProto) -> Iterator[int]:
    for tensor in graph.initializer:
        yield tensor.data_type
    for value in (*graph.input, *graph.output, *graph.value_info):
        yield value.type.tensor_type.elem_type
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                yield attribute.t.data_type
            elif attribute.type == onnx.AttributeProto.GRAPH:
                yield from types(attribute.g)
            elif attribute.name in ("to", "dtype", "output_datatype"):
                yield attribute.i


# 16448 are the bits of 3 in bfloat16.
EVERYTHING = """
g (float16[n] a, float[n] b, bool c) => (float[n] y)
<float[1] w = {0.1}, bfloat16[1] v = {16448}>
{
    a32 = Cast <to = 1> (a)
    k = Constant <value_float = 0.1> ()
    l = Constant <value_floats = [0.1]> ()
    t = Constant <value = float[1] {0.1}> ()
    s = Shape (b)
    z = ConstantOfShape (s)
    o = ConstantOfShape <value = float[1] {0.1}> (s)
    v32 = Cast <to = 1> (v)
    i = If (c) <
        then_branch = p () => (float[n] p0) { q = Constant <value_float = 0.5> () p0 = Mul (b, q) },
        else_branch = e () => (float[n] e0) { e0 = Cast <to = 1> (a) }
    >
    y = Sum (a32, b, k, l, t, z, o, v32, i, w)
}
"""


def test_nothing_below_float64_is_left_in_a_raised_model() -> None:
    model = parse(EVERYTHING)
    onnx.checker.check_model(model)
    up = raised(model)
    assert not set(types(up.graph)) & LOW
    assert set(types(model.graph)) & LOW  # and the model itself is not changed


def test_a_raised_model_computes_with_the_numbers_of_the_file() -> None:
    a, b = np.array([1.5], np.float16), np.array([2.0], np.float32)
    got = Evaluator(parse(EVERYTHING)).run({"a": a, "b": b, "c": np.array(True)})
    # 0.1 stands in the file as the float32 next to it, five times; not as 0.1.
    assert got["y"].tolist() == [1.5 + 2 + 3 + 1 + 5 * float(np.float32(0.1))]


def test_window_functions_come_in_float64() -> None:
    model = parse("g (int64 n) => (float[m] y) { y = HannWindow (n) }")
    y = Evaluator(model).run({"n": np.array(7)})["y"]
    assert y.dtype == np.float64
    assert y[1] == pytest.approx(np.sin(np.pi / 7) ** 2, abs=1e-15)


def test_the_types_of_quantization_stay() -> None:
    model = parse(
        """g (float[2] x) => (float[2] y) <float s = {0.1}, uint8 z = {7}>
        { q = QuantizeLinear (x, s, z) y = DequantizeLinear (q, s, z) }"""
    )
    y = Evaluator(model).run({"x": np.array([0.26, -9.0], np.float32)})["y"]
    scale = float(np.float32(0.1))
    assert y.tolist() == pytest.approx([3 * scale, -7 * scale], abs=1e-15)


def test_an_old_model_is_brought_to_opset_17() -> None:
    """Below 13 the evaluator takes softmax along the wrong axis, below 14 it normalises a batch by
    its own statistics."""
    body = """g (float[2, 3, 4] x) => (float[2, 3, 4] y)
    <float[3] s = {1, 2, 3}, float[3] b = {0, 1, 0}, float[3] m = {1, 0, 2}, float[3] v = {1, 4, 9}>
    { h = BatchNormalization <epsilon = 1e-5> (x, s, b, m, v) y = Softmax <axis = 1> (h) }"""
    model = parse(body, '"" : 9', 4)
    assert graphs.opset(portable(model)) == 17
    x = np.random.default_rng(0).standard_normal((2, 3, 4))
    shape = (1, 3, 1)
    s, b, m, v = (
        numpy_helper.to_array(t).astype(float).reshape(shape) for t in model.graph.initializer
    )
    h = s * (x - m) / np.sqrt(v + float(np.float32(1e-5))) + b
    rows = np.exp(h).reshape(2, 12)  # softmax of opset 9 flattens what is behind the axis
    want = (rows / rows.sum(axis=1, keepdims=True)).reshape(2, 3, 4)
    np.testing.assert_allclose(Evaluator(model).run({"x": x})["y"], want, rtol=1e-12)


def test_the_functions_of_a_model_are_inlined() -> None:
    """The evaluator hands our operators down to no function: Erf in one would be float32."""
    model = onnx.parser.parse_model(
        """
        <ir_version: 10, opset_import: ["" : 20, "own" : 1]>
        g (float[1] x) => (float[1] y) { y = own.f (x) }
        <opset_import: ["" : 20], domain: "own"> f (x) => (y) { y = Erf (x) }
        """
    )
    got = Evaluator(model).run({"x": np.array([0.3])})["y"]
    assert got.item() == pytest.approx(0.3286267594591274, abs=1e-16)


REFUSED = {
    "RandomUniform <shape = [2]> ()": "RandomUniform draws at random: no two runs agree",
    "Bernoulli (x)": "Bernoulli draws at random: no two runs agree",
    "Dropout (x, r, t)": "Dropout draws at random: no two runs agree",
    "com.microsoft.Sampling (x, x)": "Sampling is of the domain com.microsoft, not of ONNX's own",
}


@pytest.mark.parametrize("node", REFUSED)
def test_what_has_no_float64_result_is_named(node: str) -> None:
    model = parse(
        f"""g (float[2] x) => (float[2] y) <float r = {{0.5}}, bool t = {{1}}>
        {{ y = {node} }}""",
        '"" : 20, "com.microsoft" : 1',
    )
    with pytest.raises(Unsupported) as refused:
        raised(model)
    assert refused.value.what == REFUSED[node]


def test_bits_of_a_float_are_refused_with_the_name_of_the_node() -> None:
    model = parse('g (float[2] x) => (int32[2] y) { ["odd"] y = BitCast <to = 6> (x) }', '"" : 26')
    with pytest.raises(
        Unsupported, match=r"^BitCast 'odd': reads the bits of what is float64 here"
    ):
        Evaluator(model).run({"x": np.ones(2, np.float32)})


def test_a_scan_of_opset_8_is_refused() -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["a"], ["b"])],
        "body",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, [2])],
        [helper.make_tensor_value_info("b", TensorProto.FLOAT, [2])],
    )
    node = helper.make_node("Scan", ["", "x"], ["y"], num_scan_inputs=1, body=body)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, 2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 8)], ir_version=4)
    with pytest.raises(Unsupported, match=r"^Scan of opset 8: "):
        portable(model)


def test_an_operator_that_the_converter_does_not_know_is_told() -> None:
    model = parse(
        "g (float[1, 1, 2, 2] x) => (float[1, 1, 4, 4] y) <float[4] s = {1, 1, 2, 2}>"
        ' { y = Upsample <mode = "nearest"> (x, s) }',
        '"" : 9',
        4,
    )
    got = Evaluator(model).run({"x": np.arange(4.0).reshape(1, 1, 2, 2)})["y"]
    assert got[0, 0].tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]


def test_a_model_of_ir_3_whose_weights_are_no_inputs_is_converted() -> None:
    """Not as the standard has it, but runtimes take it; the converter does only from IR 4 on."""
    model = parse(
        "g (float[1, 2] x) => (float[1, 2] y) <float[2] w = {3, 4}> { y = Mul (x, w) }", '"" : 9', 3
    )
    got = Evaluator(model).run({"x": np.array([[1.0, 2.0]])})["y"]
    assert got.tolist() == [[3, 8]]


def tree(true: list[int]) -> ModelProto:
    return parse(
        f"""g (float[2, 1] x) => (float[2, 1] y) {{ ["wood"]
        y = ai.onnx.ml.TreeEnsembleRegressor <
            n_targets = 1, nodes_treeids = [0, 0, 0], nodes_nodeids = [0, 1, 2],
            nodes_featureids = [0, 0, 0], nodes_values = [0.0, 0.0, 0.0],
            nodes_modes = ["BRANCH_LEQ", "BRANCH_LEQ", "LEAF"],
            nodes_truenodeids = {true}, nodes_falsenodeids = [2, 2, 0], target_treeids = [0],
            target_nodeids = [2], target_ids = [0], target_weights = [1.0]
        > (x) }}""",
        '"" : 20, "ai.onnx.ml" : 3',
    )


def test_a_tree_that_leads_in_a_circle_is_refused_before_anybody_walks_it() -> None:
    raised(tree([1, 2, 0]))
    with pytest.raises(
        Unsupported, match=r"^TreeEnsembleRegressor 'wood': tree 0 leads in a circle$"
    ):
        raised(tree([1, 0, 0]))
