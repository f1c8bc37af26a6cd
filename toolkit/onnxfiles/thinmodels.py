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

import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from toolkit.onnxfiles import graphs, tensordata
from toolkit.onnxfiles.graphs import attribute, copied
from toolkit.onnxfiles.modelfile import Opened
from toolkit.onnxfiles.tensordata import Inside, Stored, Weight
from toolkit.tensors import Array

LARGE = 1024
"""Elements beyond which a tensor stands beside the graph. Shapes and axes are computed from smaller
ones, so whoever reads the graph alone finds these in it."""
ALIGNED = 4096
"""Bytes of a page: a tensor that begins at one can be mapped."""
UNCHANGED = "unchanged.weights"
"""The file of the tensors that changed copies of a model have in common."""
COPY = ".copy"
"""The ending of a file that is a copy of one in another folder."""
KEPT_INSIDE = {TensorProto.STRING, TensorProto.UNDEFINED}
"""Types whose bytes cannot stand in a file of their own."""


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

    def apart(self) -> tuple[ModelProto, Mapping[str, Weight]]:
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
        return inputs, dict(self.weights)

    def whole(self) -> ModelProto:
        """Copies the model with all its tensors inside."""
        result = copied(self.proto)
        for tensor in result.graph.initializer:
            if weight := self.weights.get(tensor.name):
                tensor.CopyFrom(weight.tensor(tensor.name))
        return result

    def save(self, path: Path) -> None:
        """Writes the graph to `path`, with the files of its large tensors beside it.

        Those that an earlier graph of this name brought are replaced, not written over: whoever
        has mapped them keeps them. What is as it was before is written or copied once, to files
        that all graphs in this folder share.
        """
        result = copied(self.proto)
        _remove_own(path)
        names: dict[Path, str] = {}
        with (
            _Appended(_fresh(path)) as fresh,
            _Appended(path.with_name(UNCHANGED)) as shared,
        ):
            for tensor in result.graph.initializer:
                if weight := self.weights.get(tensor.name):
                    stored = _written(weight, path.parent, fresh, shared)
                    if stored.file not in names:
                        names[stored.file] = _beside(stored.file, path.parent)
                    _refer(tensor, weight, stored, names[stored.file])
        path.write_bytes(result.SerializeToString())


def _written(weight: Weight, folder: Path, fresh: _Appended, shared: _Appended) -> Stored:
    """The place of a tensor's bytes in a file; they are written where they are in none."""
    source = weight.source
    if isinstance(source, Stored):
        return source
    if not isinstance(source, Inside):
        return fresh.add(weight.bytes())
    known = source.stored
    if known is None or known.file.parent != folder or not known.file.is_file():
        known = source.stored = shared.add(weight.bytes())
    return known


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
            self._stream = self._path.open("ab")
        self._stream.write(bytes(-self._stream.tell() % ALIGNED))
        offset = self._stream.tell()
        content.tofile(self._stream)
        return Stored(self._path, offset, content.size)


def of_model(model: ModelProto, folder: Path | None = None, file: Path | None = None) -> ThinModel:
    """Makes a thin copy of a model in memory, which has to stay there: what it holds inside is read
    from it.

    `folder` is that of the model's file, for external data that was not loaded: it is mapped from
    where it lies. `file` is the file that is this very model, where there is one.
    """
    thin = ThinModel(graphs.shell(model), file=file)
    graph = thin.proto.graph
    for tensor in model.graph.initializer:
        _place(thin, tensor, tensor.name, folder)
    for node in model.graph.node:
        constant = _constant(node)
        if constant is None:
            graph.node.append(node)
        else:
            _place(thin, constant, node.output[0], folder)
    # The few tensors that stay inside and lie elsewhere: small ones, those of subgraphs.
    if folder is not None:
        tensordata.bring_inside(thin.proto, folder)
    return thin


def of_opened(opened: Opened) -> ThinModel:
    """Makes a thin copy of a model file that was read."""
    return of_model(opened.model, opened.folder, opened.facts.path.resolve())


def _place(thin: ThinModel, tensor: TensorProto, name: str, folder: Path | None) -> None:
    """Adds an initializer: a large one beside the graph, any other inside."""
    if math.prod(tensor.dims) > LARGE and tensor.data_type not in KEPT_INSIDE:
        thin.stand_in(name, tensordata.of_tensor(tensor, folder))
    else:
        thin.proto.graph.initializer.add().CopyFrom(tensor)


def _constant(node: NodeProto) -> TensorProto | None:
    """Gives the tensor of a Constant node that is large enough to stand beside the graph."""
    value = attribute(node, "value", None) if node.op_type == "Constant" else None
    if not isinstance(value, TensorProto) or value.data_type in KEPT_INSIDE:
        return None
    return value if math.prod(value.dims) > LARGE else None


def remove(path: Path) -> None:
    """Removes a saved graph and the file that it brought; where it was the last one of its folder,
    those that all have shared too."""
    _remove_own(path)
    if not any(path.parent.glob("*.onnx")):
        for file in (path.with_name(UNCHANGED), *path.parent.glob(f"*{COPY}")):
            file.unlink(missing_ok=True)


def _remove_own(path: Path) -> None:
    for file in (path, _fresh(path)):
        file.unlink(missing_ok=True)


def _fresh(path: Path) -> Path:
    """The file of the tensors that were made for a graph."""
    return path.with_name(f"{path.stem}.0.data")


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


def _refer(tensor: TensorProto, weight: Weight, stored: Stored, location: str) -> None:
    """Makes an initializer refer to bytes in a file beside the graph."""
    tensor.CopyFrom(TensorProto(name=tensor.name, data_type=weight.kind, dims=weight.dims))
    tensor.data_location = TensorProto.EXTERNAL
    places = {"location": location, "offset": stored.offset, "length": stored.length}
    for key, value in places.items():
        tensor.external_data.add(key=key, value=str(value))


def _beside(file: Path, folder: Path) -> str:
    """Brings a copy of a file into the folder of a graph, once; returns its name there.

    No hard link: onnx refuses external data that has a second one, so the model itself could not be
    converted or exported as long as the link is there.
    """
    if file.parent.resolve() == folder.resolve():
        return file.name
    state = file.stat()
    copy = folder / f"{state.st_dev}-{state.st_ino}-{state.st_mtime_ns}{COPY}"
    if not copy.exists():
        part = copy.with_suffix(".part")
        shutil.copyfile(file, part)
        part.rename(copy)
    return copy.name
