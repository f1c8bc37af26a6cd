"""Finds the tables that a model's inputs index in its graph, such as a vocabulary's embeddings."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from onnx import ModelProto

from toolkit.onnxfiles import modelfile
from toolkit.onnxfiles.graphs import attribute, described

CARRIERS = {"Cast", "Flatten", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"}
"""Operators that hand the values of their first input on as they are, or some of them."""


def lengths(model: ModelProto) -> dict[str, int]:
    """Input → the length of the shortest table that its values index, as far as the graph tells:
    through casts and reshapes, along the axis of every Gather that they reach."""
    shapes = _shapes(model)
    sources = {value.name: value.name for value in modelfile.fed_inputs(model.graph)}
    shortest: dict[str, int] = {}
    for node in model.graph.node:
        if node.op_type in CARRIERS and node.input and node.input[0] in sources:
            sources[node.output[0]] = sources[node.input[0]]
        if node.op_type not in ("Gather", "GatherElements") or node.input[1] not in sources:
            continue
        length = _length(node, shapes.get(node.input[0]))
        if length is not None:
            name = sources[node.input[1]]
            shortest[name] = min(length, shortest.get(name, length))
    return shortest


def _length(node: onnx.NodeProto, shape: Sequence[int | None] | None) -> int | None:
    """The length of a Gather's table of this shape along its axis; None where that is unknown."""
    axis: int = attribute(node, "axis", 0)
    if shape is None or not -len(shape) <= axis < len(shape):
        return None
    return shape[axis]


def _shapes(model: ModelProto) -> dict[str, list[int | None]]:
    """The known shapes of the main graph's tensors, with None for a dynamic size."""
    shapes: dict[str, list[int | None]] = {
        name: [
            dim.dim_value if dim.HasField("dim_value") else None
            for dim in value.type.tensor_type.shape.dim
        ]
        for name, value in described(model).items()
        if value.type.tensor_type.HasField("shape")
    }
    return shapes | {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
