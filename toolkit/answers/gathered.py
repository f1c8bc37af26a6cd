"""Judges what is gathered by chosen indices: another choice among equals gathers something else.

Where TopK or ArgMax chooses among logits that are equal within float32's noise, a right float32
answer may hold the slice of another index. Each such slice is held against the candidate that it is
nearest to. Seen are outputs right behind a Gather or a GatherElements of computed data; a choice
deeper in the network is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from toolkit.answers.direction import Floats
from toolkit.answers.indices import HONEST, Choice
from toolkit.tensors import Array


@dataclass(frozen=True)
class Gathering:
    """An output that holds slices of a tensor, taken at chosen indices."""

    operator: str
    """'Gather' or 'GatherElements'."""
    data: str
    """The name of the tensor that is taken from."""
    indices: str
    """The name of the indices as the operator reads them."""
    axis: int
    """Its axis of the data; may be negative."""
    choice: Choice
    """The operator that chose the indices, and its logits."""

    def tensors(self) -> tuple[str, str, str]:
        """Gives the names of what has to be known besides the output."""
        return self.choice.tensor, self.data, self.indices

    def take(self, data: Array, indices: Array) -> Array:
        """Gathers as the operator does."""
        if self.operator == "Gather":
            return np.take(data, indices, axis=self.axis)
        return np.take_along_axis(data, indices, axis=self.axis)


@dataclass(frozen=True)
class Candidates:
    """What one feed's output may hold besides the oracle's own choice."""

    gathering: Gathering
    data: Floats
    indices: Array
    """The oracle's, of the shape that the operator reads."""
    logits: Floats
    noise: float
    """The RMS error of float32 in the logits."""

    def aligned(self, answer: Array) -> tuple[Array, int]:
        """Moves each slice that is nearer to another candidate onto the oracle's own; returns the
        answer, and how many slices were moved. Its errors stay what they were, against what was
        really chosen."""
        taken = self._taken()
        if taken is None or answer.size != taken.slots.size * taken.data.shape[-1]:
            return answer, 0
        slices = taken.slices_of(answer)
        chosen = self._nearest(taken, slices)
        moved = np.argwhere(chosen != taken.slots)
        for row, slot in moved:
            own, other = (taken.data[row, each[row, slot]] for each in (taken.slots, chosen))
            slices[row, slot] += own - other
        return (taken.answer_of(slices, answer.shape) if len(moved) else answer), len(moved)

    def _nearest(self, taken: _Taken, slices: Floats) -> Array:
        """The index of each slot whose slice the answer's is nearest to, among equals."""
        axis = self.gathering.choice.axis % self.logits.ndim
        table = np.moveaxis(self.logits, axis, -1).reshape(-1, self.logits.shape[axis])
        chosen = taken.slots.copy()
        for row, slot in np.ndindex(*taken.slots.shape):
            logits, own = table[taken.rows[row, slot]], taken.slots[row, slot]
            equal = np.flatnonzero(np.abs(logits - logits[own]) <= HONEST * self.noise)
            if equal.size > 1:
                far = np.sum((taken.data[row, equal] - slices[row, slot]) ** 2, axis=-1)
                nearest = equal[np.argmin(far)]
                own_far = far[np.flatnonzero(equal == own)[0]]
                chosen[row, slot] = nearest if far.min() < own_far else own
        return _each_once(chosen, taken)

    def _taken(self) -> _Taken | None:
        """The operator's tensors in the form (rows, indices, elements of a slice); None where the
        graph has rearranged the indices since they were chosen."""
        axis = self.gathering.axis % self.data.ndim
        choice = self.gathering.choice.axis % self.logits.ndim
        rest = self.logits.shape[:choice] + self.logits.shape[choice + 1 :]
        before, size, behind = (
            self.data.shape[:axis],
            self.data.shape[axis],
            self.data.shape[axis + 1 :],
        )
        if size != self.logits.shape[choice]:
            return None
        if self.gathering.operator == "Gather":
            if self.indices.size % max(prod(rest), 1):
                return None
            rows = np.arange(prod(rest)).reshape(*rest[:choice], 1, *rest[choice:])
            rows = np.repeat(rows, self.indices.size // max(prod(rest), 1), axis=choice)
            table = np.moveaxis(self.data, axis, 0).reshape(1, size, -1)
            return _Taken(table, self.indices.reshape(1, -1), rows.reshape(1, -1), (before, behind))
        # GatherElements: the slots stand below the data's leading axes, which must be the logits'.
        slots = self.indices.reshape(prod(before), self.indices.shape[axis], -1)
        same = slots.size and (slots == slots[..., :1]).all() and slots.shape[-1] == prod(behind)
        if not same or self.logits.shape != self.data.shape[: axis + 1]:
            return None
        rows = np.broadcast_to(np.arange(prod(before))[:, None], slots.shape[:2])
        return _Taken(self.data.reshape(prod(before), size, -1), slots[..., 0], rows, ((), behind))


@dataclass(frozen=True)
class _Taken:
    """What a gathering takes, in one form for both operators."""

    data: Floats
    """(R, N, F): N slices of F elements, in each of R rows."""
    slots: Array
    """(R, S): the oracle's indices."""
    rows: Array
    """(R, S): the row of the logits that each was chosen from."""
    around: tuple[tuple[int, ...], tuple[int, ...]]
    """The data's axes before and behind the one that is gathered along, which make a slice."""

    def slices_of(self, answer: Array) -> Floats:
        """Brings an output into the form (R, S, F), as a copy."""
        before, behind = self.around
        flat = answer.astype(np.float64).reshape(prod(before), *self.slots.shape, prod(behind))
        return np.moveaxis(flat, 0, 2).reshape(*self.slots.shape, -1)

    def answer_of(self, slices: Floats, shape: tuple[int, ...]) -> Floats:
        """Brings slices back into the output's shape."""
        before, behind = self.around
        flat = slices.reshape(*self.slots.shape, prod(before), prod(behind))
        return np.moveaxis(flat, 2, 0).reshape(shape)


def _each_once(chosen: Array, taken: _Taken) -> Array:
    """Keeps the oracle's choice in the rows in which an index would be chosen more often: that is
    no choice among equals."""
    result = chosen.copy()
    for row in np.unique(taken.rows):
        of_row = taken.rows == row
        if len(np.unique(chosen[of_row])) < len(np.unique(taken.slots[of_row])):
            result[of_row] = taken.slots[of_row]
    return result
