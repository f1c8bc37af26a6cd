"""Finds the tensors that an .onnx file stores, and refuses those that are not whole.

Nothing outside the file's folder is opened, and no tensor is believed to be as long as it says.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import onnx
from onnx import AttributeProto, GraphProto, ModelProto, SparseTensorProto, TensorProto

from toolkit.errors import InputError
from toolkit.units import Bytes


def stored(model: ModelProto) -> Iterator[TensorProto]:
    """Yields every tensor that the model stores, wherever a file may have one: a runtime opens the
    external data of each that it meets, so none may be left out."""
    yield from _of_graph(model.graph)
    for function in model.functions:
        yield from _of_attributes(function.attribute_proto)
        for node in function.node:
            yield from _of_attributes(node.attribute)
    for training in model.training_info:
        yield from _of_graph(training.initialization)
        yield from _of_graph(training.algorithm)


def _of_graph(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from _of_sparse(sparse)
    for node in graph.node:
        yield from _of_attributes(node.attribute)


def _of_attributes(attributes: Iterable[AttributeProto]) -> Iterator[TensorProto]:
    """Yields the tensors of attributes, whatever these say that they hold."""
    for attribute in attributes:
        if attribute.HasField("t"):
            yield attribute.t
        if attribute.HasField("sparse_tensor"):
            yield from _of_sparse(attribute.sparse_tensor)
        if attribute.HasField("g"):
            yield from _of_graph(attribute.g)
        yield from attribute.tensors
        for sparse in attribute.sparse_tensors:
            yield from _of_sparse(sparse)
        for graph in attribute.graphs:
            yield from _of_graph(graph)


def _of_sparse(sparse: SparseTensorProto) -> tuple[TensorProto, TensorProto]:
    return sparse.values, sparse.indices


def external_files(path: Path, model: ModelProto) -> list[Path]:
    """Lists the other files that hold tensors, each once, in the order of their names.

    Raises InputError for one that lies outside the model's folder, is missing, or is too short.
    """
    return [*external_data(path, model).values()]


def external_data(path: Path, model: ModelProto) -> dict[str, Path]:
    """Maps the locations that a model names to the other files that hold its tensors, in the order
    of the locations. Raises InputError as `external_files`."""
    files: dict[str, Path] = {}
    for tensor in stored(model):
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        if location == path.name:  # in the file itself, as a lightened one has its tensors
            _refuse_short_external(path, tensor, entries, path)
            continue
        if location not in files:
            files[location] = _external_file(path, location)
        _refuse_short_external(path, tensor, entries, files[location])
    return dict(sorted(files.items()))


def external_size(model: ModelProto) -> Bytes:
    """Gives the bytes that the tensors which lie in other files would take inside the model's own:
    such a file may hold those of other models too."""
    return sum(
        needed(tensor) for tensor in stored(model) if tensor.data_location == TensorProto.EXTERNAL
    )


def _external_file(path: Path, location: str) -> Path:
    """Finds a file of external data. Raises InputError for one outside the model's folder, through
    a link too, and for one that is missing."""
    file = path.parent / location
    folder = path.parent.resolve()
    inside = (
        bool(location) and not Path(location).is_absolute() and ".." not in Path(location).parts
    )
    if not inside or folder not in file.resolve().parents:
        raise InputError(
            f"{path} wants its external data from {location!r}, which is outside its folder;"
            " such a file is not opened"
        )
    if not file.is_file():
        raise InputError(
            f"{path} has its weights in {location}, which is not there",
            f"put {location} into {path.parent}/",
        )
    return file


def _refuse_short_external(
    path: Path, tensor: TensorProto, entries: Mapping[str, str], file: Path
) -> None:
    try:
        offset = int(entries.get("offset", 0))
        length = int(entries.get("length", needed(tensor)))
    except ValueError as error:
        raise InputError(
            f"{path}: the place of {tensor.name!r} in {file.name} is no number"
        ) from error
    if offset < 0 or length < needed(tensor) or offset + length > file.stat().st_size:
        raise InputError(
            f"{path}: {file.name} is too short for the tensor {tensor.name!r}"
            f" ({needed(tensor)} bytes from {offset} on, the file has {file.stat().st_size})"
        )


def refuse_short(path: Path, model: ModelProto) -> None:
    """Raises InputError for a tensor whose bytes are fewer or more than its shape says.

    Several runtimes read behind the end of a shorter one.
    """
    for tensor in stored(model):
        refuse_unknown_type(path, tensor.name, tensor.data_type)
        if any(size < 0 for size in tensor.dims):
            raise InputError(f"{path}: the tensor {tensor.name!r} has a negative size")
        if tensor.HasField("raw_data") and len(tensor.raw_data) != needed(tensor):
            raise InputError(
                f"{path}: the tensor {tensor.name!r} of shape {list(tensor.dims)} needs"
                f" {needed(tensor)} bytes and has {len(tensor.raw_data)}"
            )
        _refuse_short_list(path, tensor)


def _refuse_short_list(path: Path, tensor: TensorProto) -> None:
    """Raises InputError for a tensor whose values stand as a list that is too short or too long."""
    is_elsewhere = tensor.HasField("raw_data") or tensor.data_location == TensorProto.EXTERNAL
    if is_elsewhere or tensor.data_type == TensorProto.UNDEFINED:
        return
    values = len(getattr(tensor, onnx.helper.tensor_dtype_to_field(tensor.data_type)))
    parts = 2 if TensorProto.DataType.Name(tensor.data_type).startswith("COMPLEX") else 1
    elements = parts * math.prod(tensor.dims)
    bits = _packed_bits(tensor.data_type)
    needed = math.ceil(elements * bits / 8) if bits else elements
    if values != needed:
        raise InputError(
            f"{path}: the tensor {tensor.name!r} of shape {list(tensor.dims)} needs {needed} values"
            f" and has {values}"
        )


def refuse_unknown_type(path: Path, name: str, element: int) -> None:
    """Raises InputError for an element type that the installed onnx does not know."""
    if element not in TensorProto.DataType.values():
        raise InputError(
            f"{path}: {name!r} is of the type {element}, which the installed onnx"
            f" {onnx.__version__} does not know",
            "pip install --upgrade onnx",
        )


def needed(tensor: TensorProto) -> Bytes:
    """Gives the bytes that its type and shape ask for; what has no fixed size (strings): 0."""
    elements = math.prod(tensor.dims)
    if tensor.data_type in (TensorProto.STRING, TensorProto.UNDEFINED):
        return 0
    itemsize = int(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
    bits = _packed_bits(tensor.data_type)
    return math.ceil(elements * bits / 8) if bits else int(elements * itemsize)


def _packed_bits(element: int) -> int:
    """Gives the bits of a type that stands packed in a file and one to a byte in numpy; else 0."""
    name = TensorProto.DataType.Name(element)
    return 4 if name.endswith(("INT4", "E2M1")) else 2 if name.endswith("INT2") else 0
