"""Chooses the sizes at which a model is judged, and asks the oracle what is right there.

Each dynamic dimension alone at 1, a prime and a larger one, with the others as traced; then all at
once, of sizes that the model took alone. What the model itself refuses is left out and named, and
where fewer than two other sizes of a dimension remain, multiples of the traced one are tried.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from toolkit.feeds import variations
from toolkit.feeds.feed import Draws
from toolkit.feeds.sizes import Dims
from toolkit.oracle.oracles import Expected, Oracle, RefusedFeed
from toolkit.oracle.portable import Unsupported
from toolkit.sources.inputs import Dimension

OTHERS = 2
"""Sizes of each dimension, beside the traced one, that are wanted: a single one, often 1, may be
right by chance."""


@dataclass(frozen=True)
class Sizes:
    """The sizes of a model's dynamic dimensions that a sweep starts from."""

    traced: Dims
    """The sizes with which it was exported."""
    ranges: Mapping[str, Dimension] = field(default_factory=dict)
    """Dimension → the range that the user stated for it."""
    wanted: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Dimension → sizes in place of those that would be chosen."""
    suspected: Sequence[Dims] = ()
    """Further sizes, at which an exporter took something for granted."""

    def range(self, name: str) -> Dimension:
        """Gives the range of a dimension; unlimited where none was stated."""
        return self.ranges.get(name, Dimension(name))


@dataclass(frozen=True)
class LeftOut:
    """Sizes that the model itself refuses, with its reason in words."""

    dims: Dims
    reason: str


class SizeSweep:
    """Feeds with the outputs that are right for them, at sizes that the model takes."""

    def __init__(self, oracle: Oracle, draws: Draws, at: Sizes) -> None:
        self._oracle = oracle
        self._draws = draws
        self.at = at
        self.expected: list[Expected] = []
        self.left_out: list[LeftOut] = []

    def look(self, dims: Dims) -> None:
        """Asks the oracle at one set of sizes, unless it was asked before."""
        seen = [each.feed.dims for each in self.expected] + [left.dims for left in self.left_out]
        if dims in seen:
            return
        feed = self._draws.draw(dims)
        try:
            self.expected.append(Expected(feed, self._oracle.answer(feed.arrays)))
        except (RefusedFeed, Unsupported) as error:
            self.left_out.append(LeftOut(dims, error.what))

    def others(self, name: str) -> list[int]:
        """Lists the sizes of one dimension that the model takes beside the traced one, the other
        dimensions being as traced."""
        traced = self.at.traced
        return [
            dims[name]
            for dims in (each.feed.dims for each in self.expected)
            if dims[name] != traced[name] and {**dims, name: traced[name]} == traced
        ]

    def too_few(self) -> list[str]:
        """Lists the dimensions that have fewer than two other sizes, though they may vary."""
        return [
            name
            for name in self.at.traced
            if len(self.others(name)) < OTHERS
            and self.at.range(name).least != self.at.range(name).most
        ]


def sweep(oracle: Oracle, draws: Draws, at: Sizes) -> SizeSweep:
    """Looks at all sizes. Raises what `draws` raises; a size that is refused raises nothing."""
    swept = SizeSweep(oracle, draws, at)
    swept.look(at.traced)
    for name, size in at.traced.items():
        usual = at.wanted.get(name) or variations.alternatives(size, at.range(name))
        for other in usual:
            swept.look({**at.traced, name: other})
        for other in variations.further(size, at.range(name)):
            if len(swept.others(name)) < OTHERS:
                swept.look({**at.traced, name: other})
    swept.look(variations.together(at.traced, {name: swept.others(name) for name in at.traced}))
    for dims in at.suspected:
        swept.look(dims)
    return swept
