"""Feeds, the sets of input arrays that a model is run with, and the role of what gives them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from toolkit import tensors
from toolkit.feeds import sizes
from toolkit.feeds.sizes import Dims
from toolkit.units import Bytes


@dataclass(frozen=True)
class Feed:
    """One set of named input arrays, and where it comes from."""

    dims: Dims
    """The sizes of the dynamic dimensions."""
    origin: str
    """The source of the values: 'digits', 'drawn with seed 0', 'feeds.npz'."""
    arrays: tensors.Feed
    """Input → array, in the order of the model's inputs."""
    number: int = 0
    """Tells feeds of the same sizes apart."""

    @property
    def name(self) -> str:
        """'batch 8, seq 128'; 'fixed shape' for a model without dynamic dimensions."""
        return sizes.text(self.dims)

    @property
    def shapes(self) -> dict[str, list[int]]:
        """Input → the shape of its array."""
        return {name: list(array.shape) for name, array in self.arrays.items()}

    @property
    def size(self) -> Bytes:
        """The bytes of all arrays."""
        return sum(array.nbytes for array in self.arrays.values())


class Draws(Protocol):
    """Gives feeds of any sizes."""

    def draw(self, dims: Dims, number: int = 0) -> Feed:
        """One feed of these sizes; another for another number."""
