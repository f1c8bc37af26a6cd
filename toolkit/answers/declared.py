"""Reads from a file's types and operators which precision it asks for."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto

from toolkit.answers.formats import RANK, Precision
from toolkit.onnxfiles.graphs import attribute, graphs

TYPES: dict[int, Precision] = {
    TensorProto.FLOAT16: "float16",
    TensorProto.BFLOAT16: "bfloat16",
}
"""Element types that ask for less than float32."""
ROUNDING = (
    *("QuantizeLinear", "DynamicQuantize", "QLinear", "QGemm", "QAttention", "QOrdered"),
    *("MatMulInteger", "ConvInteger"),
)
"""Beginnings of the operators that make a file a quantized one: they round what was computed to
integers, or multiply what was so rounded. ONNX Runtime's own (com.microsoft) are among them."""

FROM_WEIGHTS = ("MatMulNBits", "QMoE")
"""ONNX Runtime's operators with weights of few bits. The weights are exact numbers, as behind a
DequantizeLinear, and the products are floats, unless the file lets kernels round activations."""
INT8_ACTIVATIONS = 4
"""The `accuracy_level` at which it does."""


def of_file(model: ModelProto) -> Precision:
    """Finds the coarsest class that a file asks for; float32 where it asks for nothing lower.

    A target is right when it is as precise as this, whatever finer class the runtime could do. A
    file of which only the weights are quantized asks for the precision of its floats: nothing that
    it computes is rounded, and its oracle has the very same weights.
    """
    classes = (c for graph in graphs(model.graph) for c in _of_graph(graph))
    return max(classes, key=lambda c: RANK[c], default="float32")


def _of_graph(graph: GraphProto) -> Iterator[Precision]:
    kinds = [t.data_type for t in graph.initializer]
    kinds += [v.type.tensor_type.elem_type for v in (*graph.input, *graph.output)]
    for node in graph.node:
        kinds += [a.t.data_type for a in node.attribute if a.type == AttributeProto.TENSOR]
        kinds += [attribute(node, "to", TensorProto.FLOAT)] if node.op_type == "Cast" else []
        if node.op_type.startswith(ROUNDING) or _rounds_activations(node):
            yield "int8"
    yield from (TYPES[kind] for kind in kinds if kind in TYPES)


def _rounds_activations(node: NodeProto) -> bool:
    if node.op_type not in FROM_WEIGHTS:
        return False
    # Experts of 8 bits in blocks have no other kernel.
    blocks_of_8 = (
        node.op_type == "QMoE"
        and attribute(node, "expert_weight_bits", 4) == 8
        and attribute(node, "block_size", 0) > 0
    )
    return blocks_of_8 or bool(attribute(node, "accuracy_level", 0) == INT8_ACTIVATIONS)
