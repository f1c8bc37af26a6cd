"""The tensors that an .onnx file stores: where they lie, and whether they are whole.

Nothing outside the file's folder is opened, and no tensor is believed to be as long as it says.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import onnx
from onnx import AttributeProto, ModelProto, TensorProto

from toolkit.errors import InputError
from toolkit.onnxfiles import graphs
from toolkit.units import Bytes


def stored(model: ModelProto) -> Iterator[TensorProto]:
    """Every tensor that the model stores: initializers and attributes, functions included."""
    for graph in graphs.graphs(model.graph):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    for owner in (model.graph, *model.functions):
        for node in graphs.nodes(owner):
            for attribute in node.attribute:
                if attribute.type == AttributeProto.TENSOR:
                    yield attribute.t
                elif attribute.type == AttributeProto.TENSORS:
                    yield from attribute.tensors


def external_files(path: Path, model: ModelProto) -> list[Path]:
    """The files that hold tensors, each once. Raises InputError for one outside the folder."""
    found: dict[str, Path] = {}
    for tensor in stored(model):
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        if location not in found:
            found[location] = _external_file(path, location)
        _refuse_short_external(path, tensor, entries, found[location])
    return [found[location] for location in sorted(found)]


def _external_file(path: Path, location: str) -> Path:
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
        length = int(entries.get("length", _expected(tensor)))
    except ValueError as error:
        raise InputError(
            f"{path}: the place of {tensor.name!r} in {file.name} is no number"
        ) from error
    if offset < 0 or length < _expected(tensor) or offset + length > file.stat().st_size:
        raise InputError(
            f"{path}: {file.name} is too short for the tensor {tensor.name!r}"
            f" ({_expected(tensor)} bytes from {offset} on, the file has {file.stat().st_size})"
        )


def refuse_short(path: Path, model: ModelProto) -> None:
    """Several runtimes read behind the end of a tensor that is shorter than its shape says."""
    for tensor in stored(model):
        refuse_unknown_type(path, tensor.name, tensor.data_type)
        if any(size < 0 for size in tensor.dims):
            raise InputError(f"{path}: the tensor {tensor.name!r} has a negative size")
        if tensor.HasField("raw_data") and len(tensor.raw_data) != _expected(tensor):
            raise InputError(
                f"{path}: the tensor {tensor.name!r} of shape {list(tensor.dims)} needs"
                f" {_expected(tensor)} bytes and has {len(tensor.raw_data)}"
            )


def refuse_unknown_type(path: Path, name: str, element: int) -> None:
    if element not in TensorProto.DataType.values():
        raise InputError(
            f"{path}: {name!r} is of the type {element}, which the installed onnx"
            f" {onnx.__version__} does not know",
            "pip install --upgrade onnx",
        )


def _expected(tensor: TensorProto) -> Bytes:
    """How many bytes its type and shape ask for; what has no fixed size (strings): 0."""
    elements = math.prod(tensor.dims)
    if tensor.data_type in (TensorProto.STRING, TensorProto.UNDEFINED):
        return 0
    name = TensorProto.DataType.Name(tensor.data_type)
    itemsize = int(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
    # 4-bit and 2-bit types stand packed in a file and one to a byte in numpy.
    bits = 4 if name.endswith(("INT4", "E2M1")) else 2 if name.endswith("INT2") else 0
    return math.ceil(elements * bits / 8) if bits else int(elements * itemsize)
