"""Draws feeds from the user's own values: they alone tell what a module's inputs may hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from toolkit.feeds import dimensions, kinds, within
from toolkit.feeds.feed import Feed
from toolkit.feeds.sizes import Dims
from toolkit.feeds.spans import InputUse
from toolkit.feeds.uses import Uses
from toolkit.tensors import Array, TensorSpec


@dataclass(frozen=True)
class Resampled:
    """The first feed of the given sizes is what the user gave. Every other one is drawn with
    replacement from the values of the same input, so that an id is a known id. They ascend where
    the user's do, and stay within what the graph tells at these sizes: an index of fewer rows is
    wrapped round."""

    inputs: Sequence[TensorSpec]
    arrays: Mapping[str, Array]
    """Input → the user's values."""
    dims: Dims
    """The sizes of the dynamic dimensions in those."""
    uses: Uses = field(default_factory=Uses)
    seed: int = 0

    def draw(self, dims: Dims, number: int = 0) -> Feed:
        """One feed of these sizes."""
        if number == 0 and dict(dims) == dict(self.dims):
            return Feed(dict(dims), "example_inputs()", self.arrays)
        drawn = {}
        shapes = {spec.name: dimensions.shape(spec, dims) for spec in self.inputs}
        found = self.uses.at(dims, shapes)
        for index, spec in enumerate(self.inputs):
            random = np.random.default_rng([self.seed, number, index, *dims.values()])
            own = self.arrays[spec.name]
            values = random.choice(own.ravel(), shapes[spec.name])
            use = found.get(spec.name, InputUse())
            drawn[spec.name] = _arranged(values, own, use) if values.size else values
        return Feed(dict(dims), f"drawn from example_inputs() with seed {self.seed}", drawn, number)


def _arranged(values: Array, own: Array, use: InputUse) -> Array:
    """Values within their use, in the order of the user's own."""
    kind = kinds.of_values(own)
    if values.dtype.kind in "iu":
        values = within.wrapped(use.defined(), values)
        for part in use.parts:
            place = within.place(part, values.shape)
            values[place] = within.wrapped(use.defined(part), values[place])
    if kind.ascending is None or not values.ndim:
        return values
    if kind.counts:
        return kinds.counted(values.shape, kind.ascending).astype(values.dtype)
    ordered = np.sort(values, kind.ascending)
    if use.offsets:
        ordered[:1] = 0
    return ordered
