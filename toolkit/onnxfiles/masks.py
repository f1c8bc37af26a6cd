"""Finds the inputs that a graph takes as masks of attention: what they hold is added to scores
before a Softmax, or chooses there between a score and a constant.

They are found by what becomes of them, never by a name.
"""

from __future__ import annotations

from collections.abc import Iterable

from onnx import GraphProto, ModelProto, NodeProto

from toolkit.onnxfiles import modelfile
from toolkit.onnxfiles.graphs import STANDARD

SHAPES = {
    *("Cast", "Identity", "Unsqueeze", "Squeeze", "Reshape", "Expand", "Transpose", "Slice"),
    *("Tile", "Flatten", "Concat", "Pad", "Gather", "GatherND", "GatherElements"),
}
"""Operators that move the values of their first input, or of all (Concat)."""
LOGIC = {
    *("Not", "And", "Or", "Xor", "Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual"),
    *("Sub", "Add", "Mul", "Neg", "Where", "Min", "Max", "Clip", "Sign", "Abs"),
}
"""Operators that turn one form of a mask into another: of words, of numbers, turned round."""
SCORES = {
    *("Add", "Sub", "Mul", "Div", "Where", "Min", "Max", "Cast", "Reshape", "Transpose"),
    *("Identity", "Unsqueeze", "Squeeze", "Clip", "Tanh"),
}
"""Operators that may stand between the scores and their Softmax."""
TAKES_MASK = {
    ("", "Attention"): (3,),
    ("com.microsoft", "Attention"): (3, 5),
    ("com.microsoft", "MultiHeadAttention"): (4, 5),
    ("com.microsoft", "GroupQueryAttention"): (5, 10),
    ("com.microsoft", "QAttention"): (5,),
}
"""Operators that hold a Softmax of their own → the places of the inputs that mask it."""


def inputs(model: ModelProto) -> list[str]:
    """Lists the inputs of a model whose values reach a Softmax as a mask, in their order."""
    graph = model.graph
    before_softmax = _before_softmax(graph)
    return [
        value.name
        for value in modelfile.fed_inputs(graph)
        if _is_mask(graph, value.name, before_softmax)
    ]


def _is_mask(graph: GraphProto, name: str, before_softmax: set[str]) -> bool:
    """Follows an input through the operators that keep it a mask, to one that masks scores."""
    masks = {name}
    for node in graph.node:
        taken = [place for place, each in enumerate(node.input) if each in masks]
        if not taken:
            continue
        kind = ("" if node.domain in STANDARD else node.domain, node.op_type)
        if set(taken) & set(TAKES_MASK.get(kind, ())):
            return True
        if kind[0]:
            continue
        if _masks_scores(node, taken, masks, before_softmax):
            return True
        if node.op_type in LOGIC or (node.op_type in SHAPES and (0 in taken or _joins(node))):
            masks.update(node.output)
    return False


def _joins(node: NodeProto) -> bool:
    return node.op_type == "Concat"


def _masks_scores(
    node: NodeProto, taken: Iterable[int], masks: set[str], before_softmax: set[str]
) -> bool:
    """Says whether a node joins a mask with something else on the way to a Softmax."""
    if node.op_type not in ("Add", "Where", "Sub", "Mul", "Min") or not (
        set(node.output) & before_softmax
    ):
        return False
    if node.op_type == "Where":  # The mask is the condition, and one branch are the scores.
        return 0 in taken and any(each in before_softmax for each in node.input[1:])
    others = [each for each in node.input if each not in masks]
    return any(each in before_softmax for each in others)


def _before_softmax(graph: GraphProto) -> set[str]:
    """The tensors that become the input of a Softmax by scaling, masking and reshaping alone."""
    reached: set[str] = set()
    for node in reversed(graph.node):
        is_softmax = node.op_type in ("Softmax", "LogSoftmax") and node.domain in STANDARD
        if is_softmax or (node.op_type in SCORES and set(node.output) & reached):
            reached.update(name for name in node.input if name)
    return reached
