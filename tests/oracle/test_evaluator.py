"""A model on the reference evaluator: exact, or as it is; what it cannot do is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import ModelProto

from toolkit.oracle.evaluator import Evaluator
from toolkit.oracle.portable import Unsupported


def parse(body: str, opset: int = 20) -> ModelProto:
    return onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : {opset}]> {body}')


def test_outputs_are_named_and_float64() -> None:
    model = parse(
        "g (float[2] x, int64[2] k) => (float[2] y, int64[2] z) { y = Exp (x) z = Abs (k) }"
    )
    got = Evaluator(model).run({"x": np.array([0.5, 1], np.float32), "k": np.array([-3, 4])})
    assert list(got) == ["y", "z"]
    assert (got["y"].dtype.name, got["z"].dtype.name) == ("float64", "int64")
    assert got["y"].tolist() == np.exp([0.5, 1.0]).tolist()


def test_as_it_is_it_computes_in_the_types_of_the_file() -> None:
    model = parse("g (float[1] x) => (float[1] y) { y = Erf (x) }")
    got = Evaluator(model, exact=False).run({"x": np.array([0.3], np.float32)})
    assert got["y"].dtype == np.float32


def test_bfloat16_comes_in_as_its_bits() -> None:
    model = parse("g (bfloat16[2] x) => (float[2] y) { y = Cast <to = 1> (x) }")
    bits = np.array([1.5, -0.25], ml_dtypes.bfloat16).view(np.uint16)
    assert Evaluator(model).run({"x": bits})["y"].tolist() == [1.5, -0.25]
    assert Evaluator(model, exact=False).run({"x": bits})["y"].tolist() == [1.5, -0.25]


def test_an_output_may_be_an_input_or_an_initializer_and_a_result_used_late() -> None:
    model = parse(
        """g (float[1] x) => (float[1] x, float[1] w, float[1] y) <float[1] w = {4}>
        { a = Add (x, w) b = Neg (a) c = Abs (b) y = Add (c, a) }"""
    )
    got = Evaluator(model).run({"x": np.array([1.0])})
    assert {name: array.tolist() for name, array in got.items()} == {"x": [1], "w": [4], "y": [10]}


def test_a_branch_sees_results_from_around_it() -> None:
    model = parse(
        """g (bool c, float[1] x) => (float[1] y)
        {
            a = Neg (x)
            b = Abs (x)
            y = If (c) <
                then_branch = t () => (float[1] p) {
                    p = If (c) <
                        then_branch = u () => (float[1] q) { q = Add (a, b) },
                        else_branch = v () => (float[1] r) { r = Identity (a) }
                    >
                },
                else_branch = e () => (float[1] s) { s = Identity (b) }
            >
        }"""
    )
    evaluator = Evaluator(model)
    assert evaluator.run({"c": np.array(True), "x": np.array([3.0])})["y"].tolist() == [0]
    assert evaluator.run({"c": np.array(False), "x": np.array([3.0])})["y"].tolist() == [3]


def test_it_runs_twice_and_keeps_its_weights() -> None:
    evaluator = Evaluator(
        parse("g (float[1] x) => (float[1] y) <float[1] w = {4}> { y = Mul (x, w) }")
    )
    first = evaluator.run({"x": np.array([2.0])})
    assert evaluator.run({"x": np.array([2.0])})["y"].tolist() == first["y"].tolist() == [8]


def test_a_node_that_fails_is_named_with_its_reason() -> None:
    model = parse(
        'g (float[n] x) => (float[3, 4] y) <int64[2] s = {3, 4}> { ["fold"] y = Reshape (x, s) }'
    )
    with pytest.raises(Unsupported, match=r"^Reshape 'fold': cannot reshape array of size 5"):
        Evaluator(model).run({"x": np.zeros(5)})


def test_a_result_that_the_evaluator_rounds_is_refused() -> None:
    model = onnx.parser.parse_model(
        """
        <ir_version: 10, opset_import: ["" : 20, "ai.onnx.ml" : 4]>
        g (int64[2] x) => (float[2] y)
        { y = ai.onnx.ml.LabelEncoder <keys_int64s = [1, 2], values_floats = [0.5, 0.1]> (x) }
        """
    )
    with pytest.raises(Unsupported, match=r"^LabelEncoder: the evaluator rounds it to float32$"):
        Evaluator(model).run({"x": np.array([1, 2])})


def test_an_unknown_operator_is_told() -> None:
    model = parse("g (float[1] x) => (float[1] y) { y = Abs (x) }")
    model.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(
        Unsupported, match=r"^the ONNX reference evaluator cannot run it: .*NoSuchOp"
    ):
        Evaluator(model)


def test_an_output_that_is_a_sequence_is_told() -> None:
    model = parse(
        "g (float[4] x) => (seq(float[2]) y) <int64 two = {2}> { y = SplitToSequence (x, two) }"
    )
    with pytest.raises(Unsupported, match=r"^the output 'y' is no tensor$"):
        Evaluator(model).run({"x": np.zeros(4)})


def large(shape: tuple[int, ...]) -> onnx.TensorProto:
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    return onnx.numpy_helper.from_array(values, "w")


def test_feeds_together_give_what_each_gives_alone_and_a_refused_one_stops_no_other() -> None:
    model = parse("g (float[n, m] x) => (float[n, 64] y) { y = MatMul (x, w) }")
    model.graph.initializer.append(large((32, 64)))
    draw = np.random.default_rng(1)
    feeds = [{"x": draw.normal(size=(rows, width))} for rows, width in [(1, 32), (2, 31), (5, 32)]]
    evaluator = Evaluator(model)

    first, refused, last = evaluator.run_all(feeds)

    assert isinstance(refused, Unsupported)
    assert refused.what.startswith("MatMul: ")
    for feed, outputs in ((feeds[0], first), (feeds[2], last)):
        assert isinstance(outputs, dict)
        np.testing.assert_allclose(outputs["y"], evaluator.run(feed)["y"], rtol=0, atol=1e-13)


def test_many_bytes_go_one_feed_after_the_other() -> None:
    from toolkit.oracle.evaluator import TOGETHER, _groups

    few, many = {"x": np.zeros(10)}, {"x": np.zeros(TOGETHER // 8)}

    assert [len(group) for group in _groups([few, few, many, many, few])] == [2, 1, 1, 1]


def test_a_table_is_raised_only_where_it_is_read() -> None:
    """Rows of a table are taken in its own type, and raised then."""
    model = parse("g (int64[n] i) => (float[n, 64] y) { y = Gather (w, i) }")
    model.graph.initializer.append(large((32, 64)))
    table = onnx.numpy_helper.to_array(model.graph.initializer[0])

    got = Evaluator(model).run({"i": np.array([3, 31])})["y"]

    assert got.dtype == np.float64
    assert np.array_equal(got, table[[3, 31]].astype(np.float64))


def test_a_constant_that_a_branch_captures_is_there() -> None:
    model = parse(
        """g (bool c, float[n, 32] x) => (float[n, 64] y)
        {
            y = If (c) <
                then_branch = t () => (float[n, 64] p) { p = MatMul (x, w) },
                else_branch = e () => (float[n, 64] q) { r = MatMul (x, w) q = Neg (r) }
            >
        }"""
    )
    model.graph.initializer.append(large((32, 64)))
    x = np.random.default_rng(1).normal(size=(2, 32))
    evaluator = Evaluator(model)

    plain = evaluator.run({"c": np.array(True), "x": x})["y"]

    assert np.array_equal(evaluator.run({"c": np.array(False), "x": x})["y"], -plain)


def test_the_long_name_of_the_standard_is_the_same_domain() -> None:
    model = parse("g (float[1] x) => (float[1] y) { y = Erf (x) }")
    model.graph.node[0].domain = "ai.onnx"

    assert Evaluator(model).run({"x": np.array([0.3])})["y"].dtype == np.float64


def test_feeds_of_several_ranks_are_multiplied_by_one_matrix_at_once() -> None:
    model = parse("g (float[n, m, 32] x) => (float[n, m, 64] y) { y = MatMul (x, w) }")
    model.graph.initializer.append(large((32, 64)))
    weight = onnx.numpy_helper.to_array(model.graph.initializer[0]).astype(float)
    draw = np.random.default_rng(1)
    feeds = [{"x": draw.normal(size=(*lead, 32))} for lead in [(1, 3), (5, 2), (0, 4), (2, 1)]]

    for feed, outputs in zip(feeds, Evaluator(model).run_all(feeds), strict=True):
        assert isinstance(outputs, dict)
        assert outputs["y"].shape == (*feed["x"].shape[:-1], 64)
        np.testing.assert_allclose(outputs["y"], feed["x"] @ weight, rtol=0, atol=1e-12)


def test_feeds_that_do_not_fit_together_are_computed_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = parse("g (float[n, 32] x) => (float[n, 64] y) { y = MatMul (x, w) }")
    model.graph.initializer.append(large((32, 64)))
    weight = onnx.numpy_helper.to_array(model.graph.initializer[0]).astype(float)
    feeds = [{"x": np.ones((rows, 32))} for rows in (3, 9, 4)]
    step = Evaluator._step

    def narrow(
        self: Evaluator, node: Any, captured: Sequence[str], results: Mapping[str, Any]
    ) -> Sequence[Any]:
        if len(results["x"]) > 8:
            raise Unsupported("MatMul: Unable to allocate")
        return step(self, node, captured, results)

    monkeypatch.setattr(Evaluator, "_step", narrow)
    first, refused, last = Evaluator(model).run_all(feeds)

    assert isinstance(refused, Unsupported)
    for feed, outputs in ((feeds[0], first), (feeds[2], last)):
        assert isinstance(outputs, dict)
        np.testing.assert_allclose(outputs["y"], feed["x"] @ weight, rtol=0, atol=1e-12)


def test_what_no_node_computes_is_named() -> None:
    """The checker passes an output of a node that gives fewer outputs than it names."""
    model = parse("g (float[2] x) => (float[2] y, float[2] z) { y, z = Relu (x) }")
    with pytest.raises(Unsupported, match=r"^the output 'z' is computed by no node$"):
        Evaluator(model).run({"x": np.ones(2)})

    model = parse("g (float[2] x) => (float[2] y) { a, b = Relu (x) y = Neg (b) }")
    with pytest.raises(Unsupported, match=r"^Neg: its input 'b' is computed by no node$"):
        Evaluator(model).run({"x": np.ones(2)})
