"""Writes a copy of an .onnx for converters that misread default attributes, weights in another file
or an old opset.

It needs the package onnx in the worker's environment.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.errors import TargetError

if TYPE_CHECKING:
    from onnx import AttributeProto, GraphProto, ModelProto

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

    whole = onnx.load(str(model))
    if whole.ByteSize() > LARGEST:
        raise TargetError("the model is larger than 2 GB: it cannot be one file for its converter")
    if 0 < _opset(whole) < 13:
        whole = onnx.version_converter.convert_version(whole, 17)
    if spelled_out:
        _spell_out(whole.graph, _opset(whole))
    file.write_bytes(whole.SerializeToString())


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
