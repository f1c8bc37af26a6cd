"""Folds BatchNormalization into the layer before it, as most runtimes do when they load a file.

If a runtime rounds the folded weights, its error has nothing in common with a rounding of the
unfolded ones (OpenVINO's bfloat16: a cosine of about 0 with a simulation of the file as it stands,
of 0.4 to 0.7 with one of the folded graph). So a lower precision is simulated on both graphs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper

from toolkit.onnxfiles.graphs import STANDARD, attribute, copied, makers, uses
from toolkit.tensors import Array

FOLDABLE = ("Conv", "ConvTranspose", "Gemm")
"""Layers that have a bias of their own, which takes the shift. MatMul has none."""


@dataclass(frozen=True)
class _Norm:
    """A normalization as y = x · factor + shift, with one of each a channel: (C,)."""

    factor: Array
    shift: Array


def folded(model: ModelProto) -> ModelProto | None:
    """Copies a model with each foldable BatchNormalization of the main graph folded; None: it has
    none.

    It is folded in float64 and written in float32. A layer whose output something else needs too
    stays as it is, and so does a normalization in training mode.
    """
    result = copied(model)
    constants = {i.name: i for i in result.graph.initializer}
    pairs = [
        (layer, norm)
        for layer, norm in _pairs(result)
        if set(layer.input[1:]) | set(norm.input[1:]) <= constants.keys() | {""}
    ]
    for layer, norm in pairs:
        _merge(result.graph, constants, layer, norm)
    return result if pairs else None


def _merge(
    graph: GraphProto, constants: Mapping[str, TensorProto], layer: NodeProto, norm: NodeProto
) -> None:
    """Folds a normalization into its layer, in place."""
    values = {n: numpy_helper.to_array(constants[n]) for n in norm.input[1:]}
    weight, *rest = (numpy_helper.to_array(constants[n]) for n in layer.input[1:] if n)
    w, b = _fold(layer, weight, rest[0] if rest else np.zeros(1), _norm(norm, values))
    # Under new names, since another layer may share the weight; no two outputs have one name.
    names = [f"{layer.output[0]}__folded_{part}" for part in ("weight", "bias")]
    graph.initializer.extend(
        numpy_helper.from_array(v.astype(np.float32), n) for v, n in zip((w, b), names, strict=True)
    )
    del layer.input[1:]
    layer.input.extend(names)
    layer.output[0] = norm.output[0]
    graph.node.remove(norm)


def _pairs(model: ModelProto) -> list[tuple[NodeProto, NodeProto]]:
    """Pairs each layer that a normalization could go into with that normalization."""
    made_by = makers(model.graph)
    reads = uses(model.graph)
    pairs = []
    for norm in model.graph.node:
        if norm.op_type != "BatchNormalization" or norm.domain not in STANDARD:
            continue
        layer = made_by.get(norm.input[0])
        alone = reads[norm.input[0]] == 1
        trains = attribute(norm, "training_mode", 0) or len([o for o in norm.output if o]) > 1
        if layer is not None and _takes_a_factor(layer) and alone and not trains:
            pairs.append((layer, norm))
    return pairs


def _takes_a_factor(layer: NodeProto) -> bool:
    # Gemm with beta 0 has no place for the shift.
    return layer.op_type in FOLDABLE and attribute(layer, "beta", 1.0) != 0


def _norm(node: NodeProto, values: dict[str, Array]) -> _Norm:
    scale, shift, mean, variance = (values[n].astype(np.float64) for n in node.input[1:5])
    factor = scale / np.sqrt(variance + attribute(node, "epsilon", 1e-5))
    return _Norm(factor, shift - mean * factor)


def _fold(layer: NodeProto, weight: Array, bias: Array, norm: _Norm) -> tuple[Array, Array]:
    """Gives the layer's weight and bias with the normalization in them, in float64."""
    w = weight.astype(np.float64)
    if layer.op_type == "Conv":
        w = w * norm.factor.reshape(-1, *[1] * (w.ndim - 1))
    elif layer.op_type == "ConvTranspose":
        groups = attribute(layer, "group", 1)
        # (C_in, C_out / groups, …): a group's input channels meet that group's output channels.
        split = w.reshape(groups, -1, *w.shape[1:])
        w = split * norm.factor.reshape(groups, 1, w.shape[1], *[1] * (w.ndim - 2))
        w = w.reshape(weight.shape)
    elif attribute(layer, "transB", 0):
        w = w * norm.factor[:, None]
    else:
        w = w * norm.factor
    beta = attribute(layer, "beta", 1.0) if layer.op_type == "Gemm" else 1.0
    # Gemm's C is scaled by beta when it runs, so the folded one is divided by it.
    return w, (norm.factor * beta * bias.astype(np.float64) + norm.shift) / beta
