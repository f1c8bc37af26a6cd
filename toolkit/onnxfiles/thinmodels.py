"""Holds a model's graph without its large tensors, which are read from their files one at a time.

A changed copy of a model then costs its graph alone. When it is saved, a tensor that is as it was
is referred to where it lies, and one that was changed is made, written and dropped, so that no more
than one is in memory. ONNX Runtime refuses external data outside the model's folder (links are
followed), so files from elsewhere get a copy beside the saved graph.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, TensorProto, helper, numpy_helper

from toolkit.onnxfiles import graphs, storedtensors
from toolkit.onnxfiles.graphs import attribute, copied
from toolkit.tensors import Array
from toolkit.units import Bytes

LARGE = 1024
"""Elements beyond which a tensor stands beside the graph. Shapes and axes are computed from smaller
ones, so whoever reads the graph alone finds these in it."""
ALIGNED = 4096
"""Bytes of a page: a tensor that begins at one can be mapped."""
KEPT_INSIDE = {TensorProto.STRING, TensorProto.UNDEFINED}
"""Types whose bytes cannot stand in a file of their own."""


@dataclass(frozen=True)
class Stored:
    """The place of a tensor's bytes, as ONNX lays them out."""

    file: Path
    offset: Bytes
    length: Bytes

    def read(self) -> Array:
        """Reads the bytes, as uint8."""
        return np.fromfile(self.file, np.uint8, self.length, offset=self.offset)


@dataclass(frozen=True)
class Weight:
    """A large tensor: where it lies, or how it is made."""

    kind: int
    """ONNX's element type."""
    dims: tuple[int, ...]
    source: Stored | Callable[[], Array]

    def array(self) -> Array:
        """Reads or makes it. Types of fewer than 8 bits have no array."""
        if not isinstance(self.source, Stored):
            return self.source()
        dtype = helper.tensor_dtype_to_np_dtype(self.kind)
        return self.source.read().view(dtype).reshape(self.dims)

    def then(self, step: Callable[[Array], Array]) -> Weight:
        """Gives the float32 tensor that a step makes of this one, whenever it is asked for."""
        return Weight(TensorProto.FLOAT, self.dims, lambda: step(self.array()))


@dataclass(frozen=True)
class ThinWeights:
    """The large tensors of a model by name, each read or made when it is asked for."""

    tensors: Mapping[str, Weight]

    def __contains__(self, name: str) -> bool:
        return name in self.tensors

    def read(self, name: str) -> Array:
        """Gives the values in their own type, of fewer than 8 bits too. Raises KeyError for an
        unknown name."""
        weight = self.tensors[name]
        if not isinstance(weight.source, Stored):
            return weight.source()
        data = weight.source.read().tobytes()
        return numpy_helper.to_array(
            TensorProto(data_type=weight.kind, dims=weight.dims, raw_data=data)
        )


@dataclass
class ThinModel:
    """A model whose large initializers have name, type and shape in the graph, and no data."""

    proto: ModelProto
    weights: dict[str, Weight] = field(default_factory=dict)
    """Name of a large initializer of the main graph → its tensor."""
    file: Path | None = None
    """The file that is this very model; None once anything was changed."""

    def copy(self) -> ThinModel:
        """Copies the graph, to be changed; the tensors stay where they lie."""
        return ThinModel(copied(self.proto), dict(self.weights))

    def array(self, tensor: TensorProto) -> Array:
        """Reads an initializer of this model, large or small."""
        weight = self.weights.get(tensor.name)
        return numpy_helper.to_array(tensor) if weight is None else weight.array()

    def stand_in(self, name: str, weight: Weight) -> None:
        """Adds a large initializer; one that is there gets another tensor of its type and shape."""
        if name not in self.weights:
            tensor = TensorProto(name=name, data_type=weight.kind, dims=weight.dims)
            self.proto.graph.initializer.append(tensor)
        self.weights[name] = weight

    def changed(self, step: Callable[[ModelProto], ModelProto]) -> ThinModel:
        """Applies a step that reads no large tensor: for it they are inputs, which onnx's own
        inliner and converter take. What the step raises is passed on."""
        fed = {value.name for value in self.proto.graph.input}
        inputs, _ = self.apart()
        result = step(inputs)
        if result.SerializeToString(deterministic=True) == inputs.SerializeToString(
            deterministic=True
        ):
            return self
        names = self.weights.keys() - fed
        kept = [_copied(value) for value in result.graph.input if value.name not in names]
        del result.graph.input[:]
        result.graph.input.extend(kept)
        thin = ThinModel(result)
        for name, weight in self.weights.items():
            thin.stand_in(name, weight)
        return thin

    def apart(self) -> tuple[ModelProto, ThinWeights]:
        """Gives a copy of the graph that takes the large tensors as inputs, and those tensors."""
        graph = self.proto.graph
        fed = {value.name for value in graph.input}
        inputs = copied(self.proto)
        graphs.drop_initializers(inputs.graph, self.weights)
        inputs.graph.input.extend(
            helper.make_tensor_value_info(name, weight.kind, weight.dims)
            for name, weight in self.weights.items()
            if name not in fed
        )
        return inputs, ThinWeights(self.weights)

    def whole(self) -> ModelProto:
        """Copies the model with all its tensors inside."""
        result = copied(self.proto)
        for tensor in result.graph.initializer:
            if weight := self.weights.get(tensor.name):
                tensor.CopyFrom(TensorProto(name=tensor.name, data_type=weight.kind))
                tensor.dims.extend(weight.dims)
                tensor.raw_data = _bytes(weight).tobytes()
        return result

    def save(self, path: Path) -> None:
        """Writes the graph to `path`, with the files of its large tensors beside it.

        Those that an earlier graph of this name brought are replaced, not written over: whoever
        has mapped them keeps them.
        """
        result = copied(self.proto)
        remove(path)
        names: dict[Path, str] = {}
        with _Appended(path.with_name(f"{path.stem}.0.data")) as fresh:
            for tensor in result.graph.initializer:
                if weight := self.weights.get(tensor.name):
                    stored = weight.source
                    if not isinstance(stored, Stored):
                        stored = fresh.add(_bytes(weight))
                    if stored.file not in names:
                        names[stored.file] = _beside(stored.file, path, len(names) + 1)
                    _refer(tensor, weight, stored, names[stored.file])
        path.write_bytes(result.SerializeToString())


class _Appended:
    """A file to which tensors are appended, one at a time; none where there is no tensor."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream: BinaryIO | None = None

    def __enter__(self) -> _Appended:
        return self

    def __exit__(self, *error: object) -> None:
        if self._stream is not None:
            self._stream.close()

    def add(self, content: Array) -> Stored:
        """Appends bytes, as uint8, and tells their place."""
        if self._stream is None:
            self._path.unlink(missing_ok=True)  # Whoever has mapped an older one keeps it.
            self._stream = self._path.open("wb")
        offset = math.ceil(self._stream.tell() / ALIGNED) * ALIGNED
        self._stream.seek(offset)
        content.tofile(self._stream)
        return Stored(self._path, offset, content.size)


def read(path: Path, folder: Path) -> ThinModel:
    """Reads the model of a checked file. Its external data stays where it is; large tensors that it
    holds inside are written once to `<name>.weights` in `folder`."""
    model = onnx.load_model(str(path), load_external_data=False)
    with _Appended(folder / f"{path.stem}.weights") as fresh:

        def stored(tensor: TensorProto) -> Stored:
            if tensor.data_location != TensorProto.EXTERNAL:
                return fresh.add(_raw(tensor))
            entries = {entry.key: entry.value for entry in tensor.external_data}
            file = (path.parent / entries["location"]).resolve()
            itemsize = int(helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
            length = int(entries.get("length", math.prod(tensor.dims) * itemsize))
            return Stored(file, int(entries.get("offset", 0)), length)

        thin = _thin(model, stored)
    # The few that stand elsewhere: in subgraphs, in attributes, and small ones.
    for tensor in storedtensors.stored(model):
        if tensor.data_location == TensorProto.EXTERNAL and tensor.name not in thin.weights:
            onnx.external_data_helper.load_external_data_for_tensor(tensor, str(path.parent))
            tensor.data_location = TensorProto.DEFAULT
            del tensor.external_data[:]
    return ThinModel(thin.proto, thin.weights, path.resolve())


def remove(path: Path) -> None:
    """Removes a saved graph and the files that it brought; those that it refers to elsewhere
    stay."""
    for file in (path, *path.parent.glob(f"{path.stem}.*.data")):
        file.unlink(missing_ok=True)


def of_model(model: ModelProto) -> ThinModel:
    """Makes a thin copy of a model in memory, which has to stay there: its tensors are read from
    it."""

    def kept(tensor: TensorProto) -> Callable[[], Array]:
        original = TensorProto()
        original.CopyFrom(tensor)
        return lambda: numpy_helper.to_array(original)

    return _thin(copied(model), kept)


def _thin(
    model: ModelProto, source: Callable[[TensorProto], Stored | Callable[[], Array]]
) -> ThinModel:
    """Takes the data of the large tensors out of a model, in place."""
    thin = ThinModel(model)
    lift_constants(model.graph, LARGE)
    for tensor in model.graph.initializer:
        if math.prod(tensor.dims) > LARGE and tensor.data_type not in KEPT_INSIDE:
            weight = Weight(tensor.data_type, tuple(tensor.dims), source(tensor))
            thin.weights[tensor.name] = weight
            tensor.CopyFrom(TensorProto(name=tensor.name, data_type=weight.kind, dims=weight.dims))
    return thin


def lift_constants(graph: GraphProto, largest: int = -1) -> None:
    """Makes initializers of the Constant nodes whose tensors have more elements than this, in
    place."""
    kept = []
    for node in graph.node:
        value = attribute(node, "value", None) if node.op_type == "Constant" else None
        if isinstance(value, TensorProto) and math.prod(value.dims) > largest:
            constant = graph.initializer.add()
            constant.CopyFrom(value)
            constant.name = node.output[0]
        else:
            kept.append(node)
    if len(kept) < len(graph.node):
        graphs.replace_nodes(graph, kept)


def _copied(value: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
    result = onnx.ValueInfoProto()
    result.CopyFrom(value)
    return result


def _raw(tensor: TensorProto) -> Array:
    """Gives a tensor's bytes as ONNX lays them out, whichever field holds it."""
    if not tensor.HasField("raw_data"):
        tensor = numpy_helper.from_array(numpy_helper.to_array(tensor))
    return np.frombuffer(tensor.raw_data, np.uint8)


def _bytes(weight: Weight) -> Array:
    if isinstance(weight.source, Stored):
        return weight.source.read()
    return np.ascontiguousarray(weight.source()).reshape(-1).view(np.uint8)


def _refer(tensor: TensorProto, weight: Weight, stored: Stored, location: str) -> None:
    """Makes an initializer refer to bytes in a file beside the graph."""
    tensor.CopyFrom(TensorProto(name=tensor.name, data_type=weight.kind, dims=weight.dims))
    tensor.data_location = TensorProto.EXTERNAL
    places = {"location": location, "offset": stored.offset, "length": stored.length}
    for key, value in places.items():
        tensor.external_data.add(key=key, value=str(value))


def _beside(file: Path, path: Path, number: int) -> str:
    """Brings a copy of a file into the graph's folder; returns its name there.

    No hard link: onnx refuses external data that has a second one, so the model itself could not be
    converted or exported as long as the link is there.
    """
    if file.parent == path.parent.resolve():
        return file.name
    copy = path.with_name(f"{path.stem}.{number}.data")
    shutil.copyfile(file, copy)
    return copy.name
