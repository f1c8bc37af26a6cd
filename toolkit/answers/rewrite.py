"""Writes copies of a model in which numbers are rounded: the graph side of the simulations.

A copy shares no node with the original, and holds no large tensor: these are rounded one at a time
when they are read (`onnxfiles/thinmodels.py`). A tensor that is rounded keeps its name, so that
whoever reads it, a subgraph too, reads the rounded one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import numpy as np
import onnx.inliner
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

from toolkit.answers import formats, storedweights
from toolkit.onnxfiles.floattypes import convert_floats
from toolkit.onnxfiles.graphs import (
    STANDARD,
    attribute,
    copied,
    drop_initializers,
    replace_nodes,
    subgraphs,
    uses,
)
from toolkit.onnxfiles.thinmodels import ThinModel, lift_constants
from toolkit.tensors import Array

OTHER_FLOATS = {TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE}
"""What becomes float32 before it is rounded to anything. The 8-bit and 4-bit floats stay: rounding
to them is what the model does."""

PRODUCTS: dict[str, tuple[int, ...]] = {
    "MatMul": (0, 1),
    "Gemm": (0, 1),
    "Conv": (0, 1),
    "ConvTranspose": (0, 1),
    "LSTM": (0, 1, 2),
    "GRU": (0, 1, 2),
    "RNN": (0, 1, 2),
    "Einsum": (0, 1, 2, 3),
    "Attention": (0, 1, 2),
}
"""Operators that sum products → the inputs that hardware takes in a lower format."""

MOVES = {
    *("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Gather"),
    *("Split", "Expand", "Tile", "Relu", "MaxPool", "GlobalMaxPool", "DepthToSpace"),
    *("SpaceToDepth", "Dropout"),
}
"""Operators whose outputs are values that were rounded before, so they need no rounding again."""


def float32_form(model: ThinModel) -> ThinModel:
    """Gives a model with every float type as float32; the model itself where it is so already.

    So a float16 file can be run without further rounding, and rounded like any other. Functions of
    the model are inlined, and quantized weights are floats.
    """
    if model.proto.functions:
        model = model.changed(onnx.inliner.inline_local_functions)
    proto = copied(model.proto)
    wide = {n: w for n, w in model.weights.items() if w.kind in OTHER_FLOATS}
    drop_initializers(proto.graph, wide)
    convert_floats(proto.graph, OTHER_FLOATS, TensorProto.FLOAT)
    if wide or proto != model.proto:
        weights = {n: w for n, w in model.weights.items() if n not in wide}
        model = ThinModel(proto, weights)
        for name, weight in wide.items():
            model.stand_in(name, weight.then(_to_float32))
    return storedweights.as_floats(model)


def _to_float32(array: Array) -> Array:
    return array.astype(np.float32)


def lifted(model: ThinModel) -> ThinModel:
    """Copies a model with every constant tensor as an initializer: those are weights, too."""
    result = model.copy()
    lift_constants(result.proto.graph)
    return result


Nodes = tuple[list[NodeProto], list[TensorProto]]
"""Nodes to insert and the constants that they read."""


class RoundWeights(Protocol):
    """Rounds the numbers of an initializer."""

    def __call__(self, array: Array, axis: int | None) -> Array: ...


@dataclass(frozen=True)
class Rounding:
    """One way to round: in numpy for weights, as nodes for what is computed."""

    weights: RoundWeights
    """Rounds an initializer, given its axis of output channels or None."""
    nodes: Callable[[str, str], Nodes]
    """Makes nodes that round the tensor of the first name into one of the second."""
    opset: int
    """The first opset in which the nodes exist."""


@dataclass
class RoundedCopy:
    """A copy of a model that gets roundings written into it, in place."""

    model: ThinModel
    floats: set[str]
    """Names of the tensors that are known to be float32."""
    constants: dict[str, TensorProto] = field(init=False)
    """Name → initializer of the main graph."""
    inserted: set[str] = field(default_factory=set)
    """Names of the tensors that were added."""
    stored: int = 0
    """Initializers that got other numbers."""

    def __post_init__(self) -> None:
        self.constants = {i.name: i for i in self.graph.initializer}

    @property
    def graph(self) -> GraphProto:
        """The graph that is rewritten."""
        return self.model.proto.graph

    @property
    def is_rounded(self) -> bool:
        """Says whether a rounding was written into it: there may be nothing that a form rounds."""
        return bool(self.inserted or self.stored)

    def round_weights(self, rounding: Rounding) -> None:
        """Rounds every float initializer."""
        for tensor in self.constants.values():
            if tensor.data_type == TensorProto.FLOAT:
                self._store(tensor, tensor.name, partial(rounding.weights, axis=None))

    def _store(self, tensor: TensorProto, name: str, step: Callable[[Array], Array]) -> None:
        """Gives an initializer, old or new, the numbers that a step makes of another's."""
        self.stored += 1
        weight = self.model.weights.get(tensor.name)
        if weight is not None:
            self.model.stand_in(name, weight.then(step))
            return
        values = numpy_helper.from_array(step(numpy_helper.to_array(tensor)), name)
        if name == tensor.name:
            tensor.CopyFrom(values)
        else:
            self.graph.initializer.append(values)

    def round_every_node(self, rounding: Rounding) -> None:
        """Rounds every float input of the graph and every float output of a node."""
        nodes: list[NodeProto] = []
        renamed: dict[str, str] = {}
        for info in self.graph.input:
            # An input keeps its name, since it is fed by it: its readers in the main graph change.
            if info.name in self.floats and info.name not in self.constants:
                renamed[info.name] = f"{info.name}__rounded"
                nodes += self._insert(rounding, info.name, renamed[info.name])
        for node in self.graph.node:
            for i, name in enumerate(node.input):
                node.input[i] = renamed.get(name, name)
            nodes.append(node)
            if node.op_type in MOVES:
                continue
            for i, name in enumerate(node.output):
                if name in self.floats:
                    # The rounded one takes the name over, so that subgraphs read it too.
                    node.output[i] = f"{name}__exact"
                    nodes += self._insert(rounding, node.output[i], name)
        replace_nodes(self.graph, nodes)

    def round_products(self, rounding: Rounding, *, channels: bool, computed: bool) -> None:
        """Rounds the inputs of the operators of PRODUCTS: weights and, if `computed`, all others.

        `channels`: each output channel of a weight has its own scale.
        """
        nodes: list[NodeProto] = []
        for node in self.graph.node:
            for position in _multiplied(node):
                name = node.input[position]
                tensor = self.constants.get(name)
                if tensor is not None and tensor.data_type == TensorProto.FLOAT:
                    axis = channel_axis(node, position, len(tensor.dims)) if channels else None
                    node.input[position] = self._weight(rounding, tensor, axis)
                elif computed and name in self.floats:
                    node.input[position] = f"{name}__rounded"
                    if node.input[position] not in self.inserted:
                        nodes += self._insert(rounding, name, node.input[position])
            nodes.append(node)
        replace_nodes(self.graph, nodes)
        self._drop_unread()

    def rounded_weights(self, where: str, *, channels: bool) -> Iterator[tuple[Array, int | None]]:
        """Yields the float weights that are rounded, one at a time, each with its axis of output
        channels or None: all 'weights', or 'their weights', which the products read."""
        floats = {n: t for n, t in self.constants.items() if t.data_type == TensorProto.FLOAT}
        if where == "weights":
            # Small ones first: whoever looks for some that change need not read the large ones.
            ordered = sorted(floats.values(), key=lambda tensor: int(np.prod(tensor.dims)))
            yield from ((self.model.array(tensor), None) for tensor in ordered)
            return
        for node in self.graph.node:
            for position in _multiplied(node):
                if tensor := floats.get(node.input[position]):
                    axis = channel_axis(node, position, len(tensor.dims)) if channels else None
                    yield self.model.array(tensor), axis

    def _drop_unread(self) -> None:
        """Removes weights that only their rounded twins replace: memory holds one copy of each."""
        reads = uses(self.graph)
        # Before IR 4 an initializer is an input too, and without it the input must be fed.
        fed = {i.name for i in self.graph.input}
        unread = {i.name for i in self.graph.initializer if not reads[i.name]} - fed
        for name in unread:
            self.model.weights.pop(name, None)
        drop_initializers(self.graph, unread)
        self.constants = {i.name: i for i in self.graph.initializer}

    def _weight(self, rounding: Rounding, tensor: TensorProto, axis: int | None) -> str:
        """Adds the rounded twin of a weight, once for each axis; returns its name."""
        name = f"{tensor.name}__rounded_{'all' if axis is None else axis}"
        if name not in self.inserted:
            self._store(tensor, name, partial(rounding.weights, axis=axis))
            self.inserted.add(name)
        return name

    def _insert(self, rounding: Rounding, source: str, result: str) -> list[NodeProto]:
        nodes, constants = rounding.nodes(source, result)
        fresh = [c for c in constants if c.name not in self.inserted]
        self.graph.initializer.extend(fresh)
        self.inserted |= {c.name for c in fresh} | {result}
        return nodes


def _multiplied(node: NodeProto) -> tuple[int, ...]:
    """Lists the inputs of a node that hardware takes in a lower format."""
    positions = PRODUCTS.get(node.op_type, ()) if node.domain in STANDARD else ()
    return positions[: len(node.input)]


def reached(graph: GraphProto, tensors: Collection[str], *, products: bool) -> frozenset[str]:
    """Names all tensors of a graph that another number in `tensors` may change, and with `products`
    all that another precision of their inputs may."""
    touched = set(tensors)
    for node in graph.node:
        # What the body of an If or a Loop reads besides is not looked up: it may be anything.
        is_product = products and bool(_multiplied(node))
        if is_product or subgraphs(node) or not touched.isdisjoint(node.input):
            touched.update(node.output)
    return frozenset(touched)


def channel_axis(node: NodeProto, position: int, rank: int) -> int:
    """Finds the axis of a weight along which each output channel has its own scale.

    The weight is the node's input at `position` and has `rank` dimensions.
    """
    if node.op_type == "Gemm":
        return 0 if attribute(node, "transB", 0) else 1
    if node.op_type == "MatMul":
        # x·W has its output channels in W's last axis, W·x in the one before.
        return rank - 1 if position == 1 else max(rank - 2, 0)
    return 0 if node.op_type == "Conv" else min(1, rank - 1)


def cast_nodes(to: int) -> Callable[[str, str], Nodes]:
    """Rounds by Cast to an element type and Cast back."""

    def build(source: str, result: str) -> Nodes:
        low = f"{result}__low"
        return [
            helper.make_node("Cast", [source], [low], to=to),
            helper.make_node("Cast", [low], [result], to=TensorProto.FLOAT),
        ], []

    return build


def mantissa_nodes(bits: int) -> Callable[[str, str], Nodes]:
    """Rounds to so many bits without a Cast (Veltkamp, 1968; Dekker, 1971).

    c = x·(2^(24-bits) + 1), result = c - (c - x). Below 2^100 equal to `formats.rounded`, bit for
    bit.
    """

    def build(source: str, result: str) -> Nodes:
        factor = f"toolkit__split_{bits}"
        c, rest = f"{result}__c", f"{result}__rest"
        return [
            helper.make_node("Mul", [source, factor], [c]),
            helper.make_node("Sub", [c, source], [rest]),
            helper.make_node("Sub", [c, rest], [result]),
        ], [_scalar(factor, 2.0 ** (24 - bits) + 1)]

    return build


def truncation_nodes(bits: int) -> Callable[[str, str], Nodes]:
    """Cuts to so many bits: where rounding grew the value, a slightly smaller one is rounded."""
    split = mantissa_nodes(bits)

    def build(source: str, result: str) -> Nodes:
        shrink = f"toolkit__shrink_{bits}"
        near, less, down = f"{result}__near", f"{result}__less", f"{result}__down"
        size, near_size, grew = f"{result}__size", f"{result}__near_size", f"{result}__grew"
        first, constants = split(source, near)
        second, _ = split(less, down)
        return [
            *first,
            helper.make_node("Mul", [near, shrink], [less]),
            *second,
            helper.make_node("Abs", [source], [size]),
            helper.make_node("Abs", [near], [near_size]),
            helper.make_node("Greater", [near_size, size], [grew]),
            helper.make_node("Where", [grew, down, near], [result]),
            # 1.2 units of the last kept bit: more than half a unit, less than one and a half.
        ], [*constants, _scalar(shrink, 1 - 1.2 * 2.0**-bits)]

    return build


def int8_nodes(source: str, result: str) -> Nodes:
    """Rounds by DynamicQuantizeLinear and back.

    The way back is Cast, Sub and Mul: the reference evaluator has no DequantizeLinear below
    opset 19.
    """
    q, scale, zero = f"{result}__q", f"{result}__scale", f"{result}__zero"
    wide, offset, level = f"{result}__wide", f"{result}__offset", f"{result}__level"
    return [
        helper.make_node("DynamicQuantizeLinear", [source], [q, scale, zero]),
        helper.make_node("Cast", [q], [wide], to=TensorProto.FLOAT),
        helper.make_node("Cast", [zero], [offset], to=TensorProto.FLOAT),
        helper.make_node("Sub", [wide, offset], [level]),
        helper.make_node("Mul", [level, scale], [result]),
    ], []


def _scalar(name: str, value: float) -> TensorProto:
    return numpy_helper.from_array(np.array(value, np.float32), name)


def _float16(array: Array, axis: int | None) -> Array:
    return formats.through_float16(array)


def _bits(round_to: Callable[[Array, int], Array], bits: int) -> RoundWeights:
    def weights(array: Array, axis: int | None) -> Array:
        return round_to(array, bits)

    return weights


FLOAT16 = Rounding(_float16, cast_nodes(TensorProto.FLOAT16), 6)
TF32 = Rounding(_bits(formats.rounded, 11), mantissa_nodes(11), 7)
TF32_CUT = Rounding(_bits(formats.truncated, 11), truncation_nodes(11), 9)
INT8 = Rounding(formats.through_int8, int8_nodes, 11)
BFLOAT16 = Rounding(_bits(formats.rounded, 8), cast_nodes(TensorProto.BFLOAT16), 13)
BFLOAT16_EARLY = Rounding(BFLOAT16.weights, mantissa_nodes(8), 7)
"""Rounds without the Cast, which has no bfloat16 before opset 13."""
