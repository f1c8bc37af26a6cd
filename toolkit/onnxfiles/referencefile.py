"""The contract of the reference model's file: Linear(64, 128), ReLU, Linear(128, 2), Sigmoid.

A file that meets it can be turned back into its PyTorch module, whoever exported it.
"""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import GraphProto, NodeProto, TensorProto

from toolkit.errors import InputError
from toolkit.onnxfiles import modelfile
from toolkit.sources import reference
from toolkit.sources.reference import FEATURES, HIDDEN, LABELS
from toolkit.tensors import Array, TensorSpec

OPERATORS = ("Gemm", "Relu", "Gemm", "Sigmoid")
INPUT = TensorSpec(reference.INPUT, "float32", ("batch", FEATURES))
OUTPUT = TensorSpec(reference.OUTPUT, "float32", ("batch", len(LABELS)))
WEIGHTS = {
    "fc1.weight": (HIDDEN, FEATURES),
    "fc1.bias": (HIDDEN,),
    "fc2.weight": (len(LABELS), HIDDEN),
    "fc2.bias": (len(LABELS),),
}
"""The names of the module's state_dict, with their shapes."""


def differences(path: Path) -> tuple[str, ...]:
    """What keeps a file from being the reference model, in words; empty: it is the reference.

    Raises InputError as `onnxfile.read`.
    """
    facts, model = modelfile.read(path), modelfile.load(path)
    chain = tuple(node.op_type for node in model.graph.node)
    if chain != OPERATORS:
        return (f"its operators are {', '.join(chain)}, not {', '.join(OPERATORS)}",)
    found = [
        *_spec_differences("input", facts.inputs, INPUT),
        *_spec_differences("output", facts.outputs, OUTPUT),
        *_chain_differences(model.graph),
    ]
    return tuple(found) or _weight_differences(model.graph)


def matches(path: Path) -> bool:
    """Whether a file meets the reference model's contract: its module can be built from it."""
    return not differences(path)


def weights(path: Path) -> dict[str, Array]:
    """The reference model's weights by the names of its module's state_dict.

    Raises InputError for a file that is not the reference model.
    """
    if found := differences(path):
        raise InputError(f"{path} is not the reference model: {'; '.join(found)}")
    graph = modelfile.load(path).graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    return {
        name: onnx.numpy_helper.to_array(tensors[stored])
        for name, stored in zip(WEIGHTS, _stored_weights(graph), strict=True)
    }


def _spec_differences(role: str, found: tuple[TensorSpec, ...], wanted: TensorSpec) -> list[str]:
    if found == (wanted,):
        return []
    return [f"its {role} is {', '.join(map(str, found)) or 'missing'}, not {wanted}"]


def _chain_differences(graph: GraphProto) -> list[str]:
    """Each node takes what the one before it made; the Gemms are plain x·Wᵀ + b."""
    found = []
    value = INPUT.name
    for place, node in enumerate(graph.node):
        if not node.input or node.input[0] != value:
            found.append(f"node {place} ({node.op_type}) does not take {value!r}")
        if node.op_type == "Gemm" and not _plain_gemm(node):
            found.append(f"node {place} (Gemm) is not x·Wᵀ + b")
        value = node.output[0]
    if value != OUTPUT.name:
        found.append(f"its last node makes {value!r}, not {OUTPUT.name!r}")
    return found


def _plain_gemm(node: NodeProto) -> bool:
    usual = {"transA": 0, "transB": 0, "alpha": 1.0, "beta": 1.0}
    given = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    return len(node.input) == 3 and {**usual, **given} == {**usual, "transB": 1}


def _stored_weights(graph: GraphProto) -> list[str]:
    return [name for node in graph.node if node.op_type == "Gemm" for name in node.input[1:]]


def _weight_differences(graph: GraphProto) -> tuple[str, ...]:
    shapes = {t.name: tuple(t.dims) for t in graph.initializer if t.data_type == TensorProto.FLOAT}
    return tuple(
        f"{name} is {shapes.get(stored, 'no float32 initializer')}, not {shape}"
        for (name, shape), stored in zip(WEIGHTS.items(), _stored_weights(graph), strict=True)
        if shapes.get(stored) != shape
    )
