"""Pools all elements of one output over all feeds into one array that the rule can judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from toolkit.answers.direction import Floats
from toolkit.answers.formats import Precision
from toolkit.answers.pieces import PlainOutput
from toolkit.answers.rule import Scale
from toolkit.tensors import Array


@dataclass(frozen=True)
class SimulatedOutput:
    """One output of one simulation."""

    precision: Precision
    form: str
    """The form's name (simulate.py)."""
    arrays: tuple[Array, ...]
    """One array for each feed, in float32."""


@dataclass(frozen=True)
class Pool:
    """One float output of the oracle and of the simulations, over all feeds."""

    oracle: tuple[Floats, ...]
    """One array for each feed."""
    simulated: tuple[SimulatedOutput, ...]

    def part(self, feeds: Sequence[int]) -> Pool:
        """Gives the same output for some of the feeds, by their numbers.

        Each part is made once, since every generation asks for it again.
        """
        key = tuple(feeds)
        if key not in self._parts:
            simulated = (
                SimulatedOutput(s.precision, s.form, tuple(s.arrays[i] for i in key))
                for s in self.simulated
            )
            self._parts[key] = Pool(tuple(self.oracle[i] for i in key), tuple(simulated))
        return self._parts[key]

    @cached_property
    def _parts(self) -> dict[tuple[int, ...], Pool]:
        return {}

    @cached_property
    def plain(self) -> PlainOutput:
        """The oracle and the float32 evaluations alone, to be compared piece by piece."""
        forms = (s.arrays for s in self.fitting if s.precision == "float32")
        return PlainOutput(self.oracle, tuple(forms))

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
    def in_float32(self) -> Array | None:
        """The values of a plain float32 evaluation, flat; None where there is none."""
        plain = (s for s in self.fitting if s.precision == "float32")
        return next((_joined(s.arrays) for s in plain), None)

    @cached_property
    def judged(self) -> Array | None:
        """Flat indices of the elements that are judged: the oracle and float32 are finite there.
        None: all are."""
        finite = np.isfinite(self.wanted)
        if self.in_float32 is not None:
            finite &= np.isfinite(self.in_float32)
        return None if finite.all() else np.flatnonzero(finite)

    @cached_property
    def columns(self) -> int:
        """The size of the last axis if all feeds share it and every element is judged; else 1."""
        # The direction of an error is centred by column, which needs whole rows of one length.
        sizes = {o.shape[-1] if o.ndim > 1 else 1 for o in self.oracle}
        return max(sizes.pop(), 1) if len(sizes) == 1 and self.judged is None else 1

    @cached_property
    def scale(self) -> Scale | None:
        """The scale to judge answers by; None without an element or without float32."""
        oracle = self.table(self.wanted)
        if self.in_float32 is None or not oracle.size:
            return None
        # One form after the other: each is raised to float64 in turn.
        parts = ((s.precision, s.form, self.table(flat(s.arrays))) for s in self.fitting)
        return Scale(oracle, parts)

    def table(self, values: Floats) -> Floats:
        """Takes the judged ones of all values, as (rows, columns)."""
        judged = values if self.judged is None else values[self.judged]
        return judged.reshape(-1, self.columns)

    def place(self, judged: Array) -> Array:
        """Turns indices among the judged elements into flat indices of all."""
        return judged if self.judged is None else np.asarray(self.judged[judged])

    def off_limits(self, values: Floats) -> Array:
        """Finds NaN and Inf where a right answer has none, and the reverse; gives flat indices."""
        if self.judged is None:
            return np.flatnonzero(~np.isfinite(values))
        rest = np.ones(values.size, bool)
        rest[self.judged] = False
        agrees = _same(values, self.wanted)
        # Where float64 is finite and float32 overflows, either is right.
        if self.in_float32 is not None:
            agrees |= _same(values, self.in_float32)
        return np.flatnonzero(np.where(rest, ~agrees, ~np.isfinite(values)))


def flat(arrays: Sequence[Array]) -> Floats:
    """Joins all values of all feeds in float64, in order."""
    return np.asarray(_joined(arrays), np.float64)


def _joined(arrays: Sequence[Array]) -> Array:
    return np.concatenate([np.ravel(a) for a in arrays])


def _same(a: Array, b: Array) -> Array:
    return np.asarray((a == b) | (np.isnan(a) & np.isnan(b)))
