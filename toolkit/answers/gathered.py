"""Describes outputs that are gathered by chosen indices: another choice gathers something else.

A *candidate* is one of the logits that an operator chooses from, given by its flat number in (rows,
logits of a row). What an operator chose is a list of candidates, and each output that is gathered
by it holds one slice for each of them, in the same order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np

from toolkit.answers.direction import Floats
from toolkit.answers.indices import Choice
from toolkit.answers.suppressed import Suppression
from toolkit.tensors import Array


@dataclass(frozen=True)
class Chooser:
    """An operator that chooses among computed logits."""

    choice: Choice
    indices: str
    """The name of its output that holds the indices."""
    suppression: Suppression | None = None
    """What else decides, where it is NonMaxSuppression."""

    def tensors(self) -> tuple[str, ...]:
        """Gives the names of what has to be known to find another choice."""
        boxes = () if self.suppression is None else (self.suppression.boxes,)
        return (self.choice.tensor, self.indices, *boxes)


@dataclass(frozen=True)
class Gathering:
    """An output that holds slices of a tensor, taken at chosen indices."""

    operator: str
    """'Gather', 'GatherElements' or 'GatherND'; 'Identity': the output is the indices."""
    data: str
    """The name of the tensor that is taken from; of the indices themselves, none."""
    axis: int
    """Its axis of the data; may be negative."""
    columns: tuple[int, ...]
    """The coordinates of a candidate that stand in its indices: (1,) of (row, logit), or some of
    (batch, class, box)."""
    chooser: Chooser

    def tensors(self) -> tuple[str, ...]:
        """Gives the names of what has to be known besides the output."""
        return (*self.chooser.tensors(), *filter(None, [self.data]))


def together(gathered: Mapping[str, Gathering]) -> dict[Chooser, dict[str, Gathering]]:
    """Groups outputs by the operator that chose for them."""
    groups: dict[Chooser, dict[str, Gathering]] = {}
    for output, gathering in gathered.items():
        groups.setdefault(gathering.chooser, {})[output] = gathering
    return groups


@dataclass(frozen=True)
class Candidates:
    """All that an operator may choose on one feed."""

    choice: Choice
    logits: Floats

    @cached_property
    def table(self) -> Floats:
        """The logits as (rows, logits of a row)."""
        logits = np.moveaxis(self.logits, self._axis, -1)
        return logits.reshape(prod(logits.shape[:-1]), logits.shape[-1])

    @property
    def _axis(self) -> int:
        return self.choice.axis % self.logits.ndim

    @property
    def selects(self) -> bool:
        """The indices are (batch, class, box), and their number is the operator's to choose."""
        return self.choice.operator == "NonMaxSuppression"

    def numbers(self, indices: Array) -> Array:
        """Turns indices, of the shape that the operator gives, into candidates."""
        if self.selects:
            places = tuple(indices.astype(np.int64).reshape(-1, 3).T)
            return np.asarray(np.ravel_multi_index(places, self.logits.shape))
        rest = self.logits.shape[: self._axis] + self.logits.shape[self._axis + 1 :]
        count = indices.size // max(prod(rest), 1)
        each = indices.astype(np.int64).reshape(*rest[: self._axis], count, *rest[self._axis :])
        rows = np.arange(prod(rest)).reshape(*rest[: self._axis], 1, *rest[self._axis :])
        return np.asarray(rows * self.table.shape[1] + each).ravel()

    def coordinates(self, numbers: Array) -> tuple[Array, ...]:
        """Gives (batch, class, box) of candidates, or (row, logit)."""
        shape = self.logits.shape if self.selects else self.table.shape
        return np.unravel_index(numbers, shape)

    def taken(self, gathering: Gathering, data: Array | None, numbers: Array) -> Array | None:
        """Takes the slice of each candidate, (candidates, elements); None where the data does not
        have the shape to hold one for each."""
        places = self.coordinates(numbers)
        if data is None:
            return np.stack([places[column] for column in gathering.columns], axis=-1)
        if gathering.operator == "GatherElements" and not self.selects:
            table = self._by_candidate(gathering, data)
            return None if table is None else table[numbers]
        sizes = self.logits.shape if self.selects else self.table.shape
        wanted = tuple(sizes[column] for column in gathering.columns)
        if gathering.operator != "GatherND":
            data = np.moveaxis(data, gathering.axis, 0)
        if data.shape[: len(wanted)] != wanted:
            return None
        slices = data[tuple(places[column] for column in gathering.columns)]
        return slices.reshape(numbers.size, prod(data.shape[len(wanted) :]))

    def _by_candidate(self, gathering: Gathering, data: Array) -> Array | None:
        """The data with a row for each candidate, as GatherElements reads it; None where its
        leading axes are not those of the logits."""
        axis, shape = gathering.axis % data.ndim, self.logits.shape
        if axis != self._axis or data.shape[: len(shape)] != shape:
            return None
        if data.ndim == len(shape):
            return np.moveaxis(data, axis, -1).reshape(-1, 1)
        if axis < len(shape) - 1:
            return None
        return data.reshape(prod(shape), prod(data.shape[len(shape) :]))


@dataclass(frozen=True)
class Slices:
    """The slices that one output holds on one feed, and the tensor that they are from."""

    candidates: Candidates
    gathering: Gathering
    data: Array | None
    """None: the slices are the indices."""
    shape: tuple[int, ...]
    """The shape of the right output."""
    elements: int
    """Elements of a slice."""

    @property
    def exact(self) -> bool:
        """The slices have no precision."""
        return self.data is None or self.data.dtype.kind != "f"

    @cached_property
    def size(self) -> float:
        """The mean square of the data, which makes distances in several outputs comparable."""
        assert self.data is not None, "only what has a precision has a size"
        finite = self.data[np.isfinite(self.data)]
        return float(np.mean(finite**2)) if finite.any() else 1.0

    def of(self, numbers: Array, data: Array | None = None) -> Array:
        """Takes the slice of each candidate, (candidates, elements), from this data or from
        another evaluation's."""
        data = self.data if data is None else data
        slices = self.candidates.taken(self.gathering, data, numbers)
        assert slices is not None, "its shape was looked at when this was made"
        return slices

    def split(self, output: Array) -> Array | None:
        """Brings an output into the form (slices, elements); None where its shape does not allow
        that. It may have more slices than the right output, or fewer."""
        if output.ndim != len(self.shape):
            return None
        unlike = sum(a != b for a, b in zip(output.shape, self.shape, strict=True))
        count, rest = divmod(output.size, max(self.elements, 1))
        if rest or unlike > 1:
            return None
        flat = output.reshape(self._before, count, self.elements // self._before)
        return np.moveaxis(flat, 1, 0).reshape(count, self.elements)

    def joined(self, slices: Array, shape: tuple[int, ...]) -> Array:
        """Brings slices into the shape of an output that `split` takes."""
        flat = slices.reshape(len(slices), self._before, self.elements // self._before)
        return np.moveaxis(flat, 0, 1).reshape(shape)

    @property
    def _before(self) -> int:
        """Elements before the axis that Gather takes along: they stand before the slices."""
        if self.data is None or self.gathering.operator != "Gather":
            return 1
        before: tuple[int, ...] = self.data.shape[: self.gathering.axis % self.data.ndim]
        return max(prod(before), 1)


def slices(
    candidates: Candidates,
    gathering: Gathering,
    values: Mapping[str, Array],
    output: Array,
    chosen: Array,
) -> Slices | None:
    """Finds how an output holds the slices of what was chosen; None where it does not: the graph
    has rearranged the indices or the slices.

    `values` and `output` are of one evaluation, so that each number must be there as it is.
    """
    data = values[gathering.data] if gathering.data else None
    taken = candidates.taken(gathering, data, chosen)
    if taken is None or taken.size != output.size or np.iscomplexobj(output):
        return None
    result = Slices(candidates, gathering, data, output.shape, taken.shape[1])
    joined = result.joined(taken, output.shape)
    return result if np.array_equal(joined, output, equal_nan=output.dtype.kind == "f") else None
