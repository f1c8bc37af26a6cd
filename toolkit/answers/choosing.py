"""Finds by which choice a target gathered its outputs: the oracle's own, or another among equals.

C1  Another choice is one that the operator could have made where logits that are closer than
    float32's noise count as equal: of TopK and ArgMax each index may be that of an equal logit,
    none twice; of NonMaxSuppression see suppressed.py.
C2  All outputs that are gathered by one operator's choice are looked at together, so that a label
    that belongs to another box is no choice.
C3  Among equals the candidate counts whose slices the answer holds: exactly where they have no
    precision, and then those that are nearest. What it holds of it is judged afterwards.
C4  What is followed was seen to be so: the slices of the choice are the output, number by number,
    in the evaluation that shows all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TypeAlias

import numpy as np

from toolkit.answers.gathered import Candidates, Chooser, Gathering, Slices, slices
from toolkit.answers.indices import HONEST
from toolkit.answers.suppressed import Nearest, Replay
from toolkit.tensors import Array

Values: TypeAlias = Mapping[str, Array]
"""Tensors of one evaluation on one feed by name: outputs, and what lies behind them."""
BLOCK = 1 << 20
"""Logits that are compared at a time: 8 MB in float64."""


@dataclass(frozen=True)
class Ties:
    """A TopK, ArgMax or ArgMin on one feed."""

    candidates: Candidates
    chosen: Array
    """The right candidates."""
    close: float
    """Logits that are no further apart are equal."""

    def follow(self, count: int, nearest: Nearest) -> tuple[Array, int] | None:
        """Chooses so many candidates, by `nearest` where several are equal.

        Returns their numbers, and at how many places there was another way. None where the operator
        does not choose so many.
        """
        if count != self.chosen.size:
            return None
        length = self.candidates.table.shape[1]
        result = self.chosen.copy()
        for place in self._tied:
            row, own = divmod(int(self.chosen[place]), length)
            logits = self.candidates.table[row]
            equal = np.flatnonzero(np.abs(logits - logits[own]) <= self.close)
            other = nearest(int(place), row * length + equal)
            result[place] = self.chosen[place] if other is None else other
        return _each_once(result, self.chosen, length), self._tied.size

    @cached_property
    def _tied(self) -> Array:
        """The places whose candidate has an equal one."""
        table, length = self.candidates.table, self.candidates.table.shape[1]
        step = max(BLOCK // max(length, 1), 1)
        counts = [np.zeros(0, np.int64)]
        for start in range(0, self.chosen.size, step):
            row, own = np.divmod(self.chosen[start : start + step], length)
            apart = np.abs(table[row] - table[row, own][:, None])
            counts.append(np.count_nonzero(apart <= self.close, axis=1))
        return np.flatnonzero(np.concatenate(counts) > 1)


@dataclass(frozen=True)
class FeedChoice:
    """One operator's choice on one feed, with all outputs that are gathered by it."""

    candidates: Candidates
    way: Ties | Replay
    chosen: Array
    """The candidates of the evaluation that this was made from."""
    free: int
    """The number of places at which it could have chosen otherwise."""
    outputs: Mapping[str, Slices]

    def of_answer(self, answer: Mapping[str, Array]) -> Array | None:
        """Finds the candidates that an answer's outputs show (C2, C3); None where they show no
        choice among equals. Floats come as numpy's own types."""
        split = {n: each.split(answer[n]) for n, each in self.outputs.items() if n in answer}
        held = {name: each for name, each in split.items() if each is not None}
        counts = {len(each) for each in held.values()}
        if len(held) < len(self.outputs) or len(counts) != 1:
            return None
        if not self.free:
            return self.chosen if counts == {self.chosen.size} else None

        def nearest(place: int, candidates: Array) -> int:
            strange, far = np.zeros(candidates.size), np.zeros(candidates.size)
            for name, each in held.items():
                output = self.outputs[name]
                if output.exact:
                    strange += (output.of(candidates) != each[place]).any(axis=1)
                else:
                    apart = np.abs(output.of(candidates) - each[place]) ** 2
                    far += apart.sum(axis=1) / output.size
            # Where several are as near, the right one if it is among them, and else the best.
            other = candidates != (self.chosen[place] if place < self.chosen.size else -1)
            order = np.lexsort((other, np.where(np.isnan(far), np.inf, far), strange))
            return int(candidates[order[0]])

        way = self.way.follow(counts.pop(), nearest)
        return None if way is None else way[0]

    def shown_by(self, output: Array) -> bool:
        """Says whether an output of this evaluation is the logits, or those of what was chosen."""
        logits = self.candidates.table.ravel()
        return any(np.array_equal(output.ravel(), each) for each in (logits[self.chosen], logits))

    def gathered(self, output: str, chosen: Array, values: Values, shape: tuple[int, ...]) -> Array:
        """Gathers an output by a choice from another evaluation's tensors; gives that evaluation's
        own output where it has other shapes."""
        form = self.outputs[output]
        if form.data is None:
            return form.joined(form.of(chosen), shape)
        data = values[form.gathering.data]
        if data.shape != form.data.shape:
            return values[output]
        return form.joined(form.of(chosen, data), shape)

    def right(
        self, output: str, chosen: Array, own: Array, right: Array, shape: tuple[int, ...]
    ) -> Array:
        """Gives what is right for an output that was gathered by another choice.

        `right` is the oracle's output, gathered by its `own` choice: its slices are taken where it
        has them, those of this evaluation elsewhere.
        """
        form = self.outputs[output]
        result = form.of(chosen).astype(right.dtype)
        _, mine, theirs = np.intersect1d(chosen, own, return_indices=True)
        result[mine] = self.slices(output, {output: right})[theirs]
        return form.joined(result, shape)

    def slices(self, output: str, answer: Mapping[str, Array]) -> Array:
        """Gives the slices of an output in which a choice was found, (candidates, elements)."""
        split = self.outputs[output].split(answer[output])
        assert split is not None, "a choice is found only where there are slices"
        return split


@dataclass(frozen=True)
class Followed:
    """One operator's choice on all feeds, and the oracle's own."""

    feeds: tuple[FeedChoice, ...]
    oracle: Sequence[Values]
    own: tuple[Array, ...]
    """The candidates that the oracle's outputs hold, for each feed."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names the outputs that are gathered by it."""
        return tuple(self.feeds[0].outputs)

    def by_oracle(self) -> Taken:
        """Gives the oracle's own choice."""
        shapes = [{name: right[name].shape for name in self.outputs} for right in self.oracle]
        return Taken(self, self.own, shapes)

    def by(self, answers: Sequence[Mapping[str, Array]], feeds: Sequence[int]) -> Taken:
        """Finds the choice that the answers to some feeds show. It is the oracle's own for the
        other feeds, and where an answer shows no choice among equals."""
        own = self.by_oracle()
        chosen, shapes = list(own.chosen), list(own.shapes)
        for feed, answer in zip(feeds, answers, strict=True):
            shown = self.feeds[feed].of_answer(answer)
            if shown is not None:
                chosen[feed] = shown
                shapes[feed] = {name: answer[name].shape for name in self.outputs}
        return Taken(self, tuple(chosen), shapes)


@dataclass(frozen=True)
class Taken:
    """The outputs of one operator's choice, as somebody made it."""

    followed: Followed
    chosen: tuple[Array, ...]
    """The candidates of each feed."""
    shapes: Sequence[Mapping[str, tuple[int, ...]]]
    """The shapes of each feed's outputs."""

    @property
    def moved(self) -> int:
        """The number of slices that are not the oracle's own choice."""
        return sum(map(moved, self.chosen, self.followed.own))

    def right(self, output: str) -> tuple[Array, ...]:
        """Gives what is right for an output on each feed."""
        feeds = zip(self.followed.feeds, self.chosen, self.followed.own, strict=True)
        return tuple(
            choice.right(output, chosen, own, right[output], shapes[output])
            for (choice, chosen, own), right, shapes in zip(
                feeds, self.followed.oracle, self.shapes, strict=True
            )
        )

    def simulated(self, output: str, form: Sequence[Values], feeds: Sequence[int]) -> list[Array]:
        """Gathers an output of a simulation of these feeds: which of equals it chose itself is no
        error of its numbers."""
        return [
            self.followed.feeds[feed].gathered(
                output, self.chosen[feed], values, self.shapes[feed][output]
            )
            for feed, values in zip(feeds, form, strict=True)
        ]


def followed(
    chooser: Chooser,
    gathered: Mapping[str, Gathering],
    exact: Sequence[Values],
    plain: Sequence[Sequence[Values]],
    oracle: Sequence[Values],
) -> Followed | None:
    """Follows an operator's choice on all feeds; None where it cannot be, or where the oracle's
    outputs, which may be those of a PyTorch module, hold none that it could have made.

    `exact` are the file's tensors for each feed in float64, `plain` those of each float32
    evaluation.
    """
    feeds = of_feeds(chooser, gathered, exact, plain)
    if not feeds:
        return None
    own = [choice.of_answer(right) for choice, right in zip(feeds, oracle, strict=True)]
    known = tuple(each for each in own if each is not None)
    return Followed(feeds, oracle, known) if len(known) == len(feeds) else None


def of_feeds(
    chooser: Chooser,
    gathered: Mapping[str, Gathering],
    exact: Sequence[Values],
    plain: Sequence[Sequence[Values]],
) -> tuple[FeedChoice, ...] | None:
    """Follows an operator's choice on each feed, to the outputs where it can be seen; None where
    there are none (C4).

    `exact` are the tensors of each feed in float64, `plain` those of each float32 evaluation.
    """
    alike = [
        form
        for form in plain
        if all(_alike(each, right, chooser) for each, right in zip(form, exact, strict=True))
    ]
    close, close_overlap = (HONEST * noise for noise in _noise(chooser, exact, alike))
    feeds = [_of_feed(chooser, gathered, values, close, close_overlap) for values in exact]
    known = [choice for choice in feeds if choice is not None]
    outputs = [name for name in gathered if all(name in choice.outputs for choice in known)]
    if len(known) < len(feeds) or not outputs:
        return None
    return tuple(
        replace(choice, outputs={name: choice.outputs[name] for name in outputs})
        for choice in known
    )


def moved(chosen: Array, own: Array) -> int:
    """Counts the slices of another choice."""
    if chosen.size == own.size:
        return int(np.count_nonzero(chosen != own))
    return int(np.setxor1d(chosen, own).size)


def _of_feed(
    chooser: Chooser,
    gathered: Mapping[str, Gathering],
    values: Values,
    close: float,
    close_overlap: float,
) -> FeedChoice | None:
    logits = values[chooser.choice.tensor].astype(np.float64)
    candidates = Candidates(chooser.choice, logits)
    chosen = candidates.numbers(values[chooser.indices])
    followed = {
        name: slices(candidates, gathering, values, values[name], chosen)
        for name, gathering in gathered.items()
    }
    outputs = {name: each for name, each in followed.items() if each is not None}
    way: Ties | Replay = Ties(candidates, chosen, close)
    if chooser.suppression is not None:
        boxes = values[chooser.suppression.boxes]
        way = Replay(chooser.suppression, boxes, logits, close, close_overlap)
    again = way.follow(chosen.size, partial(_the_same, chosen))
    if again is None:
        return None
    return FeedChoice(candidates, way, chosen, again[1], outputs)


def _the_same(chosen: Array, place: int, candidates: Array) -> int | None:
    return int(chosen[place]) if chosen[place] in candidates else None


def _alike(values: Values, right: Values, chooser: Chooser) -> bool:
    """Says whether two evaluations have the tensors that are chosen from in one shape."""
    names = [name for name in chooser.tensors() if name != chooser.indices]
    return all(values[name].shape == right[name].shape for name in names)


def _noise(
    chooser: Chooser, exact: Sequence[Values], plain: Sequence[Sequence[Values]]
) -> tuple[float, float]:
    """The largest RMS error of a float32 evaluation in the logits, and in the overlaps of boxes."""
    pairs = [list(zip(form, exact, strict=True)) for form in plain]
    close = (_rms([_errors(*pair, chooser.choice.tensor) for pair in form]) for form in pairs)
    overlaps = (_rms([_overlap_errors(*pair, chooser) for pair in form]) for form in pairs)
    return max(close, default=0.0), max(overlaps, default=0.0)


def _errors(plain: Values, exact: Values, tensor: str) -> Array:
    mine, right = plain[tensor], exact[tensor]
    # Masked logits are infinite in both, and no error.
    finite = np.isfinite(right) & np.isfinite(mine)
    return mine[finite].astype(np.float64) - right[finite]


def _overlap_errors(plain: Values, exact: Values, chooser: Chooser) -> Array:
    if chooser.suppression is None:
        return np.zeros(0)
    boxes, chosen = chooser.suppression.boxes, exact[chooser.indices]
    return chooser.suppression.overlap_errors(exact[boxes], plain[boxes], chosen)


def _rms(errors: Sequence[Array]) -> float:
    pooled = np.concatenate(errors) if errors else np.zeros(0)
    return float(np.sqrt(np.mean(pooled**2))) if pooled.size else 0.0


def _each_once(result: Array, own: Array, length: int) -> Array:
    """Keeps the right choice in the rows in which a candidate would be chosen more often: that is
    no choice among equals."""
    numbers, counts = np.unique(result, return_counts=True)
    twice = np.isin(result // length, numbers[counts > 1] // length)
    return np.where(twice, own, result)
