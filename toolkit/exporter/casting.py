"""Computes operators in float32 that a runtime lacks in a narrower type, with casts around them.

ONNX Runtime's processor provider has next to no operator in bfloat16, and ONNX itself allows it for
some only in a later opset (Conv from 22 on). What comes out of an operator is rounded to the narrow
type as before, so the file is as precise as its module: the casts change where it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import onnx
    import onnx_ir as ir

CURE = "--cast-missing    has such operators computed in float32, and proves that file"

KIND = "toolkit.float32"
"""The entry of a file's metadata that names the operators with casts around them."""
NARROW = ("BFLOAT16", "FLOAT16")
"""The types whose operators may be computed in float32."""
UNKNOWN = "?"
BODIES = ("If", "Loop", "Scan")
"""Operators that hold graphs: the nodes inside have casts of their own."""

Takes: TypeAlias = Callable[[Sequence["onnx.ModelProto"]], Sequence[bool]]
"""Says of each of some models of one node whether a runtime takes it."""


@dataclass(frozen=True)
class OperatorTypes:
    """An operator with the types of its inputs and outputs; empty where one is left out."""

    domain: str
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @staticmethod
    def of(node: ir.Node) -> OperatorTypes:
        """The signature of a node whose values have types."""
        return OperatorTypes(
            node.domain,
            node.op_type,
            tuple(_type(value) for value in node.inputs),
            tuple(_type(value) for value in node.outputs),
        )

    @property
    def is_narrow(self) -> bool:
        """Says whether it takes or gives a type that float32 can stand in for."""
        types = (*self.inputs, *self.outputs)
        return UNKNOWN not in types and any(name in NARROW for name in types)


def would_help(model: onnx.ModelProto) -> bool:
    """Says whether a file that a runtime lacks operators for has weights or inputs in a narrow
    type, and no casts around them yet."""
    from onnx import TensorProto

    if any(entry.key == KIND for entry in model.metadata_props):
        return False
    types = {tensor.data_type for tensor in model.graph.initializer}
    types |= {value.type.tensor_type.elem_type for value in model.graph.input}
    return any(TensorProto.DataType.Value(name) in types for name in NARROW)


def cast(model: ir.Model, takes: Takes) -> tuple[str, ...]:
    """Puts casts around each operator in a narrow type that `takes` refuses; gives their names.

    The model is changed in place.
    """
    from onnx_ir.passes.common import ShapeInferencePass

    nodes = [node for node in _all(model) if node.op_type not in BODIES]
    if any(value.type is None and value.uses() for node in nodes for value in node.outputs):
        ShapeInferencePass()(model)
    narrow: dict[OperatorTypes, ir.Node] = {}
    for node in nodes:
        signature = OperatorTypes.of(node)
        if signature.is_narrow and node.op_type != "Cast":
            narrow.setdefault(signature, node)
    opsets = model.opset_imports
    taken = takes([_alone(node, signature, opsets) for signature, node in narrow.items()])
    lacking = {signature for signature, is_taken in zip(narrow, taken, strict=True) if not is_taken}
    for node in nodes:
        if OperatorTypes.of(node) in lacking:
            _surround(node)
    return tuple(sorted({signature.operator for signature in lacking}))


def _all(model: ir.Model) -> Iterator[ir.Node]:
    yield from model.graph.all_nodes()
    for function in model.functions.values():
        yield from function.all_nodes()


def _type(value: ir.Value | None) -> str:
    """The name of a tensor's type; UNKNOWN for sequences, and where it is not known."""
    import onnx_ir as ir

    if value is None:
        return ""
    if value.type is None and not value.uses():
        return ""  # An output that nobody takes.
    return value.type.dtype.name if isinstance(value.type, ir.TensorType) else UNKNOWN


def _alone(node: ir.Node, signature: OperatorTypes, opsets: dict[str, int]) -> onnx.ModelProto:
    """A model of one node with these types, whose inputs have any shape."""
    import onnx_ir as ir
    from onnx import TensorProto, helper

    def infos(kind: str, types: Sequence[str]) -> list[onnx.ValueInfoProto]:
        return [
            helper.make_tensor_value_info(f"{kind}{at}", TensorProto.DataType.Value(name), None)
            for at, name in enumerate(types)
            if name
        ]

    proto = ir.to_proto(node)
    for kind, types, names in (
        ("in", signature.inputs, proto.input),
        ("out", signature.outputs, proto.output),
    ):
        del names[:]
        names.extend(f"{kind}{at}" if name else "" for at, name in enumerate(types))
    graph = helper.make_graph(
        [proto], "alone", infos("in", signature.inputs), infos("out", signature.outputs)
    )
    imports = [helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    return helper.make_model(graph, opset_imports=imports, ir_version=10)


def _surround(node: ir.Node) -> None:
    """Has a node compute in float32: casts its narrow inputs up and its outputs back."""
    import onnx_ir as ir

    graph = node.graph
    if graph is None:
        return
    for at, value in enumerate(node.inputs):
        if value is not None and _type(value) in NARROW:
            wide = ir.node("Cast", [value], {"to": ir.DataType.FLOAT})
            (result,) = wide.outputs
            result.name, result.shape = f"{node.name}.in{at}.float32", value.shape
            result.type = ir.TensorType(ir.DataType.FLOAT)
            graph.insert_before(node, wide)
            node.replace_input_with(at, result)
    constant = node.attributes.get("value")
    if constant is not None and constant.type == ir.AttributeType.TENSOR:
        tensor = constant.as_tensor()
        if tensor.dtype.name in NARROW:
            filled = ir.tensor(tensor.numpy().astype("float32"))
            node.attributes["value"] = ir.AttrTensor("value", filled)
    for value in node.outputs:
        if _type(value) in NARROW:
            _narrowed(graph, node, value)


def _narrowed(graph: ir.Graph | ir.Function, node: ir.Node, value: ir.Value) -> None:
    """Gives a node's output in float32, and a value of its name and type behind a cast."""
    import onnx_ir as ir

    back = ir.node("Cast", [value], {"to": value.dtype})
    (result,) = back.outputs
    result.name, result.shape, result.type = value.name, value.shape, value.type
    value.name, value.type = f"{value.name}.float32", ir.TensorType(ir.DataType.FLOAT)
    value.replace_all_uses_with(result, replace_graph_outputs=True)
    back.replace_input_with(0, value)
    graph.insert_after(node, back)
