"""Reads from a file's types and operators which precision it asks for."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import AttributeProto, GraphProto, ModelProto, TensorProto

from toolkit.answers.formats import RANK, Precision
from toolkit.onnxfiles.graphs import attribute, graphs

TYPES: dict[int, Precision] = {
    TensorProto.FLOAT16: "float16",
    TensorProto.BFLOAT16: "bfloat16",
}
"""Element types that ask for less than float32."""
QUANTIZED = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinear")
"""Beginnings of the operators that make a file a quantized one; those that end in Integer
(MatMulInteger, ConvInteger) do too."""


def of_file(model: ModelProto) -> Precision:
    """Finds the coarsest class that a file asks for; float32 where it asks for nothing lower.

    A target is right when it is as precise as this, whatever finer class the runtime could do.
    """
    classes = (c for graph in graphs(model.graph) for c in _of_graph(graph))
    return max(classes, key=lambda c: RANK[c], default="float32")


def _of_graph(graph: GraphProto) -> Iterator[Precision]:
    kinds = [t.data_type for t in graph.initializer]
    kinds += [v.type.tensor_type.elem_type for v in (*graph.input, *graph.output)]
    for node in graph.node:
        kinds += [a.t.data_type for a in node.attribute if a.type == AttributeProto.TENSOR]
        kinds += [attribute(node, "to", TensorProto.FLOAT)] if node.op_type == "Cast" else []
        if node.op_type.startswith(QUANTIZED) or node.op_type.endswith("Integer"):
            yield "int8"
    yield from (TYPES[kind] for kind in kinds if kind in TYPES)
