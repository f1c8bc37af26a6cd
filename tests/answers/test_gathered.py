"""What is gathered by another choice among equals is no fault; by any other choice it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

from toolkit.answers import simulate
from toolkit.answers.gathered import Candidates, Gathering
from toolkit.answers.indices import Choice
from toolkit.answers.judge import Judge
from toolkit.engine import judges
from toolkit.engine.judges import JudgedFeed
from toolkit.onnxfiles import modelfile
from toolkit.oracle import oracles
from toolkit.tensors import Array, Feed

DRAW = np.random.default_rng(8)
ROWS, SIZE, KEPT, WIDTH = 50, 10, 4, 6
TIED = (2, 7)
"""Two candidates whose logits are equal: which of them is chosen is free."""


def node(operator: str, inputs: list[str], outputs: list[str], **attributes: int) -> NodeProto:
    return helper.make_node(operator, inputs, outputs, None, None, None, None, **attributes)


def detector(path: Path, operator: str) -> Path:
    """Boxes of the KEPT best of SIZE candidates, two of which tie in every row."""
    scores = DRAW.normal(size=(8, SIZE))
    scores[:, TIED[1]] = scores[:, TIED[0]]
    weights = {
        "scores_w": scores.astype(np.float32),
        "boxes_w": DRAW.normal(size=(8, SIZE * WIDTH)).astype(np.float32),
        "k": np.array([KEPT]),
        "boxes_shape": np.array([0, SIZE, WIDTH]),
        "last": np.array([-1]),
        "expanded": np.array([1, 1, WIDTH]),
        "flat": np.array([-1, WIDTH]),
        "row": np.array([0]),
    }
    nodes = [
        node("MatMul", ["x", "scores_w"], ["scores"]),
        node("MatMul", ["x", "boxes_w"], ["boxes_flat"]),
        node("Reshape", ["boxes_flat", "boxes_shape"], ["boxes"]),
        node("TopK", ["scores", "k"], ["best", "chosen"], axis=1),
    ]
    if operator == "GatherElements":
        nodes += [
            node("Unsqueeze", ["chosen", "last"], ["chosen3"]),
            node("Expand", ["chosen3", "expanded"], ["where"]),
            node("GatherElements", ["boxes", "where"], ["y"], axis=1),
        ]
        rows, shape = ROWS, [ROWS, KEPT, WIDTH]
    else:
        nodes += [
            node("Squeeze", ["boxes", "row"], ["table"]),
            node("Gather", ["table", "chosen"], ["y"], axis=0),
        ]
        rows, shape = 1, [1, KEPT, WIDTH]
    graph = helper.make_graph(
        nodes,
        "detector",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return path


def judge(path: Path) -> tuple[Judge, list[Feed], list[dict[str, Array]]]:
    """The judge, its feeds, and right float32 answers."""
    file = modelfile.read(path)
    rows = file.inputs[0].shape[0] if file.inputs[0].shape else 1
    assert isinstance(rows, int)
    count = max(2, 60 // rows)
    feeds: list[Feed] = [
        {"x": DRAW.normal(size=(rows, 8)).astype(np.float32)} for _ in range(count)
    ]
    oracle = oracles.of_model(onnx.load(path))
    judged = [JudgedFeed(f, oracle.answer(f), oracle.in_float32(f)) for f in feeds]
    built = judges.build(
        modelfile.open_once(path),
        judged,
        origin="the file",
        start=simulate.reference_runner,
        bare=True,
    )
    return built.judge, feeds, simulate.run_on_reference(onnx.load(path), feeds)


def chosen(path: Path, feed: Feed, *, swap: bool, other: int | None = None) -> Array:
    """The output by hand, in float32: with the tied candidates swapped, or with one replaced."""
    weights = {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}
    scores = feed["x"] @ weights["scores_w"]
    boxes = (feed["x"] @ weights["boxes_w"]).reshape(-1, SIZE, WIDTH)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :KEPT]
    if swap:
        first, second = order == TIED[0], order == TIED[1]
        order = np.where(first, TIED[1], np.where(second, TIED[0], order))
    if other is not None:
        order = order.copy()
        order[0, 0] = next(i for i in range(SIZE) if i not in (*order[0], *TIED))
    return np.take_along_axis(boxes, order[..., None], axis=1)


@pytest.mark.parametrize("operator", ["Gather", "GatherElements"])
def test_the_boxes_of_another_choice_among_equals_are_right(tmp_path: Path, operator: str) -> None:
    path = detector(tmp_path / "m.onnx", operator)
    judging, feeds, right = judge(path)
    shape = right[0]["y"].shape
    swapped = [{"y": chosen(path, f, swap=True).reshape(shape)} for f in feeds]
    assert any(not np.allclose(a["y"], b["y"]) for a, b in zip(swapped, right, strict=True))

    verdict = judging.verdict(swapped)

    assert verdict.right, verdict.reason
    assert "gathered by another choice among equals" in verdict.outputs[0].evidence
    assert judging.verdict(right).right
    whole = judging.whole.verdict(swapped)
    assert (whole.text, whole.reason) == (verdict.text, verdict.reason)
    assert judging.border(swapped, verdict).within


@pytest.mark.parametrize("operator", ["Gather", "GatherElements"])
def test_the_boxes_of_a_worse_choice_are_wrong(tmp_path: Path, operator: str) -> None:
    path = detector(tmp_path / "m.onnx", operator)
    judging, feeds, right = judge(path)
    shape = right[0]["y"].shape
    worse = [{"y": chosen(path, f, swap=True, other=0).reshape(shape)} for f in feeds]

    assert not judging.verdict(worse).right


def candidates(data: Array, logits: Array, indices: Array) -> Candidates:
    gathering = Gathering("Gather", "d", "i", 0, Choice("TopK", "l", -1))
    return Candidates(gathering, data, indices, logits, 1e-7)


def test_a_slice_that_is_there_twice_is_no_choice_among_equals() -> None:
    data = np.arange(8.0).reshape(4, 2)
    pair = candidates(data, np.array([1.0, 1.0, 0.0, 0.0]), np.array([0, 1]))

    swapped, moved = pair.aligned(data[[1, 0]])
    twice, kept = pair.aligned(data[[1, 1]])

    assert moved == 2
    np.testing.assert_array_equal(swapped, data[[0, 1]])
    assert kept == 0
    np.testing.assert_array_equal(twice, data[[1, 1]])


def test_errors_stay_what_they_were_against_what_was_chosen() -> None:
    data = np.arange(8.0).reshape(4, 2)
    pair = candidates(data, np.array([1.0, 1.0, 0.0, 0.0]), np.array([0]))

    moved, _ = pair.aligned(data[[1]] + 1e-3)

    np.testing.assert_allclose(moved - data[[0]], 1e-3)


def test_rows_that_the_graph_rearranged_are_left_alone() -> None:
    data = np.arange(8.0).reshape(4, 2)
    strange = candidates(data, np.zeros((3, 4)), np.array([0, 1]))

    answer, moved = strange.aligned(data[[1, 0]])

    assert moved == 0
    np.testing.assert_array_equal(answer, data[[1, 0]])
