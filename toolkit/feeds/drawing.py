"""Seeded draws that respect an input's type and name, where neither samples nor arrays are given.

Rules of a draw:
f1  What indexes a table stays below its length, found from the Gathers that it reaches.
f2  A mask is of ones, and the end of its last row is padding.
f3  Token types are 0 and 1; positions count upwards; lengths are at least 1.
f4  Other integers are small, floats standard normal, booleans fair coins.
f5  Nothing is all zeros or all ones, but for masks. No two feeds of one seed are the same.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from onnx import ModelProto

from toolkit.errors import InputError
from toolkit.feeds import dimensions, elements, tables
from toolkit.feeds.feed import Feed
from toolkit.feeds.sizes import Dims
from toolkit.tensors import Array, TensorSpec
from toolkit.units import size

# Names that Hugging Face's exports give these inputs: attention_mask, token_type_ids,
# position_ids; and those of speech models: input_lengths, x_len.
MASK = re.compile(r"mask", re.IGNORECASE)
TYPES = re.compile(r"token_?type|segment", re.IGNORECASE)
POSITIONS = re.compile(r"position", re.IGNORECASE)
LENGTHS = re.compile(r"(^|_)len(gth)?s?$", re.IGNORECASE)
SMALL = 10
"""Integers of which nothing is known stay below it: if one indexes a table after all, in a way that
the graph does not show, few tables are shorter."""
LONG = 5
"""Lengths and scalar integers stay below it: such an input cuts or repeats others, whose usual
sizes are 7 and 16 (feeds/sizes.py, feeds/variations.py)."""


@dataclass(frozen=True)
class Drawer:
    """Draws feeds for the inputs of one model."""

    inputs: tuple[TensorSpec, ...]
    tables: Mapping[str, int]
    """Input → the length of the shortest table that it indexes."""
    seed: int = 0

    def draw(self, dims: Dims, number: int = 0) -> Feed:
        """One feed of these sizes. Raises InputError for an input that cannot be drawn."""
        arrays = {}
        for index, spec in enumerate(self.inputs):
            # All that tells two arrays apart stands in the seed (rule f5).
            random = np.random.default_rng([self.seed, number, index, *dims.values()])
            shape = dimensions.shape(spec, dims)
            try:
                arrays[spec.name] = self._array(spec, shape, random)
            except (MemoryError, ValueError) as error:  # ValueError: more than any address reaches
                raise _too_large(spec, shape) from error
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
        return elements.as_type(values, spec.type)


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


def drawer(model: ModelProto, inputs: Sequence[TensorSpec], seed: int = 0) -> Drawer:
    """Draws for a model, whose graph tells the lengths of the tables that its inputs index."""
    return Drawer(tuple(inputs), tables.lengths(model), seed)


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
    """Integers by the input's name and its table's length (rules f1, f3 and f4)."""
    below = SMALL if table is None else table
    if TYPES.search(name):
        below = min(2, below)
    elif POSITIONS.search(name) and shape:
        return np.broadcast_to(np.arange(shape[-1]) % (table or shape[-1]), shape)
    elif LENGTHS.search(name) or (not shape and table is None):
        return random.integers(1, LONG, shape)
    return random.integers(0, below, shape)
