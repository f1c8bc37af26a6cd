"""Seeded draws that respect what an input is used for, where neither samples nor arrays are given.

Rules of a draw:
f1  Values lie within the span that the model's graph tells at these sizes (feeds/needs.py).
f2  A mask keeps everything, but for the end of its last row, which is padding.
f3  Offsets begin with 0 and ascend. What ascended when the module was first called ascends.
f4  Other integers are small, floats standard normal, booleans fair coins.
f5  Nothing is all zeros or all ones, but for masks. No two feeds of one seed are the same.
f6  Where the graph tells nothing, a name may: masks are of ones, token types 0 and 1; positions
    count upwards; lengths are at least 1.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from onnx import ModelProto

from toolkit.errors import InputError
from toolkit.feeds import dimensions, elements, uses, within
from toolkit.feeds.feed import Feed
from toolkit.feeds.kinds import PLAIN, Kind, counted
from toolkit.feeds.needs import FEW
from toolkit.feeds.sizes import Dims
from toolkit.feeds.spans import InputUse, Span
from toolkit.feeds.uses import Uses
from toolkit.tensors import Array, TensorSpec
from toolkit.units import size

# Names that Hugging Face's exports give these inputs: attention_mask, token_type_ids,
# position_ids; and those of speech models: input_lengths, x_len.
MASK = re.compile(r"masks?$", re.IGNORECASE)  # A `masked_image` is a picture.
TYPES = re.compile(r"token_?type|segment", re.IGNORECASE)
POSITIONS = re.compile(r"position", re.IGNORECASE)
LENGTHS = re.compile(r"(^|_)len(gth)?s?$", re.IGNORECASE)


@dataclass(frozen=True)
class Drawer:
    """Draws feeds for the inputs of one model."""

    inputs: tuple[TensorSpec, ...]
    uses: Uses = field(default_factory=Uses)
    seed: int = 0
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    """Input → the kind of values that the module took without a graph."""

    def draw(self, dims: Dims, number: int = 0) -> Feed:
        """One feed of these sizes. Raises InputError for an input that cannot be drawn."""
        shapes = {spec.name: dimensions.shape(spec, dims) for spec in self.inputs}
        found = self.uses.at(dims, shapes)
        arrays = {}
        for index, spec in enumerate(self.inputs):
            # All that tells two arrays apart stands in the seed (rule f5).
            random = np.random.default_rng([self.seed, number, index, *dims.values()])
            shape = shapes[spec.name]
            try:
                values = self._array(spec, shape, found.get(spec.name, InputUse()), random)
                arrays[spec.name] = elements.as_type(values, spec.type)
            except (MemoryError, ValueError) as error:  # ValueError: more than any address reaches
                raise _too_large(spec, shape) from error
        return Feed(dict(dims), f"drawn with seed {self.seed}", arrays, number)

    def _array(
        self, spec: TensorSpec, shape: tuple[int, ...], use: InputUse, random: np.random.Generator
    ) -> Array:
        if use.keeps is not None and spec.type != "string":
            return _mask(shape) if use.keeps else 1 - _mask(shape)
        if MASK.search(spec.name) and spec.type != "string" and not use.needed:
            return _mask(shape)
        kind = self.kinds.get(spec.name, PLAIN)
        if spec.type == "bool":
            return random.integers(0, 2, shape)
        if spec.type.startswith(("int", "uint")):
            return _integers(spec.name, shape, use, kind, random)
        if "float" in spec.type:
            return _floats(shape, use, kind, random)
        raise InputError(
            f"the input {spec.name!r} holds {spec.type}, which cannot be drawn",
            "--inputs feeds.npz   gives it",
        )


def _too_large(spec: TensorSpec, shape: tuple[int, ...]) -> InputError:
    """The error for an input that no memory holds."""
    needed = math.prod(shape) * 8  # Drawn as float64 or int64, whatever its type.
    shown = "x".join(map(str, shape))
    smaller = "x".join(str(min(size, 8)) for size in shape)
    return InputError(
        f"a feed for the input {spec.name!r} of shape {shown} takes {size(needed)}, which this"
        " memory does not hold",
        *(f"--dim {name}=8    asks for a smaller size" for name in spec.dynamic()),
        f"--shape {spec.name}={smaller}    states another shape",
    )


def drawer(
    model: ModelProto,
    inputs: Sequence[TensorSpec],
    seed: int = 0,
    kinds: Mapping[str, Kind] | None = None,
) -> Drawer:
    """Draws for a model, whose graph tells what its inputs are used for."""
    return Drawer(tuple(inputs), uses.of(model), seed, kinds or {})


def _mask(shape: tuple[int, ...]) -> Array:
    """Ones; the last third of the last row is padding (rule f2)."""
    mask = np.ones(shape)
    if shape and shape[-1] > 1:
        row = mask if len(shape) == 1 else mask[-1]
        row[..., -max(1, shape[-1] // 3) :] = 0
    return mask


def _integers(
    name: str, shape: tuple[int, ...], use: InputUse, kind: Kind, random: np.random.Generator
) -> Array:
    """Integers by what they are used for, and where that is open by their name (f1, f3, f4, f6)."""
    whole = use.span()
    told = whole != Span()
    if kind.least is not None and (kind.least == 1 or not use.needed):
        whole = within.preferred(whole, Span(kind.least, math.inf))
    if TYPES.search(name):
        whole = within.preferred(whole, Span(0, 1))
    elif POSITIONS.search(name) and shape and whole.low <= 0 <= whole.high:
        return counted(shape, -1, below=int(whole.high) + 1 if whole.high < math.inf else None)
    elif not told and (LENGTHS.search(name) or not shape):
        whole = within.preferred(whole, Span(1, FEW - 1))
    axis = 0 if use.offsets else kind.ascending
    if axis is not None and shape:
        return within.ascending(whole, shape, axis, random) if told else counted(shape, axis)
    values = within.integers(whole, shape, random)
    for part in use.parts:
        place = within.place(part, shape)
        values[place] = within.integers(use.span(part), values[place].shape, random)
    return values


def _floats(
    shape: tuple[int, ...], use: InputUse, kind: Kind, random: np.random.Generator
) -> Array:
    """Floats where their functions have values, ascending where they have to (f1, f3, f4)."""
    whole = use.defined()
    if kind.least is not None:
        whole = within.preferred(whole, Span(kind.least, math.inf))
    values = within.floats(whole, shape, random)
    for part in use.parts:
        place = within.place(part, shape)
        values[place] = within.floats(use.defined(part), values[place].shape, random)
    axis = use.ascending if kind.ascending is None else kind.ascending
    return values if axis is None or not shape else np.sort(values, axis)
