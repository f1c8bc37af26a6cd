"""Writes a copy of an .onnx for converters that misread default attributes, weights in another file
or an old opset.

It needs the package onnx in the worker's environment.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.errors import TargetError
from toolkit.units import Bytes, size

if TYPE_CHECKING:
    from onnx import AttributeProto, GraphProto, ModelProto, TensorProto

STANDARD = ("", "ai.onnx")
LARGEST = 2**31 - 1
"""The bytes that one protobuf message may have (protobuf.dev, Proto Limits)."""


def write(model: Path, file: Path, *, spelled_out: bool = False) -> None:
    """Writes the model as one file: some converters end well without weights that lie beside it.

    A model below opset 13 is raised to 17, since converters read the old Softmax, which flattens,
    as the new one. With `spelled_out` every attribute that a node leaves to its default is written
    into the node. Raises TargetError where onnx is missing, or the model is too large for one file.
    """
    try:
        import onnx
        import onnx.version_converter
    except ModuleNotFoundError:
        raise TargetError(
            "the conversion needs the package onnx in its environment",
            "python -m pip install onnx==1.23.2    installs it there",
        ) from None

    demand_one_file(model)
    whole = onnx.load(str(model))
    if 0 < _opset(whole) < 13:
        whole = onnx.version_converter.convert_version(whole, 17)
    if spelled_out:
        _spell_out(whole.graph, _opset(whole))
    file.write_bytes(whole.SerializeToString())


def demand_one_file(model: Path) -> None:
    """Raises TargetError for a model that cannot be one file, before its weights are read."""
    import onnx

    graph = onnx.load(str(model), load_external_data=False)
    whole = graph.ByteSize() + sum(map(_bytes_beside, graph.graph.initializer))
    if whole > LARGEST:
        raise TargetError(
            f"the model has {size(whole)} with its weights, and the one file that its converter"
            " reads ends at 2 GiB"
        )


def _bytes_beside(tensor: TensorProto) -> Bytes:
    """The bytes of a tensor that lie in another file; a length that is left out is the shape's."""
    import onnx

    if tensor.data_location != onnx.TensorProto.EXTERNAL:
        return 0
    entries = {entry.key: entry.value for entry in tensor.external_data}
    itemsize = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    return int(entries.get("length", math.prod(tensor.dims) * itemsize))


def _opset(model: ModelProto) -> int:
    return max((o.version for o in model.opset_import if o.domain in STANDARD), default=0)


def _spell_out(graph: GraphProto, opset: int) -> None:
    import onnx

    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _spell_out(attribute.g, opset)
        if node.domain not in STANDARD or not onnx.defs.has(node.op_type):
            continue
        present = {attribute.name for attribute in node.attribute}
        schema = onnx.defs.get_schema(node.op_type, opset)
        node.attribute.extend(
            _default(a.default_value, name)
            for name, a in sorted(schema.attributes.items())
            if name not in present and a.default_value.name
        )


def _default(value: AttributeProto, name: str) -> AttributeProto:
    from onnx import AttributeProto

    attribute = AttributeProto()
    attribute.CopyFrom(value)
    attribute.name = name
    return attribute
