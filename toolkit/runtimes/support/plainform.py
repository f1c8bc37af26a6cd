"""A copy of an .onnx for converters that misread what ONNX leaves unsaid or lays elsewhere.

They need the package onnx in the worker's environment.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.errors import TargetError

if TYPE_CHECKING:
    from onnx import AttributeProto, GraphProto, ModelProto

STANDARD = ("", "ai.onnx")
LARGEST = 2**31 - 1
"""Bytes of one protobuf message."""


def write(model: Path, file: Path, *, spelled_out: bool = False) -> None:
    """Writes the model as one file: a converter that does not find its weights says nothing.

    Below opset 13 it is raised to 17: converters read the old Softmax, which flattens, as the new.
    With `spelled_out` each attribute that a node leaves to its default stands in it. Raises
    TargetError.
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
        there = {attribute.name for attribute in node.attribute}
        schema = onnx.defs.get_schema(node.op_type, opset)
        node.attribute.extend(
            _default(a.default_value, name)
            for name, a in sorted(schema.attributes.items())
            if name not in there and a.default_value.name
        )


def _default(value: AttributeProto, name: str) -> AttributeProto:
    from onnx import AttributeProto

    made = AttributeProto()
    made.CopyFrom(value)
    made.name = name
    return made
