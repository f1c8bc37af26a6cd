"""Chooses the sizes at which a model is judged, and asks the oracle what is right there.

The sizes that show most come first: the traced ones; each dimension alone at its least, where
PyTorch broadcasts; those that an exporter took something for granted at; each alone beyond the
traced size, then at a prime; then all at once, of sizes that the model took alone. What the model
itself refuses is left out and named, and where fewer than two other sizes of a dimension remain,
multiples of the traced one are tried.

A sweep may have an allowance of time. The first calls, which are made whatever they take (the
traced sizes, one other of each dimension, and the suspected ones), tell what a call costs; of the
further sizes those that would go beyond the allowance are left out, and named too. Instead, all
dimensions are then looked at just beyond their traced sizes, in one call: 1 alone may be right by
chance. Where even that one takes too long it is left to whoever compares float32 alone.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from toolkit.feeds import variations
from toolkit.feeds.feed import Draws
from toolkit.feeds.sizes import Dims
from toolkit.oracle.oracles import Expected, Oracle, RefusedFeed
from toolkit.oracle.portable import Unsupported
from toolkit.sources.inputs import Dimension
from toolkit.units import Seconds

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
    allowance: Seconds = math.inf
    """The time that all calls of the oracle together should take."""
    call: Seconds | None = None
    """The time of a call that the oracle has made before, whose answer it still knows."""
    called_at: Dims | None = None
    """The sizes of that call; None: the traced ones."""
    dear: bool = False
    """Even three calls take more than the allowance: the traced sizes are left out."""
    dearer: bool = False
    """So do two calls: float32 alone may be compared just beyond the traced sizes
    (`SizeSweep.plainly`)."""

    def least(self) -> Dims:
        """Gives the traced sizes with the first dimension at its least; empty where that is the
        traced one, and where nothing is dynamic."""
        for name in self.traced:
            smaller = [size for size in _by_what_they_show(self, name) if size < self.traced[name]]
            if smaller:
                return {**self.traced, name: smaller[0]}
        return {}

    def first(self) -> Dims:
        """Gives the sizes of the first call: where calls are dear, the least."""
        return (self.least() if self.dear else {}) or self.traced

    def work(self, dims: Dims) -> float:
        """How much a call computes, in calls at the traced sizes: in proportion to each size."""
        return math.prod(dims[name] / traced for name, traced in self.traced.items())

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

    def __init__(
        self,
        oracle: Oracle,
        draws: Draws,
        at: Sizes,
        clock: Callable[[], Seconds] = time.perf_counter,
    ) -> None:
        self._oracle = oracle
        self._draws = draws
        self._clock = clock
        self.at = at
        self.expected: list[Expected] = []
        self.left_out: list[LeftOut] = []
        self.unaffordable: list[Dims] = []
        """Sizes that were left out for their time."""
        self.plainly: list[Dims] = []
        """Sizes that were left to a comparison in float32 (exporter/plainsizes.py)."""
        self._calls: list[tuple[Seconds, float]] = []
        """The time of each call, and what it computed (`Sizes.work`)."""
        if at.call is not None:
            self._calls.append((at.call, self.at.work(at.called_at or at.traced)))

    def look(self, dims: Dims, *, always: bool = False) -> None:
        """Asks the oracle at one set of sizes, unless it was asked before, or the call would go
        beyond the allowance and is not to be made `always`."""
        seen = [each.feed.dims for each in self.expected] + [left.dims for left in self.left_out]
        if dims in seen or dims in self.plainly:
            return
        left = dims in self.unaffordable
        if not always and self._would_take(dims) > self.at.allowance:
            self.unaffordable += [] if left else [dims]
            return
        if left:
            self.unaffordable.remove(dims)
        feed = self._draws.draw(dims)
        began = self._clock()
        try:
            self.expected.append(Expected(feed, self._oracle.answer(feed.arrays)))
        except (RefusedFeed, Unsupported) as error:
            self.left_out.append(LeftOut(dims, error.what))
            return
        if self.at.call is None or dims != (self.at.called_at or self.at.traced):
            self._calls.append((self._clock() - began, self.at.work(dims)))

    def look_after_all(self, dims: Dims) -> None:
        """Asks the oracle at sizes that were left to a comparison in float32."""
        self.plainly.remove(dims)
        self.look(dims, always=True)

    def others(self, name: str) -> list[int]:
        """Lists the sizes of one dimension that the model takes beside the traced one, the other
        dimensions being as traced."""
        looked = (*(each.feed.dims for each in self.expected), *self.plainly)
        return [dims[name] for dims in self._alone(name, looked)]

    def too_few(self) -> list[str]:
        """Lists the dimensions that have fewer than two other sizes, though they may vary, and
        though none was left out for its time."""
        return [
            name
            for name in self.at.traced
            if len(self.others(name)) < OTHERS
            and not self._alone(name, self.unaffordable)
            and self.at.range(name).least != self.at.range(name).most
        ]

    def lacks(self, name: str) -> bool:
        """Says whether the model refused too many of a dimension's usual sizes."""
        affordable = len(self.others(name)) + len(self._alone(name, self.unaffordable))
        return affordable < OTHERS

    def _alone(self, name: str, among: Iterable[Dims]) -> list[Dims]:
        """Those sizes at which one dimension alone is not as traced."""
        traced = self.at.traced
        return [
            dims
            for dims in among
            if dims[name] != traced[name] and {**dims, name: traced[name]} == traced
        ]

    def _would_take(self, dims: Dims) -> Seconds:
        """The time of all calls with one at these sizes.

        A call at the traced sizes takes no longer than any call let one expect: so one that the
        machine's other work held up counts as what it would take. None takes less than that one,
        since weights are raised and read at any size.
        """
        pace = min((seconds / work for seconds, work in self._calls), default=0.0)
        spent = sum(min(seconds, max(1.0, work) * pace) for seconds, work in self._calls)
        return spent + max(1.0, self.at.work(dims)) * pace


def sweep(
    oracle: Oracle,
    draws: Draws,
    at: Sizes,
    clock: Callable[[], Seconds] = time.perf_counter,
) -> SizeSweep:
    """Looks at all sizes. Raises what `draws` raises; a size that is refused raises nothing."""
    swept = SizeSweep(oracle, draws, at, clock)
    usual = {name: _by_what_they_show(at, name) for name in at.traced}
    if at.dear and at.least():
        swept.look(at.least(), always=True)
        beyond = variations.just_beyond(at.traced, at.ranges)
        if at.dearer and swept.expected and beyond not in (at.traced, *at.suspected):
            swept.plainly.append(beyond)
        swept.look(beyond, always=True)
    if len(swept.expected) + len(swept.plainly) < 2:
        swept.look(at.traced, always=True)
        for name, sizes in usual.items():
            _look_at_one(swept, name, sizes)
    for dims in at.suspected:
        # Where an exporter took something for granted a file may be wrong, whatever a look takes.
        swept.look(dims, always=True)
    for turn in range(max(map(len, usual.values()), default=0)):
        for name, sizes in usual.items():
            for size in sizes[turn : turn + 1]:
                swept.look({**at.traced, name: size}, always=name in at.wanted)
    for name in at.traced:
        for size in variations.further(at.traced[name], at.range(name)):
            if swept.lacks(name):
                swept.look({**at.traced, name: size})
    if swept.unaffordable:
        swept.look(variations.just_beyond(at.traced, at.ranges), always=True)
    else:
        others = {name: _as_listed(swept, name) for name in at.traced}
        swept.look(variations.together(at.traced, others))
    return swept


def _look_at_one(swept: SizeSweep, name: str, sizes: Sequence[int]) -> None:
    """Looks at the first of some sizes of one dimension that the model takes, whatever it costs."""
    for size in sizes:
        if swept.others(name):
            return
        swept.look({**swept.at.traced, name: size}, always=True)


def _by_what_they_show(at: Sizes, name: str) -> list[int]:
    """Other sizes of one dimension, the most telling first: its least, one beyond the traced, a
    prime; or those that are wanted, as they are."""
    if wanted := at.wanted.get(name):
        return list(wanted)
    sizes = variations.alternatives(at.traced[name], at.range(name))
    return [*sizes[:1], *reversed(sizes[1:])]


def _as_listed(swept: SizeSweep, name: str) -> list[int]:
    """The sizes of one dimension that the model takes, the larger one behind the usual others."""
    listed = variations.alternatives(swept.at.traced[name], swept.at.range(name))
    return sorted(
        swept.others(name), key=lambda size: listed.index(size) if size in listed else len(listed)
    )
