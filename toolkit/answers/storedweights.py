"""Writes the quantized weights of a file as the floats that they stand for.

A simulation rounds weights and what is computed to a lower format. Integers and their scales cannot
be rounded so, and onnx infers no types behind an operator of ONNX Runtime's own: without this, a
file of MatMulNBits had simulations without an error, and no feed could tell float32 from less.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from toolkit.onnxfiles.graphs import attribute, replace_nodes, uses
from toolkit.oracle.evaluator import Evaluator
from toolkit.oracle.operators.quantized import blocks
from toolkit.tensors import Array

Stored = Mapping[str, TensorProto]


def write_as_floats(model: ModelProto) -> None:
    """Replaces each DequantizeLinear of stored tensors by its result, and each MatMulNBits by a
    MatMul with the weights that it stands for, in the main graph and in place."""
    graph = model.graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    nodes: list[NodeProto] = []
    for node in graph.node:
        own = [name for name in node.input if name in stored]
        if node.op_type == "DequantizeLinear" and len(own) == len(node.input):
            graph.initializer.append(_dequantized(node, stored, model))
        elif node.op_type == "MatMulNBits" and {*node.input[1:5]} - {""} <= stored.keys():
            nodes += _product(node, stored, model)
        else:
            nodes.append(node)
    if nodes == list(graph.node):
        return
    replace_nodes(graph, nodes)
    _drop_unread(model)


def _dequantized(node: NodeProto, stored: Stored, model: ModelProto) -> TensorProto:
    """Computes a node of stored tensors alone."""
    outputs = [helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, None)]
    tensors = [stored[name] for name in dict.fromkeys(node.input)]
    graph = helper.make_graph([node], "weights", [], outputs, tensors)
    imports, version = list(model.opset_import), model.ir_version
    single = helper.make_model(graph, opset_imports=imports, ir_version=version)
    values = Evaluator(single, exact=False).run({})[node.output[0]]
    return numpy_helper.from_array(values.astype(np.float32), node.output[0])


def _product(node: NodeProto, stored: Stored, model: ModelProto) -> list[NodeProto]:
    """Writes a MatMulNBits as MatMul and, for its bias, Add; its weights are a new initializer."""
    given = (*node.input, *[""] * (6 - len(node.input)))
    b, scales, zeros, groups = (_array(stored, name) for name in given[1:5])
    if b is None or scales is None or not b.size:
        return [node]
    n, k, block = (attribute(node, size, 0) for size in ("N", "K", "block_size"))
    sizes = (n, k, block, attribute(node, "bits", 4))
    parts = blocks.weights_of(b, scales, zeros, groups, sizes, np.dtype(np.float32))
    name = f"{node.output[0]}__weights"
    rows = np.concatenate([part for _, part in parts])  # (N, K)
    model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(rows.T), name))
    if not given[5]:
        return [helper.make_node("MatMul", [given[0], name], node.output, node.name)]
    bare = f"{node.output[0]}__product"
    return [
        helper.make_node("MatMul", [given[0], name], [bare], node.name),
        helper.make_node("Add", [bare, given[5]], node.output),
    ]


def _array(stored: Stored, name: str) -> Array | None:
    return numpy_helper.to_array(stored[name]) if name else None


def _drop_unread(model: ModelProto) -> None:
    """Removes the integers that nothing reads any more."""
    reads = uses(model.graph)
    fed = {value.name for value in model.graph.input}
    for tensor in list(model.graph.initializer):
        if not reads[tensor.name] and tensor.name not in fed:
            model.graph.initializer.remove(tensor)
