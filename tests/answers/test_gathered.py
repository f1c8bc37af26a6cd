"""What is gathered by another choice among equals is no fault; by any other choice it is."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

from toolkit.answers import simulate
from toolkit.answers.choosing import FeedChoice, of_feeds
from toolkit.answers.gathered import Chooser, Gathering
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


Detected: TypeAlias = tuple[Path, Judge, list[Feed], list[dict[str, Array]]]
OPERATORS = ("Gather", "GatherElements", "GatherND")


def detector(path: Path, operator: str) -> Path:
    """Boxes and labels of the KEPT best of SIZE candidates, two of which tie in every row."""
    scores = DRAW.normal(size=(8, SIZE))
    scores[:, TIED[1]] = scores[:, TIED[0]]
    weights = {
        "scores_w": scores.astype(np.float32),
        "boxes_w": DRAW.normal(size=(8, SIZE * WIDTH)).astype(np.float32),
        "k": np.array([KEPT]),
        "labels_w": DRAW.normal(size=(8, SIZE * WIDTH)).astype(np.float32),
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
        node("MatMul", ["x", "labels_w"], ["ratings_flat"]),
        node("Reshape", ["ratings_flat", "boxes_shape"], ["ratings"]),
        node("ArgMax", ["ratings"], ["labels"], axis=2, keepdims=0),
        node("TopK", ["scores", "k"], ["best", "chosen"], axis=1),
    ]
    if operator == "GatherElements":
        nodes += [
            node("Unsqueeze", ["chosen", "last"], ["chosen3"]),
            node("Expand", ["chosen3", "expanded"], ["where"]),
            node("GatherElements", ["boxes", "where"], ["y"], axis=1),
            node("GatherElements", ["labels", "chosen"], ["label"], axis=1),
        ]
        rows, shape = ROWS, [ROWS, KEPT, WIDTH]
    else:
        nodes += [
            node("Squeeze", ["boxes", "row"], ["table"]),
            node("Squeeze", ["labels", "row"], ["label_table"]),
        ]
        if operator == "Gather":
            nodes += [
                node("Gather", ["table", "chosen"], ["y"], axis=0),
                node("Gather", ["label_table", "chosen"], ["label"], axis=0),
            ]
        else:
            nodes += [
                node("Unsqueeze", ["chosen", "last"], ["where"]),
                node("GatherND", ["table", "where"], ["y"]),
                node("GatherND", ["label_table", "where"], ["label"]),
            ]
        rows, shape = 1, [1, KEPT, WIDTH]
    graph = helper.make_graph(
        nodes,
        "detector",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, 8])],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, shape),
            helper.make_tensor_value_info("label", TensorProto.INT64, shape[:2]),
        ],
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


def chosen(path: Path, feed: Feed, *, swap: bool, worse: bool = False) -> dict[str, Array]:
    """The outputs by hand, in float32: with the tied candidates swapped, or with a worse one."""
    weights = {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}
    scores = feed["x"] @ weights["scores_w"]
    boxes = (feed["x"] @ weights["boxes_w"]).reshape(-1, SIZE, WIDTH)
    labels = (feed["x"] @ weights["labels_w"]).reshape(-1, SIZE, WIDTH).argmax(-1)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :KEPT]
    if swap:
        first, second = order == TIED[0], order == TIED[1]
        order = np.where(first, TIED[1], np.where(second, TIED[0], order))
    if worse:
        order = order.copy()
        order[0, 0] = next(i for i in range(SIZE) if i not in (*order[0], *TIED))
    return {
        "y": np.take_along_axis(boxes, order[..., None], axis=1),
        "label": np.take_along_axis(labels, order, axis=1),
    }


@pytest.fixture(scope="module", params=OPERATORS)
def detected(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Detected:
    path = detector(tmp_path_factory.mktemp("detector") / "m.onnx", request.param)
    return path, *judge(path)


def test_what_another_choice_among_equals_gathers_is_right(detected: Detected) -> None:
    path, judging, feeds, right = detected
    swapped = [chosen(path, f, swap=True) for f in feeds]
    assert any(not np.allclose(a["y"], b["y"]) for a, b in zip(swapped, right, strict=True))
    assert any((a["label"] != b["label"]).any() for a, b in zip(swapped, right, strict=True))

    verdict = judging.verdict(swapped)

    assert verdict.right, verdict.reason
    for output in verdict.outputs:
        assert "gathered by another choice among equals" in output.evidence
    assert judging.verdict(right).right
    whole = judging.whole.verdict(swapped)
    assert (whole.text, whole.reason) == (verdict.text, verdict.reason)
    assert judging.border(swapped, verdict).within


def test_what_a_worse_choice_gathers_is_wrong(detected: Detected) -> None:
    path, judging, feeds, _ = detected
    worse = [chosen(path, f, swap=True, worse=True) for f in feeds]

    assert not judging.verdict(worse).right


def test_labels_of_another_choice_than_the_boxes_are_wrong(detected: Detected) -> None:
    path, judging, feeds, right = detected
    labels = [chosen(path, f, swap=True)["label"] for f in feeds]
    mixed = [{**a, "label": b} for a, b in zip(right, labels, strict=True)]

    assert not judging.verdict(mixed).right
    assert not judging.whole.verdict(mixed).right


def choice(
    data: Array, logits: Array, indices: Array, labels: Array | None = None
) -> FeedChoice | None:
    """Slices of data, and labels beside them, gathered by indices that TopK chose."""
    chooser = Chooser(Choice("TopK", "logits", -1), "indices")
    tensors = {"y": data, "label": np.arange(len(data)) if labels is None else labels}
    values = {f"all {name}": each for name, each in tensors.items()}
    values |= {name: each[indices] for name, each in tensors.items()}
    values |= {"logits": logits, "indices": indices}
    gathered = {name: Gathering("Gather", f"all {name}", 0, (1,), chooser) for name in tensors}
    plain = {**values, "logits": logits + 1e-7}
    feeds = of_feeds(chooser, gathered, [values], [[plain]])
    return None if feeds is None else feeds[0]


TIED_DATA = np.arange(8.0).reshape(4, 2)
TIED_LOGITS = np.array([1.0, 1.0, 0.0, 0.0])


def held(*order: int, labels: tuple[int, ...] | None = None, off: float = 0.0) -> Array | None:
    """The candidates that an answer shows, where TopK chose 0 and 1, which are equal."""
    known = choice(TIED_DATA, TIED_LOGITS, np.array([0, 1]))
    assert known is not None
    answer = {
        "y": TIED_DATA[[*order]] + off,
        "label": np.array(order if labels is None else labels),
    }
    return known.of_answer(answer)


def test_all_outputs_of_one_choice_are_looked_at_together() -> None:
    np.testing.assert_array_equal(held(1, 0), [1, 0])
    np.testing.assert_array_equal(held(0, 1), [0, 1])
    # Labels have no precision: they say which slice is meant, and the slices are wrong for it.
    np.testing.assert_array_equal(held(0, 1, labels=(1, 0)), [1, 0])


def test_a_slice_that_is_there_twice_is_no_choice_among_equals() -> None:
    np.testing.assert_array_equal(held(1, 1), [0, 1])


def test_a_candidate_that_is_not_equal_is_none() -> None:
    np.testing.assert_array_equal(held(2, 1), [0, 1])


def test_slices_with_errors_are_those_that_are_nearest() -> None:
    np.testing.assert_array_equal(held(1, 0, off=0.3), [1, 0])


def test_an_answer_with_more_slices_than_were_asked_for_shows_no_choice() -> None:
    assert held(0, 1, 2) is None


def test_what_is_right_comes_from_the_oracle_where_it_has_the_slice() -> None:
    known = choice(TIED_DATA, np.array([1.0, 1.0, 1.0, 0.0]), np.array([0, 1]))
    assert known is not None
    oracle = TIED_DATA[[0, 1]] + 1e-9

    right = known.right("y", np.array([1, 2]), np.array([0, 1]), oracle, (2, 2))

    np.testing.assert_array_equal(right, [oracle[1], TIED_DATA[2]])


def test_rows_that_the_graph_rearranged_are_left_alone() -> None:
    chooser = Chooser(Choice("TopK", "logits", -1), "indices")
    gathered = {"y": Gathering("Gather", "data", 0, (1,), chooser)}
    values = {
        "logits": np.zeros((1, 4)),
        "indices": np.array([[0, 1]]),
        "data": TIED_DATA,
        "y": TIED_DATA[[1, 0]],
    }

    assert of_feeds(chooser, gathered, [values], [[values]]) is None
