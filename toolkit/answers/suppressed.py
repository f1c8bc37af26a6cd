"""Repeats NonMaxSuppression along an answer: which boxes could have come next at each place?

Every comparison that the operator makes (of two scores, of a score with the least one, of an
overlap with the limit) may go either way where both sides are equal within float32's noise:

N1  A box *may* be taken while its score is not below the least one and it overlaps no box that was
    taken by more than the limit. It *must* be taken while both hold by more than the noise.
N2  The next box is one that may be taken, and none that must be is better. None that is worse than
    those before it, nor one that was taken, may follow.
N3  A class ends where no box must be taken any more, or where as many were as the operator takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from toolkit.answers.direction import Floats
from toolkit.oracle.operators.detection import corners, overlaps
from toolkit.tensors import Array

SEEN = 100
"""Boxes of a feed whose overlaps with all others show the noise: each costs as much as a step."""


class Nearest(Protocol):
    """Chooses among candidates the one that an answer holds at a place."""

    def __call__(self, place: int, candidates: Array) -> int | None:
        """Gives one of the candidates, which are numbers; None where it holds none of them."""


@dataclass(frozen=True)
class Suppression:
    """The inputs of a NonMaxSuppression besides its scores."""

    boxes: str
    """The name of the boxes, (batches, boxes, 4)."""
    most: int
    """Boxes of a class that are taken at most."""
    overlap: float
    """The limit: a box that shares more with one that was taken is left out."""
    least: float | None
    """Boxes with this score or less are left out; None: with none."""
    centred: bool
    """A box is given by its middle and its size, not by two corners."""

    def overlap_errors(self, right: Array, plain: Array, chosen: Array) -> Floats:
        """Gives the errors of float32 in the overlaps of chosen boxes with all others.

        `right` and `plain` are the boxes in float64 and in float32, `chosen` (boxes taken, 3).
        """
        errors = [np.zeros(0)]
        for batch, _, box in chosen[:SEEN]:
            wanted, mine = (self._overlaps(each[batch], box) for each in (right, plain))
            overlap = np.isfinite(wanted) & np.isfinite(mine)
            errors.append(mine[overlap] - wanted[overlap])
        return np.concatenate(errors).astype(np.float64)

    def _overlaps(self, boxes: Array, box: int) -> Array:
        edges = corners(boxes, centred=self.centred)
        return overlaps(edges[:, :, [box]], edges)


@dataclass(frozen=True)
class Replay:
    """One NonMaxSuppression on one feed. A candidate is a score, by its flat number."""

    suppression: Suppression
    boxes: Array
    """(batches, boxes, 4)"""
    scores: Floats
    """(batches, classes, boxes)"""
    close: float
    """Scores that are no further apart are equal."""
    close_overlap: float
    """Overlaps that are no further apart are equal."""

    def follow(self, count: int, nearest: Nearest) -> tuple[Array, int] | None:
        """Takes so many candidates, by `nearest` where several could come next.

        Returns their numbers, and at how many places there was another way. None where the operator
        could have taken neither so many nor these.
        """
        kinds, current = self._kinds(), 0
        taken: list[int] = []
        free = 0
        for place in range(count):
            ready = _ready(kinds[current:])
            candidates = np.concatenate([np.zeros(0, np.int64), *(kind.open for kind in ready)])
            if not candidates.size:
                return None
            chosen: int | None = int(candidates[0])
            if candidates.size > 1:
                free += 1
                chosen = nearest(place, candidates)
            if chosen is None:
                return None
            taken.append(chosen)
            current = chosen // self.scores.shape[2]
            kinds[current].take(chosen)
        if not all(kind.may_end for kind in kinds[current:]):
            return None
        free += any(kind.open.size for kind in kinds[current:])
        return np.array(taken, np.int64), free

    def _kinds(self) -> list[_Kind]:
        """Every class of every batch, before a box was taken."""
        edges = [corners(each, centred=self.suppression.centred) for each in self.boxes]
        classes, size = self.scores.shape[1:]
        return [
            _Kind(self, number * size, scores, edges[number // classes])
            for number, scores in enumerate(self.scores.reshape(-1, size))
        ]


class _Kind:
    """The boxes of one class of one batch, while they are taken one by one."""

    def __init__(self, replay: Replay, first: int, scores: Floats, edges: Array) -> None:
        self._replay, self._first, self._scores, self._edges = replay, first, scores, edges
        self._left = replay.suppression.most
        least = replay.suppression.least
        self._may, self._must = (
            np.isfinite(scores) if least is None else scores > least + close
            for close in (-replay.close, replay.close)
        )
        self._settle()

    def take(self, number: int) -> None:
        """Takes a candidate, and leaves out what it overlaps (N1) and what is better (N2)."""
        box = number - self._first
        replay, limit = self._replay, self._replay.suppression.overlap
        shared = overlaps(self._edges[:, :, [box]], self._edges)
        self._must &= ~(shared > limit - replay.close_overlap)
        self._may &= ~(shared > limit + replay.close_overlap)
        self._may &= self._scores <= self._scores[box] + replay.close
        self._must[box] = self._may[box] = False
        self._left -= 1
        self._settle()

    def _settle(self) -> None:
        """Finds what could come next: `open` holds numbers of candidates, the best first (N2);
        `may_end` says that nothing has to (N3)."""
        best = self._scores[self._must].max(initial=-np.inf)
        ready = np.flatnonzero(self._may & (self._scores >= best - self._replay.close))
        ready = ready if self._left > 0 else ready[:0]
        self.open = self._first + ready[np.argsort(-self._scores[ready], kind="stable")]
        self.may_end = self._left <= 0 or not self._must.any()


def _ready(kinds: Sequence[_Kind]) -> list[_Kind]:
    """The class that is at hand, and the next ones as far as those before may end."""
    ready = []
    for kind in kinds:
        ready.append(kind)
        if not kind.may_end:
            break
    return ready
