"""Finds the operators of a file whose 8-bit products may saturate on a processor without VNNI.

Such a processor multiplies unsigned by signed bytes two at a time and adds both products in 16 bits
(`toolkit.machine.features`). A sum beyond 32,767 is cut, so whether it can happen depends on the
weights alone: two neighbours of which |w₀| + |w₁| ≤ 128 are safe for any activation, since
255 · 128 = 32,640. Seven-bit weights (`reduce_range`) are safe, and so are unsigned ones, which the
runtimes multiply in 16 bits. ONNX Runtime rewrites signed activations to unsigned ones on x86, so
the type of the activations does not matter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from onnx import GraphProto, ModelProto, NodeProto, TensorProto

from toolkit.onnxfiles import tensordata
from toolkit.onnxfiles.graphs import graphs, makers

SAFE = 64
"""The largest size of a weight at which two products fit: 255 · (64 + 64) = 32,640 < 32,767."""

WEIGHTS: Mapping[str, tuple[int, ...]] = {
    "MatMulInteger": (1,),
    "ConvInteger": (1,),
    "QLinearMatMul": (3,),
    "QLinearConv": (3,),
    "QGemm": (3,),
    "DynamicQuantizeMatMul": (1,),
    "MatMulIntegerToFloat": (1,),
    "QAttention": (1,),
    "DynamicQuantizeLSTM": (1, 2),
}
"""Operator that multiplies integers → which of its inputs are weights. The last five are ONNX
Runtime's own (domain com.microsoft)."""

FUSED = ("MatMul", "Gemm", "Conv")
"""Operators that runtimes compute in integers where both inputs come from DequantizeLinear."""

Tensors = Mapping[str, TensorProto]
Makers = Mapping[str, NodeProto]


def saturable(model: ModelProto, folder: Path | None = None) -> Counter[str]:
    """Counts, for each operator, the nodes whose products of bytes may leave 16 bits.

    `folder` is that of the model's file, for external data that was not loaded. Weights that are
    computed in the graph are not looked at.
    """
    return Counter(name for graph in graphs(model.graph) for name in _of_graph(graph, folder))


def _of_graph(graph: GraphProto, folder: Path | None) -> Iterator[str]:
    stored = {tensor.name: tensor for tensor in graph.initializer}
    made = makers(graph)
    large: dict[str, bool] = {}  # Weights may be shared: each is read once.
    for node in graph.node:
        for name in _byte_weights(node, stored, made):
            if large.setdefault(name, _is_large(stored[name], folder)):
                yield node.op_type
                break


def _byte_weights(node: NodeProto, stored: Tensors, made: Makers) -> Iterator[str]:
    """Yields the names of the stored int8 weights that a node multiplies as integers."""
    if node.op_type in WEIGHTS:
        names = [node.input[i] for i in WEIGHTS[node.op_type] if i < len(node.input)]
    elif node.op_type in FUSED:
        both = [made.get(name) for name in node.input[:2]]
        if not all(one is not None and one.op_type == "DequantizeLinear" for one in both):
            return
        names = [one.input[0] for one in both if one is not None]
    else:
        return
    yield from (n for n in names if n in stored and stored[n].data_type == TensorProto.INT8)


def _is_large(tensor: TensorProto, folder: Path | None) -> bool:
    values = tensordata.of_tensor(tensor, folder).array()
    # Not abs(): −128 has no positive counterpart in int8.
    return bool(values.size) and (int(values.max()) > SAFE or int(values.min()) < -SAFE)
