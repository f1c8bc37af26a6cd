"""Finds the tensors behind an output, and a copy shows them."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.answers.networks import (
    SHAPES,
    Builder,
    classifier,
    feeds,
    labeller,
    mlp,
    onnxruntime_runner,
)
from toolkit.answers.gathered import Chooser, Gathering
from toolkit.answers.indices import Choice
from toolkit.answers.intermediates import exposed, find
from toolkit.answers.suppressed import Suppression
from toolkit.onnxfiles import thinmodels


def test_the_logits_before_a_sigmoid_or_a_softmax_are_looked_at() -> None:
    for model in (mlp(), classifier()):
        last = model.graph.node[-1]

        assert find(model).saturated == {model.graph.output[0].name: last.input[0]}


def test_the_input_of_an_argmax_is_looked_at() -> None:
    model = labeller()
    last = model.graph.node[-1]

    assert find(model).choices == {last.output[0]: Choice("ArgMax", last.input[0], 1)}


def test_operators_that_only_move_values_are_looked_through() -> None:
    b = Builder(0)
    logits = b.gemm("x", 64, 10)
    chosen = b.node("ArgMax", logits, axis=-1)
    moved = b.node("Cast", b.node("Flatten", chosen), to=TensorProto.INT32)

    intermediates = find(b.model(["batch", 64], (moved, TensorProto.INT32)))

    assert intermediates.choices == {moved: Choice("ArgMax", logits, -1)}


def test_both_outputs_of_topk_are_told_apart() -> None:
    b = Builder(0)
    logits, k = b.gemm("x", 64, 10), b.constant(np.array([3]))
    b.nodes.append(onnx.helper.make_node("TopK", [logits, k], ["best", "where"], sorted=0))

    intermediates = find(
        b.model(["n", 64], ("best", TensorProto.FLOAT), ("where", TensorProto.INT64))
    )

    assert intermediates.choices == {"where": Choice("TopK", logits, -1, ordered=False)}
    assert intermediates.saturated == {}


def test_what_is_gathered_by_chosen_indices_is_looked_at() -> None:
    b = Builder(0)
    logits, data = b.gemm("x", 64, 10), b.gemm("x", 64, 10)
    chosen = b.node("ArgMax", logits, axis=1)
    gathered = b.node("Flatten", b.node("GatherElements", data, chosen, axis=1))

    intermediates = find(b.model(["batch", 64], (gathered, TensorProto.FLOAT)))

    chooser = Chooser(Choice("ArgMax", logits, 1), chosen)
    assert intermediates.gathered == {gathered: Gathering("GatherElements", data, 1, (1,), chooser)}
    assert intermediates.tensors() == (logits, chosen, data)


def test_selected_boxes_are_looked_at_by_their_scores() -> None:
    b = Builder(0)
    boxes, scores = (
        b.node("Reshape", b.gemm("x", 64, n), b.constant(np.array(s)))
        for n, s in ((40, [1, 10, 4]), (20, [1, 2, 10]))
    )
    kept = b.node("NonMaxSuppression", boxes, scores)

    intermediates = find(b.model([1, 64], (kept, TensorProto.INT64)))

    assert intermediates.choices == {kept: Choice("NonMaxSuppression", scores, 2)}


def selecting(b: Builder, least: str = "") -> tuple[str, str, str]:
    """Boxes (1, 10, 4), and those that NonMaxSuppression selects of them by two classes."""
    boxes, scores = (
        b.node("Reshape", b.gemm("x", 64, n), b.constant(np.array(s)))
        for n, s in ((40, [1, 10, 4]), (20, [1, 2, 10]))
    )
    most, overlap = b.constant(np.array([9])), b.constant(np.array([0.5], np.float32))
    return boxes, scores, b.node("NonMaxSuppression", boxes, scores, most, overlap, least)


def column(b: Builder, selected: str, place: int, how: str) -> str:
    if how == "Gather":
        return b.node("Gather", selected, b.constant(np.array([place - 3])), axis=1)
    start, end, axis = (b.constant(np.array([n])) for n in (place, place + 1, -1))
    return b.node("Slice", selected, start, end, axis)


@pytest.mark.parametrize("how", ["Gather", "Slice"])
def test_columns_of_selected_boxes_are_followed(how: str) -> None:
    b = Builder(0)
    boxes, scores, selected = selecting(b)
    places = b.node("Concat", *(column(b, selected, n, how) for n in (0, 2)), axis=1)
    each = b.node("GatherND", boxes, places)
    number = b.node("Squeeze", column(b, selected, 2, how))

    found = find(b.model([1, 64], (each, TensorProto.FLOAT), (number, TensorProto.INT64)))

    suppression = Suppression(boxes, 9, 0.5, None, centred=False)
    chooser = Chooser(Choice("NonMaxSuppression", scores, 2), selected, suppression)
    assert found.gathered == {
        each: Gathering("GatherND", boxes, 0, (0, 2), chooser),
        number: Gathering("Identity", "", 0, (2,), chooser),
    }


def test_boxes_that_a_computed_threshold_selects_are_not_followed() -> None:
    b = Builder(0)
    least = b.node("ReduceMean", b.gemm("x", 64, 1), keepdims=0)
    _, scores, selected = selecting(b, least)

    found = find(b.model([1, 64], (selected, TensorProto.INT64)))

    assert found.gathered == {}
    assert found.choices == {selected: Choice("NonMaxSuppression", scores, 2)}


def test_an_argmax_of_the_input_itself_needs_no_intermediate_output() -> None:
    b = Builder(0)

    intermediates = find(b.model(["batch", 64], (b.node("ArgMax", "x", axis=1), TensorProto.INT64)))

    assert intermediates.tensors() == ()


def test_a_copy_that_exposes_a_tensor_is_valid_and_gives_the_same_besides() -> None:
    model, each = classifier(), feeds(SHAPES["classifier"], count=1)
    before = model.SerializeToString()
    copy = exposed(thinmodels.of_model(model), find(model)).whole()

    onnx.checker.check_model(copy)
    (plain,), (seen,) = onnxruntime_runner(model, each), onnxruntime_runner(copy, each)

    (name,), (hidden,) = plain, find(model).tensors()
    assert list(seen) == [name, hidden]
    np.testing.assert_array_equal(seen[name], plain[name])
    assert seen[hidden].min() < 0
    assert model.SerializeToString() == before


@pytest.mark.parametrize("operator", ["ArgMax", "Sigmoid", "Identity", "NonMaxSuppression"])
def test_a_node_without_inputs_has_nothing_behind_it(operator: str) -> None:
    """No checker lets it pass everywhere, and a damaged file may hold it."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])
    nodes = [helper.make_node(operator, [], ["y"])]
    graph = helper.make_graph(nodes, "g", [x], [onnx.ValueInfoProto(name="y")])

    assert find(helper.make_model(graph)).tensors() == ()
