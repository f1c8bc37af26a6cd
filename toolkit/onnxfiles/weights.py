"""Takes the large constants out of a model, so that its graph can be copied and changed for little.

A graph of 5,000 nodes takes a few megabytes, its weights take gigabytes. What rewrites a graph gets
one without them, and what computes reads one constant at a time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from toolkit.onnxfiles import graphs
from toolkit.onnxfiles.graphs import attribute
from toolkit.tensors import Array

SMALL = 1024
"""Elements up to which a constant stays in the graph: shapes and axes are computed from such, and
converters of graphs read them."""


@dataclass(frozen=True)
class Weights:
    """The large constants of a model by name, each read when it is asked for.

    What lies in the file itself is a view of its bytes; external data is mapped from its file. So
    an array may not be written, and holds no memory that is not the file's.
    """

    tensors: Mapping[str, TensorProto] = field(default_factory=dict)
    folder: Path | None = None
    """The folder of the model's file, for external data; None: all data is in `tensors`."""

    def __contains__(self, name: str) -> bool:
        return name in self.tensors

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def read(self, name: str) -> Array:
        """Gives the values in the type of the file. Raises KeyError for an unknown name."""
        return array(self.tensors[name], self.folder)


def array(tensor: TensorProto, folder: Path | None) -> Array:
    """Gives the values of a stored tensor, as a view of its bytes or of its file.

    `folder` is that of the model's file. Raises KeyError for external data without it.
    """
    if tensor.data_location != TensorProto.EXTERNAL:
        return numpy_helper.to_array(tensor)
    if folder is None:
        raise KeyError(f"{tensor.name} lies in another file, and the model's folder is not known")
    return _mapped(tensor, folder)


def separated(model: ModelProto, folder: Path | None = None) -> tuple[ModelProto, Weights]:
    """Copies a model without the large constants of its main graph, which become inputs; returns
    the copy and the constants.

    `folder` is that of the model's file, where its external data was not loaded. Constants of
    subgraphs and functions stay where they are.
    """
    large = {t.name: t for t in model.graph.initializer if math.prod(t.dims) > SMALL}
    copy = graphs.shell(model)
    copy.graph.initializer.extend(
        _whole(tensor, folder) for tensor in model.graph.initializer if tensor.name not in large
    )
    for node in model.graph.node:
        constant = _constant(node)
        if constant is None:
            copy.graph.node.append(node)
        else:
            large[node.output[0]] = constant
    graphs.declare(copy.graph, large)
    return copy, Weights(large, folder)


def _constant(node: NodeProto) -> TensorProto | None:
    """Gives the tensor of a Constant node that is large enough to be taken out."""
    value = attribute(node, "value", None) if node.op_type == "Constant" else None
    return value if isinstance(value, TensorProto) and math.prod(value.dims) > SMALL else None


def _whole(tensor: TensorProto, folder: Path | None) -> TensorProto:
    """Gives a small tensor with its data inside, wherever it lies."""
    if folder is None or tensor.data_location != TensorProto.EXTERNAL:
        return tensor
    return numpy_helper.from_array(np.array(_mapped(tensor, folder)), tensor.name)


def _mapped(tensor: TensorProto, folder: Path) -> Array:
    """Maps a tensor's external data, which was found whole before (storedtensors.py)."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    name = TensorProto.DataType.Name(tensor.data_type)
    if name.endswith(("INT4", "INT2", "E2M1")) or not math.prod(tensor.dims):
        # Packed types are unpacked by onnx; an empty tensor cannot be mapped.
        return onnx.numpy_helper.to_array(tensor, str(folder))
    offset = int(entries.get("offset", 0))
    # A mapping reads little-endian bytes as they are, as ONNX stores them.
    return np.memmap(
        folder / entries["location"],
        dtype.newbyteorder("<") if dtype.isbuiltin == 1 else dtype,
        mode="r",
        offset=offset,
        shape=tuple(tensor.dims),
    )
