"""Computes the operators of com.microsoft.nchwc, which ONNX Runtime's optimizer writes at its
highest level: convolutions and pools whose channels lie in memory in blocks.

- C1. A tensor is kept here as its dimensions say, (N, C, H, W): blocks are a matter of memory. C is
  a multiple of the block b; filters have 0 for the channels that were added.
- C2. A filter (M, I, h, w) is stored in an order that its dimensions do not show: [M/b][I/b][h][w]
  [bᵢ][bₒ] where its inputs come in blocks, [M/b][I][h][w][bₒ] where they do not, that is where I is
  less than b.
- C3. ONNX Runtime takes every file to be of the machine that it runs on: b is 8 on an x86 processor
  without AVX-512, else 16. A file does not say b, but M is a multiple of it, I is less than b or a
  multiple, and M exceeds the channels that ReorderOutput keeps by less than b. Where these say that
  a file is of another machine, they are believed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from onnx import GraphProto, NodeProto, helper

from toolkit.machine.features import flags
from toolkit.onnxfiles.graphs import attribute
from toolkit.oracle.operators import elementwise, pools, products
from toolkit.oracle.operators.microsoft.activations import activate
from toolkit.oracle.operators.microsoft.arrays import between
from toolkit.oracle.operators.microsoft.base import Fused, Outputs, refuse_unless
from toolkit.tensors import Array

DOMAIN = "com.microsoft.nchwc"


def state_blocks(graph: GraphProto) -> None:
    """Writes the size of the blocks into the nodes that ask for it, as an attribute, in place."""
    nodes = [node for node in graph.node if node.domain == DOMAIN]
    if not nodes:
        return
    size = block(nodes, _shapes(graph), flags())
    for node in nodes:
        if node.op_type in ("Conv", "ReorderInput"):
            node.attribute.append(helper.make_attribute("block", size))


def block(
    nodes: Collection[NodeProto], shapes: Mapping[str, Sequence[int]], features: Collection[str]
) -> int:
    """Gives the size of the blocks of a file (C3) on a processor of these features."""
    filters = {
        node.output[0]: shapes[node.input[1]]
        for node in nodes
        if node.op_type == "Conv" and node.input[1] in shapes
    }
    kept = [
        (filters[node.input[0]][0], attribute(node, "channels", 0))
        for node in nodes
        if node.op_type == "ReorderOutput" and node.input[0] in filters
    ]

    def fits(size: int) -> bool:
        return all(
            outputs % size == 0 and (inputs < size or inputs % size == 0)
            for outputs, inputs, *_ in filters.values()
        ) and all(stored - channels < size for stored, channels in kept)

    own, other = (8, 16) if "avx2" in features and "avx512f" not in features else (16, 8)
    return other if fits(other) and not fits(own) else own


def _shapes(graph: GraphProto) -> dict[str, Sequence[int]]:
    declared = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in graph.input
    }
    return {**declared, **{tensor.name: tensor.dims for tensor in graph.initializer}}


class ReorderInput(Fused):
    """Begins blocks: x (N, C, H, W), or (N, H, W, C), gets channels of 0 up to a multiple."""

    op_domain = DOMAIN

    def compute(self, x: Array, block: int, channels_last: int = 0) -> Outputs:
        first = np.moveaxis(x, -1, 1) if channels_last else x
        return (_widened(first, -(-first.shape[1] // block) * block),)


class ReorderOutput(Fused):
    """Ends blocks: the first `channels`, as (N, C, H, W) or (N, H, W, C)."""

    op_domain = DOMAIN

    def compute(self, x: Array, channels: int, channels_last: int = 0) -> Outputs:
        kept = x[:, :channels]
        return (np.ascontiguousarray(np.moveaxis(kept, 1, -1) if channels_last else kept),)


def _widened(x: Array, channels: int) -> Array:
    return np.pad(x, [(0, 0), (0, channels - x.shape[1]), *[(0, 0)] * (x.ndim - 2)])


class Conv(products.Conv):
    """activation(convolution + B + sum): x (N, C, H, W), w in blocks (C2)."""

    op_domain = DOMAIN
    op_schema = None

    def _run(  # type: ignore[override]
        self,
        x: Array,
        w: Array,
        b: Array | None = None,
        added: Array | None = None,
        *,
        block: int,
        activation: str = "",
        activation_params: Sequence[float] = (),
        **given: Any,
    ) -> Outputs:
        (result,) = super()._run(x, unblocked(w, block), b, **given)
        summed = result if added is None else result + added
        return (activate(summed, activation, activation_params),)


def unblocked(w: Array, block: int) -> Array:
    """Gives a filter in the order that its dimensions say."""
    m, i, *kernel = w.shape
    inner = block if i % block == 0 else 1
    stored = w.reshape(m // block, i // inner, *kernel, inner, block)
    return np.ascontiguousarray(stored.transpose(0, 5, 1, 4, 2, 3).reshape(w.shape))


class MaxPool(pools.MaxPool):
    """The maximum of each window."""

    op_domain = DOMAIN
    op_schema = None


class AveragePool(pools.AveragePool):
    """The mean of each window."""

    op_domain = DOMAIN
    op_schema = None


class GlobalMaxPool(elementwise.GlobalMaxPool):
    """The maximum of each channel."""

    op_domain = DOMAIN
    op_schema = None


class GlobalAveragePool(Fused):
    """The mean of each channel."""

    op_domain = DOMAIN

    def compute(self, x: Array) -> Outputs:
        return (x.mean(axis=(2, 3), keepdims=True),)


class Upsample(Fused):
    """Enlarges x (N, C, H, W) by whole factors, to the nearest pixel or linearly."""

    op_domain = DOMAIN

    def compute(
        self,
        x: Array,
        scales: Sequence[int],
        mode: str = "nearest",
        coordinate_transformation_mode: str = "asymmetric",
    ) -> Outputs:
        for axis, scale in ((2, scales[2]), (3, scales[3])):
            if mode == "nearest":
                x = np.repeat(x, scale, axis)
            else:
                at = _positions(x.shape[axis], scale, coordinate_transformation_mode)
                x = between(x, np.clip(at, 0, x.shape[axis] - 1), axis)
        return (x,)


def _positions(size: int, scale: int, mode: str) -> Array:
    """Gives the coordinate in the input of each element of the output along one axis."""
    out = np.arange(size * scale)
    if mode == "asymmetric":
        return out / scale
    if mode == "half_pixel":
        return (out + 0.5) / scale - 0.5
    refuse_unless(mode == "align_corners", f"coordinate_transformation_mode {mode}")
    return out * (size - 1) / max(size * scale - 1, 1)


OWN = (
    AveragePool,
    Conv,
    GlobalAveragePool,
    GlobalMaxPool,
    MaxPool,
    ReorderInput,
    ReorderOutput,
    Upsample,
)
