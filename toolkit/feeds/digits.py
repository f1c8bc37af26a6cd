"""Real samples for the reference model: handwritten digits that its training never saw."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from toolkit.feeds.feed import Feed
from toolkit.feeds.sizes import Dims
from toolkit.tensors import Array


@dataclass(frozen=True)
class Digits:
    """Draws feeds of held-out digits."""

    input: str
    """The name of the model's one input, of the shape (batch, 64)."""
    seed: int = 0

    def draw(self, dims: Dims, number: int = 0) -> Feed:
        """One feed of float32 images; `dims` has one size, the batch's. No image comes twice until
        all 360 were there."""
        images = self._images  # (360, 64)
        (batch,) = dims.values()
        random = np.random.default_rng([self.seed, number, batch])
        rounds = -(-batch // len(images))
        order = np.concatenate([random.permutation(len(images)) for _ in range(rounds)])
        arrays = {self.input: images[order[:batch]]}  # (batch, 64)
        return Feed(dict(dims), "digits", arrays, number)

    @cached_property
    def _images(self) -> Array:
        from toolkit.sources.reference import held_out

        return held_out()
