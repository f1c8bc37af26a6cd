"""Reads, walks and copies ONNX graphs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import onnx
from onnx import (
    FunctionProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    helper,
)

Key = TypeVar("Key", bound=Hashable)

STANDARD = ("", "ai.onnx")
"""The two spellings of ONNX's own domain."""


def copied(model: ModelProto) -> ModelProto:
    """Copies a model; the copy shares nothing with it."""
    result = ModelProto()
    result.CopyFrom(model)
    return result


def opset(model: ModelProto) -> int:
    """Finds the version of ONNX's own operators; 1 where the file states none."""
    return max((i.version for i in model.opset_import if i.domain in STANDARD), default=1)


def attribute(node: NodeProto, name: str, default: Any) -> Any:
    """Gives the value of a node's attribute, or the default where it has none."""
    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)


def subgraphs(node: NodeProto) -> list[GraphProto]:
    """Lists the bodies of an If, a Loop or a Scan; of other nodes there are none."""
    single = [a.g for a in node.attribute if a.HasField("g")]
    return single + [g for a in node.attribute for g in a.graphs]


def graphs(graph: GraphProto) -> Iterator[GraphProto]:
    """Yields the graph and every graph within it."""
    yield graph
    for node in graph.node:
        for sub in subgraphs(node):
            yield from graphs(sub)


def nodes(graph: GraphProto | FunctionProto) -> Iterator[NodeProto]:
    """Yields all nodes of a graph or a function, those of its subgraphs included."""
    for node in graph.node:
        yield node
        for subgraph in subgraphs(node):
            yield from nodes(subgraph)


def inner_first(inner: Mapping[Key, Collection[Key]]) -> list[Key]:
    """Orders things that hold each other, each behind all that it holds.

    What holds itself is left out, and so is what holds that. The time that it takes is in
    proportion to the number of pairs.
    """
    holders: dict[Key, list[Key]] = {}
    waiting = {}
    for outer, parts in inner.items():
        inside = {*parts} & inner.keys()
        waiting[outer] = len(inside)
        for part in inside:
            holders.setdefault(part, []).append(outer)
    ordered = [outer for outer, count in waiting.items() if not count]
    for part in ordered:  # It grows as it is walked through.
        for outer in holders.get(part, ()):
            waiting[outer] -= 1
            if not waiting[outer]:
                ordered.append(outer)
    return ordered


def uses(graph: GraphProto) -> Counter[str]:
    """Counts how often each tensor is read, in subgraphs and as an output of a graph too."""
    count: Counter[str] = Counter()
    for each in graphs(graph):
        count.update(o.name for o in each.output)
        for node in each.node:
            count.update(node.input)
    return count


def makers(graph: GraphProto) -> dict[str, NodeProto]:
    """Maps each tensor of a graph to the node that computes it."""
    return {name: node for node in graph.node for name in node.output if name}


def replace_nodes(graph: GraphProto, nodes: Sequence[NodeProto]) -> None:
    """Puts other nodes, some of them the graph's own, in the place of its nodes."""
    fresh = []
    for node in nodes:
        fresh.append(NodeProto())
        fresh[-1].CopyFrom(node)
    del graph.node[:]
    graph.node.extend(fresh)


def drop_initializers(graph: GraphProto, names: Collection[str]) -> None:
    """Takes initializers out of a graph. Removing them one by one costs the square of their
    number."""
    kept = []
    for tensor in graph.initializer:
        if tensor.name not in names:
            kept.append(TensorProto())
            kept[-1].CopyFrom(tensor)
    if len(kept) < len(graph.initializer):
        del graph.initializer[:]
        graph.initializer.extend(kept)


def described(model: ModelProto) -> dict[str, ValueInfoProto]:
    """Maps each tensor of the main graph to its type and shape, as far as inference finds them; as
    the file states them where it contradicts itself."""
    try:
        inferred = onnx.shape_inference.infer_shapes(skeleton(model)).graph
    except onnx.shape_inference.InferenceError:
        inferred = model.graph
    return {i.name: i for i in (*inferred.input, *inferred.value_info, *inferred.output)}


def float32_tensors(model: ModelProto) -> set[str]:
    """Names the tensors of the main graph that are known to be float32."""
    kinds = {n: i.type.tensor_type.elem_type for n, i in described(model).items()}
    return {n for n, kind in kinds.items() if kind == TensorProto.FLOAT}


def skeleton(model: ModelProto, largest: int = 1024) -> ModelProto:
    """Copies a model with its large initializers as inputs of the same type and shape.

    Inference reads no weights, and what it is handed must stay under protobuf's 2 GB. Initializers
    of up to `largest` elements stay: shapes and axes are computed from such.
    """
    result = shell(model)
    result.graph.node.extend(model.graph.node)
    large = {t.name: t for t in model.graph.initializer if math.prod(t.dims) > largest}
    result.graph.initializer.extend(t for t in model.graph.initializer if t.name not in large)
    declare(result.graph, large)
    return result


def shell(model: ModelProto) -> ModelProto:
    """Copies what stands around the nodes and the dense initializers of a model's main graph."""
    result = ModelProto(ir_version=model.ir_version)
    result.opset_import.extend(model.opset_import)
    result.functions.extend(model.functions)
    graph = result.graph
    graph.name = model.graph.name
    graph.input.extend(model.graph.input)
    graph.output.extend(model.graph.output)
    graph.value_info.extend(model.graph.value_info)
    graph.sparse_initializer.extend(model.graph.sparse_initializer)
    return result


def declare(graph: GraphProto, tensors: Mapping[str, TensorProto]) -> None:
    """Adds inputs of the tensors' types and shapes, by name, unless the graph has them."""
    present = {value.name for value in graph.input}
    graph.input.extend(
        helper.make_tensor_value_info(name, tensor.data_type, tensor.dims)
        for name, tensor in tensors.items()
        if name not in present
    )


def shape_arithmetic(model: ModelProto) -> Counter[str]:
    """Counts, for each operator, the nodes of the main graph that compute shapes only.

    All that such a node takes comes from Shape, Size and constants; one that takes nothing but
    constants counts too. Runtimes run these on the processor under any provider.
    """
    constant = {tensor.name for tensor in model.graph.initializer} | {""}
    shapes: set[str] = set()
    counts: Counter[str] = Counter()
    for node in model.graph.node:
        inputs = set(node.input)
        if node.op_type in ("Shape", "Size") or (inputs & shapes and inputs <= shapes | constant):
            shapes.update(node.output)
            counts[node.op_type] += 1
        elif inputs <= constant and not subgraphs(node):
            constant.update(node.output)
            counts[node.op_type] += 1
    return counts
