"""Writes the quantized weights of a file as the floats that they stand for.

A simulation rounds weights and what is computed to a lower format. Integers and their scales cannot
be rounded so, and onnx infers no types behind an operator of ONNX Runtime's own: without this, a
file of MatMulNBits had simulations without an error, and no feed could tell float32 from less.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from toolkit.onnxfiles.graphs import attribute, replace_nodes, uses
from toolkit.onnxfiles.tensordata import Weight
from toolkit.onnxfiles.thinmodels import ThinModel
from toolkit.oracle.evaluator import Evaluator
from toolkit.oracle.operators.quantized import blocks
from toolkit.tensors import Array

QUANTIZED = ("DequantizeLinear", "MatMulNBits")
"""Operators that make floats of stored integers."""


def as_floats(model: ThinModel) -> ThinModel:
    """Replaces each DequantizeLinear of stored tensors by its result, and each MatMulNBits by a
    MatMul with the weights that it stands for, in the main graph; the model itself without any.

    What is replaced is computed when it is read.
    """
    if not any(node.op_type in QUANTIZED for node in model.proto.graph.node):
        return model
    result = model.copy()
    source = _Source(model, {tensor.name: tensor for tensor in model.proto.graph.initializer})
    nodes: list[NodeProto] = []
    for node in model.proto.graph.node:
        stored = [name for name in node.input if name in source.stored]
        if node.op_type == "DequantizeLinear" and len(stored) == len(node.input):
            dims = tuple(source.stored[node.input[0]].dims)
            _stand_in(result, node.output[0], dims, partial(source.dequantized, node))
        elif node.op_type == "MatMulNBits" and {*node.input[1:5]} - {""} <= source.stored.keys():
            nodes += _product(node, source, result)
        else:
            nodes.append(node)
    if len(nodes) == len(model.proto.graph.node) and nodes == list(model.proto.graph.node):
        return model
    replace_nodes(result.proto.graph, nodes)
    _drop_unread(result)
    return result


def _stand_in(
    model: ThinModel, name: str, dims: tuple[int, ...], compute: Callable[[], Array]
) -> None:
    model.stand_in(name, Weight(TensorProto.FLOAT, dims, compute))


@dataclass(frozen=True)
class _Source:
    """The stored tensors of a model, read one node's at a time."""

    model: ThinModel
    stored: dict[str, TensorProto]

    def tensor(self, name: str) -> TensorProto:
        """Gives a tensor with its data inside: types of fewer than 8 bits have no other form."""
        tensor, weight = self.stored[name], self.model.weights.get(name)
        return tensor if weight is None else weight.tensor(name)

    def array(self, name: str) -> Array | None:
        """Gives the values of a tensor; None for an input that is left out."""
        return numpy_helper.to_array(self.tensor(name)) if name else None

    def dequantized(self, node: NodeProto) -> Array:
        """Computes a node of stored tensors alone."""
        outputs = [helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, None)]
        tensors = [self.tensor(name) for name in dict.fromkeys(node.input)]
        graph = helper.make_graph([node], "weights", [], outputs, tensors)
        whole = self.model.proto
        imports, version = list(whole.opset_import), whole.ir_version
        single = helper.make_model(graph, opset_imports=imports, ir_version=version)
        values = Evaluator(single, exact=False).run({})[node.output[0]]
        return values.astype(np.float32)

    def weights(self, node: NodeProto) -> Array:
        """Computes the weights that a MatMulNBits stands for: (K, N)."""
        b, scales = (numpy_helper.to_array(self.tensor(name)) for name in node.input[1:3])
        zeros, groups = (self.array(name) for name in _inputs(node)[3:5])
        n, k, block = (attribute(node, size, 0) for size in ("N", "K", "block_size"))
        sizes = (n, k, block, attribute(node, "bits", 4))
        parts = blocks.weights_of(b, scales, zeros, groups, sizes, np.dtype(np.float32))
        rows = np.concatenate([part for _, part in parts])  # (N, K)
        return np.ascontiguousarray(rows.T)


def _inputs(node: NodeProto) -> list[str]:
    """Lists the six inputs of a MatMulNBits; one that is left out is empty."""
    return [*node.input, *[""] * (6 - len(node.input))]


def _product(node: NodeProto, source: _Source, result: ThinModel) -> list[NodeProto]:
    """Writes a MatMulNBits as MatMul and, for its bias, Add; its weights are a new initializer."""
    given = _inputs(node)
    is_whole = all(
        name in source.stored and np.prod(source.stored[name].dims) for name in given[1:3]
    )
    if not is_whole:
        return [node]
    name = f"{node.output[0]}__weights"
    dims = (attribute(node, "K", 0), attribute(node, "N", 0))
    _stand_in(result, name, dims, partial(source.weights, node))
    if not given[5]:
        return [helper.make_node("MatMul", [given[0], name], node.output, node.name)]
    bare = f"{node.output[0]}__product"
    return [
        helper.make_node("MatMul", [given[0], name], [bare], node.name),
        helper.make_node("Add", [bare, given[5]], node.output),
    ]


def _drop_unread(model: ThinModel) -> None:
    """Removes the integers that nothing reads any more."""
    graph = model.proto.graph
    reads = uses(graph)
    fed = {value.name for value in graph.input}
    for tensor in list(graph.initializer):
        if not reads[tensor.name] and tensor.name not in fed:
            model.weights.pop(tensor.name, None)
            graph.initializer.remove(tensor)
