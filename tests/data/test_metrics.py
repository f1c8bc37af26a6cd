"""Every metric, held against torchmetrics, and its resamples against repeated examples."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper

from tests import needs
from toolkit.data import labellings, metrics
from toolkit.data.labellings import IGNORED, LabelKind, Labelling
from toolkit.data.metrics import Metric
from toolkit.errors import InputError, TargetError

try:
    from torchmetrics.functional import classification, regression, text
except ImportError:
    needs.absent("torchmetrics is not installed")

DRAW = np.random.default_rng(3)
CLASSES = DRAW.integers(6, size=80)
SCORES = (np.eye(6)[CLASSES] + DRAW.normal(size=(80, 6))).astype(np.float32)
SCORES[::7] = np.round(SCORES[::7])  # Some are equal.
BITS = DRAW.integers(2, size=(80, 3))
MARKS = (BITS + DRAW.normal(size=(80, 3))).astype(np.float32) - np.float32(0.5)
NUMBERS = DRAW.normal(size=(80, 4)).astype(np.float32)
TOKENS = DRAW.integers(5, size=(20, 7))
TOKENS[:, 5:] = IGNORED
LOGITS = DRAW.normal(size=(20, 7, 5)).astype(np.float32)


def made(name: str, output: np.ndarray, labels: np.ndarray) -> tuple[Metric, np.ndarray]:
    labelling = labellings.find({"y": output}, labels, onnx.ModelProto())
    metric = metrics.metric(name, labelling)
    return metric, metric.rows({"y": output}, labels)


def tensors(*arrays: np.ndarray) -> list[torch.Tensor]:
    return [torch.from_numpy(np.ascontiguousarray(array)) for array in arrays]


X, Y = tensors(SCORES, CLASSES)
N, L, T = tensors(NUMBERS, LOGITS, TOKENS)
M, B = tensors(1 / (1 + np.exp(-MARKS)), BITS)
EXPECTED: dict[str, tuple[str, np.ndarray, np.ndarray, Any]] = {
    "accuracy": (
        "accuracy", SCORES, CLASSES,
        classification.multiclass_accuracy(X, Y, 6, average="micro"),
    ),
    "top5": ("top5", SCORES, CLASSES, classification.multiclass_accuracy(X, Y, 6, "micro", 5)),
    "all labels": ("accuracy", MARKS, BITS, classification.multilabel_exact_match(M, B, 3)),
    "f1": ("f1", SCORES, CLASSES, classification.multiclass_f1_score(X, Y, 6)),
    "f1 of labels": ("f1", MARKS, BITS, classification.multilabel_f1_score(M, B, 3)),
    "f1 of one": (
        "f1", MARKS[:, :1], BITS[:, 0], classification.binary_f1_score(M[:, 0], B[:, 0])
    ),
    "auc": ("auc", SCORES, CLASSES, classification.multiclass_auroc(X.softmax(1), Y, 6)),
    "auc of labels": ("auc", MARKS, BITS, classification.multilabel_auroc(M, B, 3)),
    "auc of one": (
        "auc", MARKS[:, 0], BITS[:, 0], classification.binary_auroc(M[:, 0], B[:, 0])
    ),
    "map of labels": ("map", MARKS, BITS, classification.multilabel_average_precision(M, B, 3)),
    "rmse": (
        "rmse", NUMBERS, NUMBERS * 1.5,
        regression.mean_squared_error(N, N * 1.5, squared=False),
    ),
    "perplexity": (
        "perplexity", LOGITS, TOKENS,
        text.perplexity(L, T, ignore_index=IGNORED),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", EXPECTED)
def test_a_metric_is_that_of_torchmetrics(case: str) -> None:
    name, output, labels, expected = EXPECTED[case]

    metric, rows = made(name, output, labels)

    assert metric.value(rows) == pytest.approx(float(expected), rel=2e-6)
    assert metric.statistic(rows, None) == pytest.approx(float(expected), rel=2e-6)


@pytest.mark.parametrize("case", EXPECTED)
def test_an_example_that_weighs_three_counts_as_three(case: str) -> None:
    name, output, labels, _ = EXPECTED[case]
    weights = np.random.default_rng(0).integers(4, size=len(labels))

    metric, rows = made(name, output, labels)

    repeated = metric.statistic(np.repeat(rows, weights, axis=0), None)
    assert metric.statistic(rows, weights.astype(float)) == pytest.approx(repeated, rel=1e-12)


@pytest.mark.parametrize(
    ("output", "labels", "kind"),
    [
        (SCORES, CLASSES, LabelKind.CLASSES),
        (SCORES.argmax(1), CLASSES, LabelKind.CHOSEN),
        (MARKS[:, :1], BITS[:, 0], LabelKind.BINARY),
        (MARKS, BITS, LabelKind.MARKED),
        (LOGITS, TOKENS, LabelKind.TOKENS),
        (NUMBERS, NUMBERS, LabelKind.NUMBERS),
    ],
)
def test_the_kind_of_labels_is_seen(
    output: np.ndarray, labels: np.ndarray, kind: LabelKind
) -> None:
    assert labellings.find({"y": output}, labels, onnx.ModelProto()).kind is kind


def test_labels_that_fit_no_output_are_told_with_all_shapes() -> None:
    with pytest.raises(
        InputError, match=r"no output fits labels of the type int64\[3\]; .*y.*\[6\]"
    ):
        labellings.find({"y": SCORES}, BITS, onnx.ModelProto())


@pytest.mark.parametrize(("last", "threshold"), [("Sigmoid", 0.5), ("Neg", 0.0)])
def test_behind_a_sigmoid_the_middle_is_a_half_and_that_of_logits_is_0(
    last: str, threshold: float
) -> None:
    nodes = [helper.make_node(last, ["a"], ["b"]), helper.make_node("Squeeze", ["b"], ["y"])]
    model = helper.make_model(helper.make_graph(nodes, "g", [], []))

    assert labellings.threshold(model, "y") == threshold


def labelling(kind: LabelKind, classes: int) -> Labelling:
    return Labelling(kind, "y", classes, 0.5)


@pytest.mark.parametrize(
    ("of", "labels", "what"),
    [
        (labelling(LabelKind.CLASSES, 3), [0, 3], "label 3 of example 11 is not one of the 3"),
        (labelling(LabelKind.CLASSES, 3), [-1, 2], "label -1 of example 10 is not one of the 3"),
        (labelling(LabelKind.BINARY, 1), [0, 2], "label 2 of example 11 is not 0 or 1"),
        (labelling(LabelKind.NUMBERS, 0), [0.5, np.nan], "label nan of example 11 is not a finite"),
    ],
)
def test_a_label_outside_the_classes_is_named(of: Labelling, labels: Any, what: str) -> None:
    with pytest.raises(InputError, match=what):
        labellings.demand_labels(of, np.array(labels), np.array([10, 11]))


def test_an_answer_that_is_no_number_is_wrong_and_has_no_mean() -> None:
    broken = SCORES.copy()
    broken[0] = np.nan

    _, rows = made("accuracy", broken, CLASSES)

    assert rows[0].tolist() == [0.0, metrics.UNKNOWN]
    with pytest.raises(TargetError, match="it gives NaN in 'y'"):
        made("auc", broken, CLASSES)


@pytest.mark.parametrize(
    ("name", "output", "labels", "what"),
    [
        ("rmse", SCORES, CLASSES, "--metric rmse: the labels and 'y' are classes; these have acc"),
        ("top5", SCORES[:, :4], CLASSES % 4, "--metric top5: the model has 4 classes only"),
    ],
)
def test_a_metric_that_such_labels_do_not_have_is_refused(
    name: str, output: np.ndarray, labels: np.ndarray, what: str
) -> None:
    with pytest.raises(InputError, match=what):
        made(name, output, labels)


def test_scores_that_only_round_otherwise_are_no_difference_of_their_order() -> None:
    metric, rows = made("auc", MARKS, BITS)
    _, others = made("auc", MARKS + np.float32(1e-3), BITS)

    assert (rows != others).any()
    assert not metric.changes(rows, others).any()


def test_an_unknown_metric_is_told_with_all() -> None:
    with pytest.raises(InputError, match=r"no metric is called 'accuray'; .*Did you mean accuracy"):
        metrics.demand_known(("accuray",))
