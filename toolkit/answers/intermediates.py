"""Finds the tensors worth looking at besides the outputs: those before what saturates or chooses.

Such an intermediate output is added to a copy of the file. It can change what a runtime runs, since
layers that were fused no longer are. So the file as it is decides, and the intermediate output is a
second witness.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from math import prod

from onnx import GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper

from toolkit.answers.gathered import Chooser, Gathering
from toolkit.answers.indices import Choice
from toolkit.answers.suppressed import Suppression
from toolkit.onnxfiles.graphs import attribute, described, makers
from toolkit.onnxfiles.thinmodels import ThinModel
from toolkit.tensors import Array

SATURATING = ("Sigmoid", "Softmax", "Tanh", "HardSigmoid", "Clip")
"""Operators behind which large values look alike in every format."""
CHOOSING = {"ArgMax": 0, "ArgMin": 0, "TopK": 1, "NonMaxSuppression": 0}
"""Operators that return indices, and the output that holds them."""
GATHERING = ("Gather", "GatherElements", "GatherND")
"""Operators that take slices at indices."""
KEEPS_ORDER = ("Cast", "Identity", "Squeeze", "Unsqueeze", "Reshape", "Flatten")
"""Operators behind which the elements still stand in the same order."""
SMALL = 16
"""Elements of the constants that say which column of the indices is taken, or a threshold."""


@dataclass(frozen=True)
class Intermediates:
    """The tensors to look at behind the outputs of one model."""

    choices: dict[str, Choice]
    """Output that holds indices → the logits that they point into."""
    saturated: dict[str, str]
    """Output → the tensor before its last saturating activation."""
    gathered: dict[str, Gathering] = field(default_factory=dict)
    """Output that is gathered by chosen indices → from what, and how they were chosen; those that
    are the indices, or some of their columns, too."""
    scored: dict[str, str] = field(default_factory=dict)
    """Output that holds indices of a TopK → the output that holds the logits at these."""

    def tensors(self) -> tuple[str, ...]:
        """Gives the names to add as outputs, each once."""
        names = (*(c.tensor for c in self.choices.values()), *self.saturated.values())
        behind = (name for each in self.gathered.values() for name in each.tensors())
        return tuple(dict.fromkeys((*names, *behind)))


def find(model: ModelProto) -> Intermediates:
    """Looks behind every output of the main graph."""
    graph = _Graph.of(model.graph)
    intermediates = Intermediates({}, {})
    ends = {output.name: graph.maker(output.name) for output in model.graph.output}
    outputs = {name: output for output, (name, _) in ends.items()}
    for output in model.graph.output:
        name, node = ends[output.name]
        # An activation of the input itself shows nothing that the feed does not.
        if node is None or not node.input or node.input[0] not in graph.made_by:
            continue
        if node.op_type == "NonMaxSuppression" and not {*node.input[1:2]} & graph.made_by.keys():
            continue
        if node.op_type in CHOOSING and node.output[CHOOSING[node.op_type]] == name:
            intermediates.choices[output.name] = _choice(node)
            if node.op_type == "TopK" and node.output[0] in outputs:
                intermediates.scored[output.name] = outputs[node.output[0]]
        elif node.op_type in SATURATING:
            intermediates.saturated[output.name] = node.input[0]
        gathering = _gathering(name, node, graph)
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


@dataclass(frozen=True)
class _Graph:
    """The nodes and the small constants of a graph, by the tensors that they give."""

    made_by: Mapping[str, NodeProto]
    small: Mapping[str, TensorProto]

    @classmethod
    def of(cls, graph: GraphProto) -> _Graph:
        """Reads the graph of a model whose large tensors need not be there."""
        tensors = {tensor.name: tensor for tensor in graph.initializer}
        made_by = makers(graph)
        for name, node in made_by.items():
            value = attribute(node, "value", None) if node.op_type == "Constant" else None
            if value is not None:
                tensors[name] = value
        small = {
            name: tensor
            for name, tensor in tensors.items()
            if prod(tensor.dims) <= SMALL and tensor.data_location != TensorProto.EXTERNAL
        }
        return cls(made_by, small)

    def maker(
        self, name: str, through: Collection[str] = KEEPS_ORDER
    ) -> tuple[str, NodeProto | None]:
        """Finds the node that computes a tensor's values, and the tensor that it gives."""
        node = self.made_by.get(name)
        while node is not None and node.op_type in through and node.input:
            name = node.input[0]
            node = self.made_by.get(name)
        return name, node

    def input(self, node: NodeProto, place: int) -> str:
        """Names an input of a node; empty: it is left out."""
        return node.input[place] if place < len(node.input) else ""

    def constant(self, name: str) -> Array | None:
        """Reads a small constant; None where it is no such."""
        return numpy_helper.to_array(self.small[name]) if name in self.small else None


def _gathering(name: str, node: NodeProto, graph: _Graph) -> Gathering | None:
    """What a tensor holds of data, or of the indices themselves, by indices that were chosen among
    computed logits; None: it holds nothing such."""
    gathers = node.op_type in GATHERING and not attribute(node, "batch_dims", 0)
    if gathers and (known := _indices(graph.input(node, 1), graph)):
        chooser, columns = known
        axis = attribute(node, "axis", 0)
        return Gathering(node.op_type, node.input[0], axis, columns, chooser)
    itself = _indices(name, graph)
    return None if itself is None else Gathering("Identity", "", 0, itself[1], itself[0])


def _indices(name: str, graph: _Graph) -> tuple[Chooser, tuple[int, ...]] | None:
    """The operator whose choice a tensor holds, and which coordinates of it; None: there is none.

    Every candidate has its coordinates in the same order. Whether the shape is as it should be is
    seen later, by the numbers (choosing.py, C4).
    """
    name, node = graph.maker(name, (*KEEPS_ORDER, "Expand"))
    if node is None:
        return None
    if node.op_type in CHOOSING:
        chooser = _chooser(name, node, graph)
        columns = (0, 1, 2) if node.op_type == "NonMaxSuppression" else (1,)
        return None if chooser is None else (chooser, columns)
    if node.op_type in ("Gather", "Slice"):
        return _columns(node, graph)
    return _side_by_side(node, graph) if node.op_type == "Concat" else None


def _columns(node: NodeProto, graph: _Graph) -> tuple[Chooser, tuple[int, ...]] | None:
    """The coordinates that a Gather or a Slice takes of (batch, class, box)."""
    known = _indices(graph.input(node, 0), graph)
    given = [graph.constant(name) for name in node.input[1:]]
    numbers = [each.ravel().tolist() for each in given if each is not None]
    if known is None or len(numbers) < len(given):
        return None
    chooser, columns = known
    match node.op_type, numbers:
        case "Gather", [wanted] if attribute(node, "axis", 0) in (1, -1):
            size = len(columns)
            inside = all(-size <= place < size for place in wanted)
            return (chooser, tuple(columns[place] for place in wanted)) if inside else None
        case "Slice", [[start], [end], [1 | -1], *steps]:
            step = steps[0][0] if steps else 1
            return chooser, columns[start:end:step]
    return None


def _side_by_side(node: NodeProto, graph: _Graph) -> tuple[Chooser, tuple[int, ...]] | None:
    """The coordinates that stand side by side where a Concat joins columns of one choice."""
    parts = [_indices(name, graph) for name in node.input]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts) or len({chooser for chooser, _ in known}) != 1:
        return None
    if attribute(node, "axis", 0) not in (1, -1):
        return None
    return known[0][0], tuple(column for _, columns in known for column in columns)


def _chooser(name: str, node: NodeProto, graph: _Graph) -> Chooser | None:
    """The operator as one whose choice can be followed; None where a threshold is computed, or
    where it chooses among what the model is fed."""
    if node.output[CHOOSING[node.op_type]] != name:
        return None
    if node.op_type != "NonMaxSuppression":
        computed = graph.input(node, 0) in graph.made_by
        return Chooser(_choice(node), name) if computed else None
    if not {*node.input[:2]} <= graph.made_by.keys():
        return None
    limits = [graph.input(node, place) for place in (2, 3, 4)]
    values = [graph.constant(limit) for limit in limits]
    if any(limit and value is None for limit, value in zip(limits, values, strict=True)):
        return None
    most, overlap, least = (
        None if value is None or not value.size else value.ravel()[0] for value in values
    )
    suppression = Suppression(
        node.input[0],
        int(most or 0),
        float(overlap or 0.0),
        None if least is None else float(least),
        bool(attribute(node, "center_point_box", 0)),
    )
    return Chooser(_choice(node), name, suppression)


def _choice(node: NodeProto) -> Choice:
    if node.op_type == "NonMaxSuppression":
        return Choice(node.op_type, node.input[1], 2)
    default = -1 if node.op_type == "TopK" else 0
    ordered = node.op_type != "TopK" or bool(attribute(node, "sorted", 1))
    return Choice(node.op_type, node.input[0], attribute(node, "axis", default), ordered)
