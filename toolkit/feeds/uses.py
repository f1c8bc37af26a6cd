"""Walks through a model's graph, at given sizes, for what its inputs are used for (`needs.py`)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import onnx
from onnx import GraphProto, ModelProto, NodeProto

from toolkit.errors import InputError
from toolkit.feeds import dimensions
from toolkit.feeds.forms import RULES, Affine, Walk
from toolkit.feeds.needs import NEEDS, Reading
from toolkit.feeds.sizes import Dims
from toolkit.feeds.spans import InputUse
from toolkit.onnxfiles import graphs, modelfile
from toolkit.onnxfiles.graphs import STANDARD, attribute
from toolkit.tensors import Array, Dim

READ = {
    onnx.TensorProto.DataType.Value(name) for name in ("INT64", "INT32", "BOOL", "FLOAT", "DOUBLE")
}
"""Types of constants that are read."""
LARGEST = 1024
"""Elements of a constant that is read: shapes, axes, offsets of tables."""


@dataclass(frozen=True)
class Uses:
    """A model's graph, as far as it tells what its inputs are used for."""

    inputs: tuple[str, ...] = ()
    nodes: tuple[NodeProto, ...] = ()
    """The nodes whose operators tell something, in order, those of subgraphs included."""
    shapes: Mapping[str, Sequence[Dim]] = field(default_factory=dict)
    constants: Mapping[str, Array] = field(default_factory=dict)
    read: dict[object, dict[str, InputUse]] = field(default_factory=dict)
    """Sizes → what was read at them: a verdict may take dozens of feeds of the same sizes."""

    def at(self, dims: Dims, drawn: Mapping[str, Sequence[int]]) -> dict[str, InputUse]:
        """Input → its use, where the dimensions have these sizes and the inputs these shapes."""
        key = (tuple(dims.items()), tuple((name, tuple(shape)) for name, shape in drawn.items()))
        if key not in self.read:
            self.read[key] = self._read(dims, drawn)
        return self.read[key]

    def _read(self, dims: Dims, drawn: Mapping[str, Sequence[int]]) -> dict[str, InputUse]:
        """Walks over the nodes once."""
        sizes = {
            dim: size
            for name, shape in drawn.items()
            for dim, size in zip(self.shapes.get(name, ()), shape, strict=False)
            if isinstance(dim, str)
        }
        reading = Reading(Walk(_Sizes(self.shapes, {**sizes, **dims}), self.constants))
        for name in self.inputs:
            reading.walk.forms[name] = (Affine(name, 1.0, 0.0, 0.0, intact=True),)
        for node in self.nodes:
            needs = NEEDS.get(node.op_type)
            if needs is not None:
                needs(reading, node)
            reading.walk.follow(node)
        return reading.uses


def of(model: ModelProto) -> Uses:
    """Prepares a model's graph for being read at any sizes."""
    main = model.graph
    shapes = {name: _dims(value) for name, value in graphs.described(model).items()}
    constants: dict[str, Array] = {}
    for graph in graphs.graphs(main):
        if graph is not main:
            shapes |= {value.name: _dims(value) for value in graph.value_info}
        shapes |= {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
        constants |= {name: onnx.numpy_helper.to_array(t) for name, t in _small(graph)}
    told = RULES.keys() | NEEDS.keys()
    nodes = tuple(n for n in graphs.nodes(main) if n.domain in STANDARD and n.op_type in told)
    fed = tuple(value.name for value in modelfile.fed_inputs(main))
    known = {name: dims for name, dims in shapes.items() if dims is not None}
    return Uses(fed, nodes, known, constants)


class _Sizes:
    """The sizes of tensors where those of the dynamic dimensions are known."""

    def __init__(self, shapes: Mapping[str, Sequence[Dim]], dims: Dims) -> None:
        self._shapes, self._dims = shapes, dims
        self._known: dict[Dim, int | None] = {}

    def __call__(self, name: str) -> list[int | None] | None:
        shape = self._shapes.get(name)
        return None if shape is None else [self._size(dim) for dim in shape]

    def _size(self, dim: Dim) -> int | None:
        if dim is None or isinstance(dim, int):
            return dim
        if dim not in self._known:
            try:
                self._known[dim] = dimensions.value(dim, self._dims)
            except InputError:  # torch's own symbol ('u0'): it depends on values.
                self._known[dim] = None
        return self._known[dim]


def _dims(value: onnx.ValueInfoProto) -> tuple[Dim, ...] | None:
    """The sizes of a tensor as a file has them; None where its rank is unknown."""
    kind = value.type.tensor_type
    if not kind.HasField("shape"):
        return None
    return tuple(
        dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None
        for dim in kind.shape.dim
    )


def _small(graph: GraphProto) -> Iterator[tuple[str, onnx.TensorProto]]:
    """The constants of a graph whose values are read."""
    tensors = [(tensor.name, tensor) for tensor in graph.initializer]
    tensors += [
        (node.output[0], value)
        for node in graph.node
        if isinstance(value := attribute(node, "value", None), onnx.TensorProto)
        and node.op_type == "Constant"
    ]
    for name, tensor in tensors:
        inside = tensor.data_location != onnx.TensorProto.EXTERNAL
        if inside and math.prod(tensor.dims) <= LARGEST and tensor.data_type in READ:
            yield name, tensor
