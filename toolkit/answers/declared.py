"""What a file itself declares to compute in, by its types and operators."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import AttributeProto, GraphProto, ModelProto, TensorProto

from toolkit.answers.formats import RANK, Precision
from toolkit.onnxfiles.graphs import attribute, graphs

TYPES: dict[int, Precision] = {
    TensorProto.FLOAT16: "float16",
    TensorProto.BFLOAT16: "bfloat16",
}
QUANTIZED = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinear")
"""Beginnings of the operators that make a file a quantized one; also those that end in Integer."""


def of_file(model: ModelProto) -> Precision:
    """The coarsest class that the file asks for; float32 where it asks for nothing lower.

    A target is right when it is as precise as this, whatever finer class the runtime could do.
    """
    found = (c for graph in graphs(model.graph) for c in _of_graph(graph))
    return max(found, key=lambda c: RANK[c], default="float32")


def _of_graph(graph: GraphProto) -> Iterator[Precision]:
    kinds = [t.data_type for t in graph.initializer]
    kinds += [v.type.tensor_type.elem_type for v in (*graph.input, *graph.output)]
    for node in graph.node:
        kinds += [a.t.data_type for a in node.attribute if a.type == AttributeProto.TENSOR]
        kinds += [attribute(node, "to", TensorProto.FLOAT)] if node.op_type == "Cast" else []
        if node.op_type.startswith(QUANTIZED) or node.op_type.endswith("Integer"):
            yield "int8"
    yield from (TYPES[kind] for kind in kinds if kind in TYPES)
