"""Draws feeds from the user's own values: they alone tell what a module's inputs may hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from toolkit.feeds import dimensions
from toolkit.feeds.feed import Feed
from toolkit.feeds.sizes import Dims
from toolkit.tensors import Array, TensorSpec


@dataclass(frozen=True)
class Resampled:
    """The first feed of the given sizes is what the user gave. Every other one is drawn with
    replacement from the values of the same input, so that an id is a known id."""

    inputs: Sequence[TensorSpec]
    arrays: Mapping[str, Array]
    """Input → the user's values."""
    dims: Dims
    """The sizes of the dynamic dimensions in those."""
    seed: int = 0

    def draw(self, dims: Dims, number: int = 0) -> Feed:
        """One feed of these sizes."""
        if number == 0 and dict(dims) == dict(self.dims):
            return Feed(dict(dims), "example_inputs()", self.arrays)
        drawn = {}
        for index, spec in enumerate(self.inputs):
            random = np.random.default_rng([self.seed, number, index, *dims.values()])
            drawn[spec.name] = random.choice(
                self.arrays[spec.name].ravel(), dimensions.shape(spec, dims)
            )
        return Feed(dict(dims), f"drawn from example_inputs() with seed {self.seed}", drawn, number)
