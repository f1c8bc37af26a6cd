"""A detector that ends in NonMaxSuppression, with scores that tie, and answers made by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from toolkit.answers import simulate
from toolkit.answers.judge import Judge
from toolkit.engine import judges
from toolkit.engine.judges import JudgedFeed
from toolkit.onnxfiles import modelfile
from toolkit.oracle import oracles
from toolkit.tensors import Array, Feed

BOXES, CLASSES, FEEDS = 12, 5, 40
TIED = (2, 7)
"""Two boxes far from each other whose scores are equal: which one comes first is free."""
RIVALS = (3, 8)
"""Two boxes whose scores are equal and that overlap: which one is kept is free."""
AT_LIMIT = (4, 9)
"""Two boxes whose overlap is the limit, of which the first is better: whether the second is kept is
free."""
COVERED = (5, 10)
"""Two boxes that overlap, of which the first is better: the second is never kept."""
CLOSE = (0, 6)
"""Two boxes whose scores are closer than it looks, but a hundred times the noise apart."""
OVERLAP, LEAST = 0.5, -3.0
GATHERS = ("Gather", "GatherND", "Slice")


def detector(path: Path, gathers: str = "Gather") -> Path:
    """Writes a file with the outputs boxes, scores and labels of the boxes that are kept.

    `gathers` is the operator that takes them; 'Slice' takes the boxes' numbers by that operator in
    place of a Gather.
    """
    draw = np.random.default_rng(3)
    weights = {
        **_heads(draw),
        "as_boxes": np.array([1, BOXES, 4]),
        "as_classes": np.array([BOXES, CLASSES]),
        "as_scores": np.array([1, 1, BOXES]),
        "flat": np.array([-1]),
        "first": np.array([0]),
        "second": np.array([1]),
        "box": np.array([2]) if gathers == "Slice" else np.array(2),
        "end": np.array([3]),
        "most": np.array([BOXES]),
        "overlap": np.array([OVERLAP], np.float32),
        "least": np.array([LEAST], np.float32),
    }
    nodes = [
        node("MatMul", ["x", "to_scores"], ["scored"]),
        node("Add", ["scored", "better"], ["flat_scores"]),
        node("Reshape", ["flat_scores", "as_scores"], ["every_score"]),
        node("Reshape", ["flat_scores", "flat"], ["scores_of"]),
        node("MatMul", ["x", "to_boxes"], ["moved"]),
        node("Add", ["moved", "places"], ["placed"]),
        node("Reshape", ["placed", "as_boxes"], ["every_box"]),
        node("Squeeze", ["every_box", "first"], ["boxes_of"]),
        node("MatMul", ["x", "to_labels"], ["rated"]),
        node("Reshape", ["rated", "as_classes"], ["ratings"]),
        node("ArgMax", ["ratings"], ["labels_of"], axis=-1, keepdims=0),
        node(
            "NonMaxSuppression",
            ["every_box", "every_score", "most", "overlap", "least"],
            ["selected"],
        ),
        *_column(gathers),
        *_gathered(gathers),
    ]
    graph = helper.make_graph(
        nodes,
        "detector",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8])],
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["kept", 4]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["kept"]),
            helper.make_tensor_value_info("labels", TensorProto.INT64, ["kept"]),
        ],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return path


def node(operator: str, inputs: list[str], outputs: list[str], **attributes: Any) -> NodeProto:
    return helper.make_node(operator, inputs, outputs, **attributes)


def _heads(draw: np.random.Generator) -> dict[str, Array]:
    """The weights of scores, boxes and labels."""
    to_scores = draw.normal(size=(8, BOXES)) / 8
    to_boxes = draw.normal(size=(8, BOXES, 4)) / 100
    better = np.linspace(1, 0, BOXES)
    # Each box is a square of its own, two wide and high; ten apart from the next.
    corners = np.array([[10.0 * n, 0, 10 * n + 2, 2] for n in range(BOXES)])
    for first, second in (TIED, RIVALS, AT_LIMIT, COVERED, CLOSE):
        to_scores[:, second], better[second] = to_scores[:, first], better[first]
    better[CLOSE[1]] -= 1e-5
    for first, second in (AT_LIMIT, COVERED):
        better[second] -= 0.5
        to_boxes[:, [first, second]] = 0
    for (first, second), height in ((RIVALS, 1.8), (AT_LIMIT, 1), (COVERED, 1.9)):
        corners[second] = corners[first]
        corners[second, 3] = height
    return {
        "to_scores": to_scores.astype(np.float32),
        "to_boxes": to_boxes.reshape(8, -1).astype(np.float32),
        "to_labels": draw.normal(size=(8, BOXES * CLASSES)).astype(np.float32),
        "better": better.astype(np.float32)[None],
        "places": corners.reshape(1, -1).astype(np.float32),
    }


def _column(gathers: str) -> list[NodeProto]:
    if gathers == "Slice":
        return [
            node("Slice", ["selected", "box", "end", "second"], ["column"]),
            node("Squeeze", ["column", "second"], ["kept"]),
        ]
    return [node("Gather", ["selected", "box"], ["kept"], axis=1)]


def _gathered(gathers: str) -> list[NodeProto]:
    if gathers != "GatherND":
        return [node("Gather", [f"{n}_of", "kept"], [n]) for n in ("boxes", "scores", "labels")]
    return [
        node("Unsqueeze", ["kept", "second"], ["rows"]),
        *(node("GatherND", [f"{n}_of", "rows"], [n]) for n in ("boxes", "scores", "labels")),
    ]


@dataclass(frozen=True)
class Judged:
    """A detector with its judge, and all boxes in float32, of which an answer holds some."""

    judge: Judge
    every: Sequence[dict[str, Array]]
    """The boxes, scores and labels of each feed, and the numbers of those that are kept."""

    def answers(
        self, change: Callable[[list[int]], list[int]] = lambda kept: kept
    ) -> list[dict[str, Array]]:
        """The right float32 answers; with `change`, with the boxes that it makes of those kept."""
        return [
            {
                name: feed[f"{name}_of"][change([*feed["kept"]])]
                for name in ("boxes", "scores", "labels")
            }
            for feed in self.every
        ]


def judged(path: Path) -> Judged:
    """Builds the judge of a detector's file."""
    draw = np.random.default_rng(4)
    feeds: list[Feed] = [{"x": draw.normal(size=(1, 8)).astype(np.float32)} for _ in range(FEEDS)]
    oracle = oracles.of_model(onnx.load(path))
    built = judges.build(
        modelfile.open_once(path),
        [JudgedFeed(f, oracle.answer(f), oracle.in_float32(f)) for f in feeds],
        origin="the file",
        start=simulate.reference_runner,
        bare=True,
    )
    model = onnx.load(path)
    for name in ("boxes_of", "scores_of", "labels_of", "kept"):
        model.graph.output.append(onnx.ValueInfoProto(name=name))
    return Judged(built.judge, simulate.run_on_reference(model, feeds))
