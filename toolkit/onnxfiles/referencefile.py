"""Holds a file to the reference model's contract: Linear(64, 128), ReLU, Linear(128, 2), Sigmoid.

A file that meets it can be turned back into its PyTorch module, whoever exported it.
"""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import GraphProto, NodeProto, TensorProto

from toolkit.errors import InputError
from toolkit.onnxfiles import modelfile
from toolkit.onnxfiles.modelfile import Opened
from toolkit.sources import reference
from toolkit.sources.reference import FEATURES, HIDDEN, LABELS
from toolkit.tensors import Array, TensorSpec

OPERATORS = ("Gemm", "Relu", "Gemm", "Sigmoid")
SHOWN = 8
"""Operators of another file that are told."""
INPUT = TensorSpec(reference.INPUT, "float32", ("batch", FEATURES))
OUTPUT = TensorSpec(reference.OUTPUT, "float32", ("batch", len(LABELS)))
WEIGHTS = {
    "fc1.weight": (HIDDEN, FEATURES),
    "fc1.bias": (HIDDEN,),
    "fc2.weight": (len(LABELS), HIDDEN),
    "fc2.bias": (len(LABELS),),
}
"""The names of the module's state_dict, with their shapes."""


def differences(of: Path | Opened) -> tuple[str, ...]:
    """Says in words what keeps a file from being the reference model; empty: it is one.

    Raises InputError as `modelfile.read`.
    """
    model = of.model if isinstance(of, Opened) else modelfile.parse(of)
    nodes = model.graph.node
    chain = tuple(node.op_type for node in nodes[:SHOWN])
    if len(nodes) != len(OPERATORS) or chain != OPERATORS:
        more = f" … ({len(nodes)} in all)" if len(nodes) > SHOWN else ""
        return (f"its operators are {', '.join(chain)}{more}, not {', '.join(OPERATORS)}",)
    facts = of.facts if isinstance(of, Opened) else modelfile.read(of)
    interface = [
        *_spec_differences("input", facts.inputs, INPUT),
        *_spec_differences("output", facts.outputs, OUTPUT),
        *_chain_differences(model.graph),
    ]
    # The weights are named by their places in the chain: they are asked for when it is whole.
    return tuple(interface) or _weight_differences(model.graph)


def matches(of: Path | Opened) -> bool:
    """Says whether a file meets the reference model's contract, so that its module can be built.

    Raises InputError as `modelfile.read`.
    """
    return not differences(of)


def weights(of: Path | Opened) -> dict[str, Array]:
    """Reads the reference model's weights, by the names of its module's state_dict.

    Their shapes are those of WEIGHTS. Raises InputError for a file that is not the reference model.
    """
    opened = of if isinstance(of, Opened) else modelfile.open_once(of)
    if reasons := differences(opened):
        raise InputError(f"{opened.facts.path} is not the reference model: {'; '.join(reasons)}")
    graph = opened.complete().graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    return {
        name: onnx.numpy_helper.to_array(tensors[stored])
        for name, stored in zip(WEIGHTS, _stored_weights(graph), strict=True)
    }


def _spec_differences(role: str, specs: tuple[TensorSpec, ...], wanted: TensorSpec) -> list[str]:
    if specs == (wanted,):
        return []
    return [f"its {role} is {', '.join(map(str, specs)) or 'missing'}, not {wanted}"]


def _chain_differences(graph: GraphProto) -> list[str]:
    """Demands that each node takes what the one before it made, and that the Gemms are plain."""
    reasons = []
    value = INPUT.name
    for number, node in enumerate(graph.node):
        if not node.input or node.input[0] != value:
            reasons.append(f"node {number} ({node.op_type}) does not take {value!r}")
        if node.op_type == "Gemm" and not _plain_gemm(node):
            reasons.append(f"node {number} (Gemm) is not x·Wᵀ + b")
        value = node.output[0]
    if value != OUTPUT.name:
        reasons.append(f"its last node makes {value!r}, not {OUTPUT.name!r}")
    return reasons


def _plain_gemm(node: NodeProto) -> bool:
    """Finds a Gemm that is a PyTorch Linear: x·Wᵀ + b."""
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
