"""Folds BatchNormalization into the layer before it, as most runtimes do when they load a file.

If a runtime rounds the folded weights, its error has nothing in common with a rounding of the
unfolded ones (OpenVINO's bfloat16: a cosine of about 0 with a simulation of the file as it stands,
of 0.4 to 0.7 with one of the folded graph). So a lower precision is simulated on both graphs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, numpy_helper

from toolkit.onnxfiles.graphs import STANDARD, attribute, makers, uses
from toolkit.onnxfiles.thinmodels import ThinModel
from toolkit.tensors import Array

FOLDABLE = ("Conv", "ConvTranspose", "Gemm")
"""Layers that have a bias of their own, which takes the shift. MatMul has none."""


@dataclass(frozen=True)
class _Norm:
    """A normalization as y = x · factor + shift, with one of each a channel: (C,)."""

    factor: Array
    shift: Array


def folded(model: ThinModel) -> ThinModel | None:
    """Copies a model with each foldable BatchNormalization of the main graph folded; None: it has
    none.

    It is folded in float64 and written in float32. A layer whose output something else needs too
    stays as it is, and so does a normalization in training mode.
    """
    graph = model.proto.graph
    constants = {i.name: i for i in graph.initializer}
    if not [pair for pair in _pairs(graph) if _constant(pair, constants)]:
        return None
    result = model.copy()
    graph = result.proto.graph
    constants = {i.name: i for i in graph.initializer}
    for layer, norm in [pair for pair in _pairs(graph) if _constant(pair, constants)]:
        _merge(result, constants, layer, norm)
    return result


def _constant(pair: tuple[NodeProto, NodeProto], constants: Mapping[str, TensorProto]) -> bool:
    """All that layer and normalization read besides the layer's input is stored."""
    layer, norm = pair
    return set(layer.input[1:]) | set(norm.input[1:]) <= constants.keys() | {""}


def _merge(
    model: ThinModel, constants: Mapping[str, TensorProto], layer: NodeProto, norm: NodeProto
) -> None:
    """Folds a normalization into its layer, in place."""
    graph = model.proto.graph
    values = _norm(norm, {n: model.array(constants[n]) for n in norm.input[1:]})
    weight, *rest = (constants[n] for n in layer.input[1:] if n)
    bias = model.array(rest[0]) if rest else np.zeros(1)
    # The node is changed below; a large weight is folded later.
    before = NodeProto()
    before.CopyFrom(layer)

    def fold(array: Array) -> Array:
        return _fold(before, array, values).astype(np.float32)

    # Under new names, since another layer may share the weight; no two outputs have one name.
    names = [f"{layer.output[0]}__folded_{part}" for part in ("weight", "bias")]
    if large := model.weights.get(weight.name):
        model.stand_in(names[0], large.then(fold))
    else:
        graph.initializer.append(
            numpy_helper.from_array(fold(numpy_helper.to_array(weight)), names[0])
        )
    folded_bias = _fold_bias(before, bias, values).astype(np.float32)
    graph.initializer.append(numpy_helper.from_array(folded_bias, names[1]))
    del layer.input[1:]
    layer.input.extend(names)
    layer.output[0] = norm.output[0]
    graph.node.remove(norm)


def _pairs(graph: GraphProto) -> list[tuple[NodeProto, NodeProto]]:
    """Pairs each layer that a normalization could go into with that normalization."""
    made_by = makers(graph)
    reads = uses(graph)
    pairs = []
    for norm in graph.node:
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


def _fold(layer: NodeProto, weight: Array, norm: _Norm) -> Array:
    """Gives the layer's weight with the normalization in it, in float64."""
    w = weight.astype(np.float64)
    if layer.op_type == "Conv":
        return w * norm.factor.reshape(-1, *[1] * (w.ndim - 1))
    if layer.op_type == "ConvTranspose":
        groups = attribute(layer, "group", 1)
        # (C_in, C_out / groups, …): a group's input channels meet that group's output channels.
        split = w.reshape(groups, -1, *w.shape[1:])
        w = split * norm.factor.reshape(groups, 1, w.shape[1], *[1] * (w.ndim - 2))
        return w.reshape(weight.shape)
    return w * (norm.factor[:, None] if attribute(layer, "transB", 0) else norm.factor)


def _fold_bias(layer: NodeProto, bias: Array, norm: _Norm) -> Array:
    """Gives the layer's bias with the normalization in it, in float64."""
    beta = attribute(layer, "beta", 1.0) if layer.op_type == "Gemm" else 1.0
    # Gemm's C is scaled by beta when it runs, so the folded one is divided by it.
    return np.asarray((norm.factor * beta * bias.astype(np.float64) + norm.shift) / beta)
