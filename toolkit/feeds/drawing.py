"""Feeds: what the user gave, real samples, or seeded draws that respect an input's type and name.

Rules of a draw:
f1  What indexes a table stays below its length, found from the Gathers that it reaches.
f2  A mask is of ones, and the end of its last row is padding.
f3  Token types are 0 and 1; positions count upwards; lengths are at least 1.
f4  Other integers are small, floats standard normal, booleans fair coins.
f5  Nothing is all zeros or all ones, but for masks. No two feeds of one seed are the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import onnx
from onnx import ModelProto, TensorProto

from toolkit import tensors
from toolkit.errors import InputError, unknown
from toolkit.feeds import sizes, stored
from toolkit.feeds.sizes import Dims
from toolkit.onnxfiles import modelfile
from toolkit.onnxfiles.graphs import skeleton
from toolkit.tensors import BITS, PLAIN, Array, TensorSpec
from toolkit.units import Bytes

MASK = re.compile(r"mask", re.IGNORECASE)
TYPES = re.compile(r"token_?type|segment", re.IGNORECASE)
POSITIONS = re.compile(r"position", re.IGNORECASE)
LENGTHS = re.compile(r"(^|_)len(gth)?s?$", re.IGNORECASE)
SMALL = 10
"""Integers of which nothing is known are drawn below it."""


@dataclass(frozen=True)
class Feed:
    """One set of named input arrays, and where it comes from."""

    dims: Dims
    """The sizes of the dynamic dimensions."""
    origin: str
    """'digits', 'drawn with seed 0', 'feeds.npz' …"""
    arrays: tensors.Feed
    number: int = 0
    """Tells feeds of the same sizes apart."""

    @property
    def name(self) -> str:
        """'batch 8, seq 128'; 'fixed shape' for a model without dynamic dimensions."""
        return sizes.said(self.dims)

    @property
    def shapes(self) -> dict[str, list[int]]:
        return {name: list(array.shape) for name, array in self.arrays.items()}

    @property
    def size(self) -> Bytes:
        return sum(array.nbytes for array in self.arrays.values())


class Draws(Protocol):
    """Where feeds come from."""

    def draw(self, dims: Dims, number: int = 0) -> Feed:
        """One feed of these sizes; another for another number."""


@dataclass(frozen=True)
class Drawer:
    """Draws feeds for the inputs of one model."""

    inputs: tuple[TensorSpec, ...]
    tables: Mapping[str, int]
    """Input → the length of the shortest table that it indexes."""
    seed: int = 0

    def draw(self, dims: Dims, number: int = 0) -> Feed:
        """One feed. Raises InputError for an input that cannot be drawn."""
        arrays = {}
        for place, spec in enumerate(self.inputs):
            random = np.random.default_rng([self.seed, number, place, *dims.values()])
            arrays[spec.name] = self._array(spec, sizes.shape(spec, dims), random)
        return Feed(dict(dims), f"drawn with seed {self.seed}", arrays, number)

    def _array(
        self, spec: TensorSpec, shape: tuple[int, ...], random: np.random.Generator
    ) -> Array:
        if MASK.search(spec.name) and spec.type != "string":
            values = _mask(shape)
        elif spec.type == "bool":
            values = random.integers(0, 2, shape)
        elif spec.type.startswith(("int", "uint")):
            values = _integers(spec.name, shape, self.tables.get(spec.name), random)
        elif "float" in spec.type:
            values = random.standard_normal(shape)
        else:
            raise InputError(
                f"the input {spec.name!r} holds {spec.type}, which cannot be drawn",
                "--inputs feeds.npz   gives it",
            )
        return as_type(values, spec.type)


def drawer(model: ModelProto, inputs: Sequence[TensorSpec], seed: int = 0) -> Drawer:
    """Draws for a model, whose graph tells the lengths of the tables that its inputs index."""
    return Drawer(tuple(inputs), table_lengths(model), seed)


@dataclass(frozen=True)
class Digits:
    """The held-out digits, for the reference model."""

    input: str
    seed: int = 0

    def draw(self, dims: Dims, number: int = 0) -> Feed:
        """`dims` has one size, the batch's. No image twice until all were there."""
        images = self._images  # (360, 64)
        (batch,) = dims.values()
        random = np.random.default_rng([self.seed, number, batch])
        rounds = -(-batch // len(images))
        order = np.concatenate([random.permutation(len(images)) for _ in range(rounds)])
        arrays = {self.input: images[order[:batch]]}
        return Feed(dict(dims), "digits", arrays, number)

    @cached_property
    def _images(self) -> Array:
        from toolkit.sources.reference import held_out

        return held_out()


def digits(spec: TensorSpec, batches: Sequence[int], seed: int = 0) -> list[Feed]:
    """A feed of held-out digits for each batch size."""
    draws = Digits(spec.name, seed)
    return [draws.draw({"batch": batch}, number) for number, batch in enumerate(batches)]


def given(path: Path, inputs: Sequence[TensorSpec]) -> list[Feed]:
    """What `--inputs` names: an .npz or .safetensors with an array an input, or a folder of test
    data as the ONNX model zoo has it, a feed a data set.

    Raises InputError for a file of another kind and for arrays that do not fit the model.
    """
    sets = stored.read(path, [spec.name for spec in inputs])
    return [_fitted(path, arrays, inputs, number) for number, arrays in enumerate(sets)]


def as_type(values: Array, onnx_type: str) -> Array:
    """Numbers in the form in which an ONNX type travels: bfloat16 and smaller as their bits."""
    if onnx_type in PLAIN:
        return np.asarray(values).astype(PLAIN[onnx_type])
    if onnx_type not in BITS:
        raise InputError(f"tensors of the type {onnx_type} cannot be fed")
    element = onnx.helper.tensor_dtype_to_np_dtype(getattr(TensorProto, onnx_type.upper()))
    return np.asarray(values).astype(np.float32).astype(element).view(BITS[onnx_type])


def table_lengths(model: ModelProto) -> dict[str, int]:
    """Input → the length of the shortest table that its values index, as far as the graph tells:
    through casts and reshapes, along the axis of every Gather that they reach."""
    shapes = _shapes(model)
    sources = {value.name: value.name for value in modelfile.fed_inputs(model.graph)}
    lengths: dict[str, int] = {}
    for node in model.graph.node:
        if node.op_type in CARRIERS and node.input and node.input[0] in sources:
            sources[node.output[0]] = sources[node.input[0]]
        if node.op_type not in ("Gather", "GatherElements") or node.input[1] not in sources:
            continue
        length = _length(node, shapes.get(node.input[0]))
        if length is not None:
            name = sources[node.input[1]]
            lengths[name] = min(length, lengths.get(name, length))
    return lengths


CARRIERS = {"Cast", "Flatten", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"}
"""Operators that hand the values of their first input on as they are, or some of them."""


def _length(node: onnx.NodeProto, shape: Sequence[int | None] | None) -> int | None:
    axis = next((a.i for a in node.attribute if a.name == "axis"), 0)
    if shape is None or not -len(shape) <= axis < len(shape):
        return None
    return shape[axis]


def _shapes(model: ModelProto) -> dict[str, list[int | None]]:
    """Known shapes of the main graph's tensors; None for a dynamic size."""
    found: dict[str, list[int | None]] = {}
    try:
        graph = onnx.shape_inference.infer_shapes(skeleton(model)).graph
    except onnx.shape_inference.InferenceError:
        graph = model.graph  # what the file itself states must do
    for value in (*graph.input, *graph.value_info):
        if value.type.tensor_type.HasField("shape"):
            found[value.name] = [
                d.dim_value if d.HasField("dim_value") else None
                for d in value.type.tensor_type.shape.dim
            ]
    found |= {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    return found


def _mask(shape: tuple[int, ...]) -> Array:
    """Ones; the last third of the last row is padding (rule f2)."""
    mask = np.ones(shape)
    if shape and shape[-1] > 1:
        row = mask if len(shape) == 1 else mask[-1]
        row[..., -max(1, shape[-1] // 3) :] = 0
    return mask


def _integers(
    name: str, shape: tuple[int, ...], table: int | None, random: np.random.Generator
) -> Array:
    below = SMALL if table is None else table
    if TYPES.search(name):
        below = min(2, below)
    elif POSITIONS.search(name) and shape:
        return np.broadcast_to(np.arange(shape[-1]) % (table or shape[-1]), shape)
    elif LENGTHS.search(name) or (not shape and table is None):
        return random.integers(1, 5, shape)
    return random.integers(0, below, shape)


def _fitted(
    path: Path, arrays: Mapping[str, Array], inputs: Sequence[TensorSpec], number: int
) -> Feed:
    """The arrays of one feed, in the order of the model's inputs, checked against them."""
    wanted = {spec.name: spec for spec in inputs}
    for name in arrays:
        if name not in wanted:
            raise InputError(f"{path}: {unknown('input', name, wanted)}")
    for name, spec in wanted.items():
        if name not in arrays:
            raise InputError(f"{path} has no array for the input {name!r}")
        dtype = tensors.dtype_of(spec.type)
        same = arrays[name].dtype.kind == "U" if dtype.kind == "U" else arrays[name].dtype == dtype
        if not same:
            raise InputError(
                f"{path}: {name!r} is {arrays[name].dtype.name}, the model wants {spec.type}"
                + ("" if spec.type not in BITS else f" as {dtype.name}, its bits")
            )
    shapes = {name: arrays[name].shape for name in wanted}
    dims = sizes.dims_of(inputs, shapes)
    return Feed(dims, path.name, {name: arrays[name] for name in wanted}, number)
