"""The kinds of labels, by the labels themselves and the model's outputs.

| labels, one an example | output, one an example | labelling |
|---|---|---|
| a class, integer | scores of 2 or more classes | CLASSES |
| a class, integer | a class, integer | CHOSEN |
| 0 or 1, integer or bool | one score | BINARY |
| several of 0 or 1, integer or bool | as many scores | MARKED |
| a class each position, integer | scores of classes at each position | TOKENS |
| numbers, float | as many numbers | NUMBERS |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from onnx import ModelProto, NodeProto

from toolkit.errors import InputError
from toolkit.tensors import Array

IGNORED = -100
"""The label of a position that does not count, as PyTorch's cross-entropy and Hugging Face have
it."""
BOUNDED = frozenset(("Sigmoid", "HardSigmoid", "Softmax", "Clip"))
"""Operators behind which a score is a probability, whose middle is 0.5; elsewhere it is 0."""
PASSING = frozenset(
    (
        *("Cast", "Concat", "DequantizeLinear", "Flatten", "Gather", "Identity", "QuantizeLinear"),
        *("Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"),
    )
)
"""Operators that leave a score what it is."""


class LabelKind(StrEnum):
    """The kinds of labels, as they are named to a user."""

    CLASSES = "classes"
    CHOSEN = "chosen classes"
    BINARY = "yes or no"
    MARKED = "several labels"
    TOKENS = "tokens"
    NUMBERS = "numbers"


@dataclass(frozen=True)
class Labelling:
    """A kind of labels, and the output of the model that answers them."""

    kind: LabelKind
    output: str
    classes: int
    """Classes, or labels of one example; 1 for yes or no; 0 where the output does not tell."""
    threshold: float
    """The score from which on a label counts as given."""


def find(outputs: Mapping[str, Array], labels: Array, model: ModelProto) -> Labelling:
    """The labelling of a batch: the first output that fits its labels.

    `outputs`: name → (examples, …); `labels`: (examples, …). Raises InputError where none fits.
    """
    for name, output in outputs.items():
        kind = _kind(output, labels)
        if kind is not None:
            classes = (
                0
                if kind is LabelKind.CHOSEN
                else 1
                if kind is LabelKind.BINARY
                else output.shape[-1]
            )
            return Labelling(kind, name, classes, threshold(model, name))
    shapes = ", ".join(f"{name} {out.dtype.name}{_shape(out)}" for name, out in outputs.items())
    raise InputError(
        f"no output fits labels of the type {labels.dtype.name}{_shape(labels)}; an example gives "
        f"{shapes}",
        "--metric FILE.py:NAME    a function of yours: (outputs, labels) → a score an example",
    )


def _shape(array: Array) -> str:
    return f"[{','.join(map(str, array.shape[1:]))}]"


def _kind(output: Array, labels: Array) -> LabelKind | None:
    is_float, label = output.dtype.kind == "f", labels.dtype.kind
    one_each = labels.ndim == 1 or labels.shape[1:] == (1,)
    scores = output.shape[1:]
    if label in "iub" and one_each:
        if not is_float:
            return LabelKind.CHOSEN if scores in ((), (1,)) and output.dtype.kind in "iub" else None
        if len(scores) == 1 and scores[0] > 1:
            return LabelKind.CLASSES
        return LabelKind.BINARY if scores in ((), (1,)) else None
    if label in "iub" and labels.ndim == 2 and is_float:
        if output.shape == labels.shape:
            return LabelKind.MARKED
        return LabelKind.TOKENS if output.shape[:2] == labels.shape and output.ndim == 3 else None
    if (
        label == "f"
        and is_float
        and (output.shape == labels.shape or (one_each and scores in ((), (1,))))
    ):
        return LabelKind.NUMBERS
    return None


def threshold(model: ModelProto, output: str) -> float:
    """The score of an output from which on a label counts as given: the middle of a probability,
    or of logits."""
    makers: dict[str, NodeProto] = {
        name: node for node in model.graph.node for name in node.output if name
    }
    for _ in range(len(model.graph.node)):
        node = makers.get(output)
        if node is None or not node.input or node.op_type not in (PASSING | BOUNDED):
            return 0.0
        if node.op_type in BOUNDED:
            return 0.5
        output = node.input[0]
    return 0.0


def demand_labels(labelling: Labelling, labels: Array, indices: Array) -> None:
    """Raises InputError, naming the example, for a label that is none of the labelling's."""
    if labelling.kind in (LabelKind.BINARY, LabelKind.MARKED):
        _demand(labels, indices, (labels == 0) | (labels == 1), "0 or 1")
    elif labelling.kind in (LabelKind.CLASSES, LabelKind.TOKENS):
        is_class = (labels >= 0) & (labels < labelling.classes)
        if labelling.kind is LabelKind.TOKENS:
            is_class |= labels == IGNORED
        count = labelling.classes
        meant = f"one of the {count:,} classes of {labelling.output!r} (0 to {count - 1})"
        _demand(labels, indices, is_class, meant)
    elif labelling.kind is LabelKind.NUMBERS:
        _demand(labels, indices, np.isfinite(labels), "a finite number")


def _demand(labels: Array, indices: Array, fits: Array, meant: str) -> None:
    if fits.all():
        return
    place = tuple(np.argwhere(~fits)[0])
    raise InputError(f"label {labels[place]} of example {indices[place[0]]} is not {meant}")
