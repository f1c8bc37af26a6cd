"""Finds the tensors worth looking at besides the outputs: those before what saturates or chooses.

Such an intermediate output is added to a copy of the file. It can change what a runtime runs, since
layers that were fused no longer are. So the file as it is decides, and the intermediate output is a
second witness.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from onnx import ModelProto, NodeProto

from toolkit.answers.gathered import Gathering
from toolkit.answers.indices import Choice
from toolkit.onnxfiles.graphs import attribute, described, makers
from toolkit.onnxfiles.thinmodels import ThinModel

SATURATING = ("Sigmoid", "Softmax", "Tanh", "HardSigmoid", "Clip")
"""Operators behind which large values look alike in every format."""
CHOOSING = {"ArgMax": 0, "ArgMin": 0, "TopK": 1, "NonMaxSuppression": 0}
"""Operators that return indices, and the output that holds them."""
GATHERING = ("Gather", "GatherElements")
"""Operators that take slices at indices."""
KEEPS_ORDER = ("Cast", "Identity", "Squeeze", "Unsqueeze", "Reshape", "Flatten")
"""Operators behind which the elements still stand in the same order."""


@dataclass(frozen=True)
class Intermediates:
    """The tensors to look at behind the outputs of one model."""

    choices: dict[str, Choice]
    """Output that holds indices → the logits that they point into."""
    saturated: dict[str, str]
    """Output → the tensor before its last saturating activation."""
    gathered: dict[str, Gathering] = field(default_factory=dict)
    """Output that is gathered by chosen indices → from what, and how they were chosen."""

    def tensors(self) -> tuple[str, ...]:
        """Gives the names to add as outputs, each once."""
        names = (*(c.tensor for c in self.choices.values()), *self.saturated.values())
        behind = (name for each in self.gathered.values() for name in each.tensors())
        return tuple(dict.fromkeys((*names, *behind)))


def find(model: ModelProto) -> Intermediates:
    """Looks behind every output of the main graph."""
    made_by = makers(model.graph)
    intermediates = Intermediates({}, {})
    for output in model.graph.output:
        name, node = _maker(output.name, made_by)
        # An activation of the input itself shows nothing that the feed does not.
        if node is None or not node.input or node.input[0] not in made_by:
            continue
        if node.op_type == "NonMaxSuppression" and not {*node.input[1:2]} & made_by.keys():
            continue
        if node.op_type in CHOOSING and node.output[CHOOSING[node.op_type]] == name:
            intermediates.choices[output.name] = _choice(node)
        elif node.op_type in SATURATING:
            intermediates.saturated[output.name] = node.input[0]
        elif node.op_type in GATHERING:
            gathering = _gathering(node, made_by)
            if gathering is not None:
                intermediates.gathered[output.name] = gathering
    return intermediates


def exposed(model: ThinModel, intermediates: Intermediates) -> ThinModel:
    """Copies a model with each intermediate tensor as one more output, behind its own."""
    result = model.copy()
    graph = result.proto.graph
    known = described(model.proto)
    present = {o.name for o in graph.output}
    # What inference does not know has no type, and a file with such an output is not valid.
    added = (known[n] for n in intermediates.tensors() if n in known and n not in present)
    graph.output.extend(added)
    return result


def _maker(
    name: str, made_by: dict[str, NodeProto], through: Collection[str] = KEEPS_ORDER
) -> tuple[str, NodeProto | None]:
    """Finds the node that computes a tensor's values, and the tensor that it gives."""
    node = made_by.get(name)
    while node is not None and node.op_type in through and node.input:
        name = node.input[0]
        node = made_by.get(name)
    return name, node


def _gathering(node: NodeProto, made_by: dict[str, NodeProto]) -> Gathering | None:
    """What a node gathers by indices that were chosen among computed logits; None: it does not."""
    if len(node.input) < 2:
        return None
    name, chooser = _maker(node.input[1], made_by, (*KEEPS_ORDER, "Expand"))
    if chooser is None or chooser.op_type not in CHOOSING:
        return None
    if (
        not {*chooser.input[:1]} & made_by.keys()
        or len(chooser.output) <= CHOOSING[chooser.op_type]
    ):
        return None
    if chooser.op_type == "NonMaxSuppression" or chooser.output[CHOOSING[chooser.op_type]] != name:
        return None
    axis = attribute(node, "axis", 0)
    return Gathering(node.op_type, node.input[0], node.input[1], axis, _choice(chooser))


def _choice(node: NodeProto) -> Choice:
    if node.op_type == "NonMaxSuppression":
        return Choice(node.op_type, node.input[1], 2)
    default = -1 if node.op_type == "TopK" else 0
    ordered = node.op_type != "TopK" or bool(attribute(node, "sorted", 1))
    return Choice(node.op_type, node.input[0], attribute(node, "axis", default), ordered)
