"""All elements of one output over all feeds, as one array that the rule can judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from toolkit.answers.direction import Floats
from toolkit.answers.formats import Precision
from toolkit.answers.rule import Scale
from toolkit.tensors import Array


@dataclass(frozen=True)
class SimulatedOutput:
    """One output of one simulation, an array a feed."""

    precision: Precision
    form: str
    arrays: tuple[Array, ...]


@dataclass(frozen=True)
class Pool:
    """One float output: the oracle's arrays and those of the simulations, one for each feed."""

    oracle: tuple[Floats, ...]
    simulated: tuple[SimulatedOutput, ...]

    def part(self, feeds: Sequence[int]) -> Pool:
        """The same output for some of the feeds; made once, since every generation asks again."""
        key = tuple(feeds)
        if key not in self._made:
            simulated = (
                SimulatedOutput(s.precision, s.form, tuple(s.arrays[i] for i in key))
                for s in self.simulated
            )
            self._made[key] = Pool(tuple(self.oracle[i] for i in key), tuple(simulated))
        return self._made[key]

    @cached_property
    def _made(self) -> dict[tuple[int, ...], Pool]:
        return {}

    @cached_property
    def wanted(self) -> Floats:
        """The oracle's values, flat."""
        return flat(self.oracle)

    @cached_property
    def fitting(self) -> tuple[SimulatedOutput, ...]:
        """Simulations with the oracle's shapes: where shapes depend on values, some differ."""
        shapes = [o.shape for o in self.oracle]
        return tuple(s for s in self.simulated if [a.shape for a in s.arrays] == shapes)

    @cached_property
    def in_float32(self) -> Floats | None:
        """What a plain float32 evaluation gives, flat."""
        plain = (s for s in self.fitting if s.precision == "float32")
        return next((flat(s.arrays) for s in plain), None)

    @cached_property
    def places(self) -> Array:
        """Flat indices of what is judged: the oracle's value and the float32 one are finite."""
        finite = np.isfinite(self.wanted)
        if self.in_float32 is not None:
            finite &= np.isfinite(self.in_float32)
        return np.flatnonzero(finite)

    @cached_property
    def columns(self) -> int:
        """Size of the last axis where all feeds share it and every element is judged; else 1."""
        sizes = {o.shape[-1] if o.ndim > 1 else 1 for o in self.oracle}
        whole = self.places.size == self.wanted.size
        return max(sizes.pop(), 1) if len(sizes) == 1 and whole else 1

    @cached_property
    def scale(self) -> Scale | None:
        """What answers are held against; None without an element or without float32."""
        if self.in_float32 is None or not self.places.size:
            return None
        parts = [
            # Truncated tf32 shrinks every value, and so do many faults.
            (s.precision, s.form != "truncated", self.table(flat(s.arrays)))
            for s in self.fitting
        ]
        return Scale(self.table(self.wanted), parts)

    def table(self, values: Floats) -> Floats:
        """The judged ones of all values, as (rows, columns)."""
        return values[self.places].reshape(-1, self.columns)

    def off_limits(self, values: Floats) -> Array:
        """Flat indices of NaN and Inf where a right answer has none, and the reverse."""
        rest = np.ones(values.size, bool)
        rest[self.places] = False
        agrees = _same(values, self.wanted)
        if self.in_float32 is not None:
            agrees |= _same(values, self.in_float32)
        return np.flatnonzero(np.where(rest, ~agrees, ~np.isfinite(values)))

    def index(self, place: int) -> tuple[int, ...]:
        """The feed's number, then the index in its output."""
        for feed, array in enumerate(self.oracle):
            if place < array.size:
                return (feed, *(int(i) for i in np.unravel_index(place, array.shape)))
            place -= array.size
        raise IndexError(place)


def flat(arrays: Sequence[Array]) -> Floats:
    """All values of all feeds in float64, in order."""
    return np.concatenate([np.asarray(a, np.float64).ravel() for a in arrays])


def _same(a: Floats, b: Floats) -> Array:
    return np.asarray((a == b) | (np.isnan(a) & np.isnan(b)))
