"""Finds the outputs whose values a file computes nowhere, but moves from where they are given, and
those that no input decides.

What is only moved has no precision: whatever is not equal is a fault, and what is equal is exact.
What no input decides is the same whatever is fed, and that hides no fault.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from onnx import GraphProto, NodeProto, TensorProto

from toolkit.onnxfiles.graphs import attribute, makers, subgraphs

Origin: TypeAlias = Literal["moved", "integer", "computed"]
"""Where the values of a tensor are from: `moved` are floats that were given as they are, `integer`
are integers and booleans that only integers decide, and all else is `computed`."""

DATA: Mapping[str, int | None] = {
    **dict.fromkeys(("Identity", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten"), 1),
    **dict.fromkeys(("Slice", "Split", "Gather", "GatherElements", "GatherND", "Expand"), 1),
    **dict.fromkeys(("Tile", "DepthToSpace", "SpaceToDepth", "ReverseSequence", "Compress"), 1),
    **dict.fromkeys(("Trilu", "CenterCropPad"), 1),
    "Concat": None,
}
"""Operator that moves → how many of its first inputs are data (None: all). The others say where to,
and are integers."""
PLACED: Mapping[str, tuple[int, ...]] = {
    "Where": (1, 2),
    "Pad": (0, 2),
    "ScatterND": (0, 2),
    "ScatterElements": (0, 2),
}
"""Operator that moves → the places of its data, where others stand before or between."""
ARITHMETIC = frozenset(
    (
        *("Add", "Sub", "Mul", "Div", "Mod", "Neg", "Abs", "Sign", "Min", "Max", "Range", "Cast"),
        *("Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "And", "Or", "Not", "Xor"),
        *("ReduceProd", "ReduceSum", "ReduceMax", "ReduceMin", "CumSum", "NonZero"),
    )
)
"""Operators whose results are integers where all that they are given is, in every runtime alike."""
SIZES = ("Shape", "Size")
"""Operators that no value decides."""
FLOAT_TYPES = frozenset(
    (
        *(TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16),
        *(TensorProto.COMPLEX64, TensorProto.COMPLEX128),
    )
)


def only_moved(graph: GraphProto) -> frozenset[str]:
    """Names the outputs of a graph that hold floats which are only moved."""
    origins: dict[str, Origin] = {
        tensor.name: _of_type(tensor.data_type) for tensor in graph.initializer
    }
    for value in graph.input:
        origins.setdefault(value.name, _of_type(value.type.tensor_type.elem_type))
    made_by = makers(graph)
    # A graph's nodes stand in an order in which each comes after those that it reads from.
    for node in graph.node:
        origin = _of_node(node, origins)
        origins.update(dict.fromkeys(node.output, origin))
    return frozenset(
        output.name
        for output in graph.output
        # An output that is an input or a constant has no operator on its way at all.
        if output.name in made_by and origins.get(output.name) == "moved"
    )


def unfed(graph: GraphProto) -> frozenset[str]:
    """Names the outputs of a graph that no value of an input decides, though sizes may."""
    weights = {tensor.name for tensor in graph.initializer}
    fed = {value.name for value in graph.input} - weights
    for node in graph.node:
        # What the body of an If or a Loop reads besides is not looked up: it may be anything.
        reads = bool(subgraphs(node)) or not fed.isdisjoint(node.input)
        if reads and node.op_type not in SIZES:
            fed.update(node.output)
    return frozenset(output.name for output in graph.output if output.name not in fed)


def _of_type(kind: int) -> Origin:
    return "moved" if kind in FLOAT_TYPES else "integer"


def _of_node(node: NodeProto, origins: Mapping[str, Origin]) -> Origin:
    if node.domain not in ("", "ai.onnx"):
        return "computed"
    if node.op_type in SIZES:
        return "integer"
    if node.op_type == "Constant":
        return _of_constant(node)
    inputs: list[Origin | None] = [
        origins.get(name, "computed") if name else None for name in node.input
    ]
    if node.op_type == "ConstantOfShape":
        value = attribute(node, "value", None)
        kind = _of_type(TensorProto.FLOAT if value is None else value.data_type)
        return kind if inputs == ["integer"] else "computed"
    if node.op_type in ARITHMETIC:
        if node.op_type == "Cast" and _of_type(attribute(node, "to", 0)) != "integer":
            return "computed"
        return "integer" if _are(inputs, "integer") else "computed"
    data, places = _split(node, inputs)
    if not data or not _are(places, "integer") or attribute(node, "reduction", b"none") != b"none":
        return "computed"
    return next((kind for kind in ("moved", "integer") if _are(data, kind)), "computed")


def _split(
    node: NodeProto, inputs: Sequence[Origin | None]
) -> tuple[list[Origin | None], list[Origin | None]]:
    """The inputs that are data, and those that say where to; no data where it moves nothing."""
    if node.op_type in PLACED:
        chosen = set(PLACED[node.op_type])
    elif node.op_type in DATA:
        count = DATA[node.op_type]
        chosen = set(range(len(inputs) if count is None else count))
    else:
        return [], []
    data = [each for place, each in enumerate(inputs) if place in chosen]
    return data, [each for place, each in enumerate(inputs) if place not in chosen]


def _are(origins: Sequence[Origin | None], kind: Origin) -> bool:
    """Says whether all inputs that are given are of one kind."""
    return all(each in (kind, None) for each in origins)


def _of_constant(node: NodeProto) -> Origin:
    value = attribute(node, "value", None)
    if value is not None:
        return _of_type(value.data_type)
    given = {each.name for each in node.attribute}
    if given & {"value_int", "value_ints", "value_string", "value_strings"}:
        return "integer"
    return "moved" if given & {"value_float", "value_floats"} else "computed"
