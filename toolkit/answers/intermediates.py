"""Tensors worth looking at besides the outputs: what saturates, or what chooses, comes after them.

A tap is added as one more output of a copy. It can change what a runtime runs (layers that fused no
longer do), so what the untapped file gives decides, and the tap is a second witness.
"""

from __future__ import annotations

from dataclasses import dataclass

from onnx import ModelProto, NodeProto

from toolkit.answers.indices import Choice
from toolkit.onnxfiles.graphs import attribute, copied, described, makers

SATURATING = ("Sigmoid", "Softmax", "Tanh", "HardSigmoid", "Clip")
CHOOSING = {"ArgMax": 0, "ArgMin": 0, "TopK": 1}
"""Operators that return indices, and the output that holds them."""
KEEPS_ORDER = ("Cast", "Identity", "Squeeze", "Unsqueeze", "Reshape", "Flatten")
"""Operators behind which the elements still stand in the same order."""


@dataclass(frozen=True)
class Intermediates:
    """What to look at behind the outputs of one model."""

    choices: dict[str, Choice]
    """Output that holds indices → the logits that they point into."""
    saturated: dict[str, str]
    """Output → the tensor before its last saturating activation."""

    def tensors(self) -> tuple[str, ...]:
        """The names to add as outputs, each once."""
        found = (*(c.tensor for c in self.choices.values()), *self.saturated.values())
        return tuple(dict.fromkeys(found))


def find(model: ModelProto) -> Intermediates:
    """Looks behind every output of the main graph."""
    made = makers(model.graph)
    found = Intermediates({}, {})
    for output in model.graph.output:
        name, node = _maker(output.name, made)
        if node is None or node.input[0] not in made:
            continue
        if node.op_type in CHOOSING and node.output[CHOOSING[node.op_type]] == name:
            found.choices[output.name] = _choice(node)
        elif node.op_type in SATURATING:
            found.saturated[output.name] = node.input[0]
    return found


def exposed(model: ModelProto, found: Intermediates) -> ModelProto:
    """A copy with each tensor of the taps as one more output, behind the others."""
    result = copied(model)
    known = described(model)
    present = {o.name for o in model.graph.output}
    # What inference does not know has no type, and a file with such an output is not valid.
    added = (known[n] for n in found.tensors() if n in known and n not in present)
    result.graph.output.extend(added)
    return result


def _maker(name: str, made: dict[str, NodeProto]) -> tuple[str, NodeProto | None]:
    node = made.get(name)
    while node is not None and node.op_type in KEEPS_ORDER:
        name = node.input[0]
        node = made.get(name)
    return name, node


def _choice(node: NodeProto) -> Choice:
    default = -1 if node.op_type == "TopK" else 0
    ordered = node.op_type != "TopK" or bool(attribute(node, "sorted", 1))
    return Choice(node.op_type, node.input[0], attribute(node, "axis", default), ordered)
