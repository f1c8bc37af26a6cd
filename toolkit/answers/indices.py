"""Judges integers, booleans and strings, and the indices that ArgMax and TopK choose.

Shapes, ids and counts must be equal. An index may flip honestly: where the oracle holds two logits
nearly equal, a format's own error decides which is larger. Judged by the oracle's logits, so the
target itself is not changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from toolkit.answers.direction import Floats
from toolkit.answers.formats import ORDER, Precision
from toolkit.answers.rule import Fault, Finding, Named, joined
from toolkit.tensors import Array

HONEST = 6.0
"""A flip is honest up to so many times the format's RMS logit error. The largest honest one was 4.5
times, of 512 digits a seed in every format."""


@dataclass(frozen=True)
class Choice:
    """An integer output whose values are indices into a tensor of logits."""

    operator: str
    """'ArgMax', 'ArgMin', 'TopK' or 'NonMaxSuppression'."""
    tensor: str
    """The name of the logits: the operator's input."""
    axis: int
    """The axis of the logits along which it chooses; may be negative."""
    ordered: bool = True
    """False: TopK with sorted=0, whose order is free."""


@dataclass(frozen=True)
class Logits:
    """The logits of one feed, of one shape throughout."""

    oracle: Floats
    simulated: Mapping[Precision, Sequence[Array]]
    """Class → the logits of each of its simulations."""


@dataclass(frozen=True)
class _Margins:
    """The flips of one feed, (rows, k) for k indices chosen a row."""

    sizes: Floats
    """The distance between the oracle's logits at its own and at the target's index; 0: no flip."""
    flips: Array
    """The target chose another index."""
    valid: bool
    """Every index lies in the tensor, and none is chosen twice."""


def equal(answers: Sequence[Array], oracle: Sequence[Array]) -> tuple[Finding, Array]:
    """Judges what has no precision: it is the same everywhere, or wrong.

    Takes one array for each feed. Returns the finding and which elements differ, flat.
    """
    flips = np.concatenate([_differs(a, o).ravel() for a, o in zip(answers, oracle, strict=True)])
    changed, total = int(flips.sum()), flips.size
    if not changed:
        return Named(ORDER, f"equal in all {total:,}", exact=True), flips
    words = f"{changed:,} of {total:,} differ, which must be equal"
    return Fault("wrong", words, np.flatnonzero(flips)), flips


def _differs(answer: Array, wanted: Array) -> Array:
    """Compares element by element; float8 has NaN, which equals itself here."""
    return np.asarray((answer != wanted) & ((answer == answer) | (wanted == wanted)))


def judge(
    answers: Sequence[Array], oracle: Sequence[Array], logits: Sequence[Logits], choice: Choice
) -> tuple[Finding, Array]:
    """Finds the classes whose logit errors explain every flip; if none does, it is wrong.

    Takes one entry for each feed. Returns the finding and which indices flipped, flat.
    """
    feeds = zip(answers, oracle, logits, strict=True)
    margins = [_margins(a, o, x.oracle, choice) for a, o, x in feeds]
    sizes = np.concatenate([m.sizes.ravel() for m in margins])
    flips = np.concatenate([m.flips.ravel() for m in margins])
    changed, total = int(flips.sum()), flips.size
    if not all(m.valid for m in margins):
        return Fault("wrong", "indices outside the tensor, or chosen twice"), flips
    if not changed:
        return agreeing(total), flips
    errors = {c: _logit_error(logits, c) for c in ORDER}
    largest = float(sizes.max())
    names = tuple(c for c, e in errors.items() if e is not None and largest <= HONEST * e)
    words = f"{changed:,} of {total:,} indices differ"
    if "float32" in names:
        # Every lower format errs as much, whether it was simulated or not.
        words = f"{words}, a choice among equals within float32's noise"
        return Named(ORDER, words, proven=False, silent=True), flips
    if not names:
        words = f"{words}, where the oracle's logits are up to {largest:.2g} apart"
        return Fault("wrong", words), flips
    return Named(names, f"{words}, as near ties do in {joined(names)}", proven=False), flips


def agreeing(total: int) -> Named:
    """Gives the finding on so many indices that are all the oracle's."""
    return Named(ORDER, f"indices agree in all {total:,}", silent=True)


def _margins(answers: Array, oracle: Array, logits: Floats, choice: Choice) -> _Margins:
    if choice.operator == "NonMaxSuppression":
        return _selected(answers, oracle, logits)
    axis = choice.axis % logits.ndim
    rest = logits.shape[:axis] + logits.shape[axis + 1 :]
    rows = np.moveaxis(logits, axis, -1).reshape(-1, logits.shape[axis])  # (rows, classes)
    mine, theirs = (_chosen(a, rest, axis) for a in (answers, oracle))  # (rows, k)
    if mine.size and (mine.min() < 0 or mine.max() >= rows.shape[1]):
        return _Margins(np.zeros(mine.shape), mine != theirs, valid=False)
    gaps = np.diff(np.sort(mine, axis=1), axis=1)  # 0 where TopK chose an index twice
    values = [np.take_along_axis(rows, i, axis=1) for i in (mine, theirs)]
    if not choice.ordered:
        values = [np.sort(v, axis=1) for v in values]
    sizes = np.abs(values[0] - values[1])
    # Of the same logits in another order, only another set is a flip.
    flips = mine != theirs if choice.ordered else sizes != 0
    return _Margins(np.where(flips, sizes, 0.0), flips, bool((gaps != 0).all()))


def _selected(answers: Array, oracle: Array, scores: Floats) -> _Margins:
    """Compares selected boxes, (boxes, 3) of batch, class and box, by their scores, which are
    (batches, classes, boxes). They stand in the order of their scores, class by class."""
    mine, theirs = answers.astype(np.int64), oracle.astype(np.int64)
    flips = (mine != theirs).any(axis=1, keepdims=True)
    inside = bool(((mine >= 0) & (mine < scores.shape)).all())
    if not inside or len(np.unique(mine, axis=0)) < len(np.unique(theirs, axis=0)):
        return _Margins(np.zeros(flips.shape), flips, valid=False)
    apart = np.abs(scores[tuple(mine.T)] - scores[tuple(theirs.T)])
    # A box of another class is no choice among equals, whatever its score.
    elsewhere = (mine[:, :2] != theirs[:, :2]).any(axis=1)
    return _Margins(np.where(elsewhere, np.inf, apart)[:, None], flips, valid=True)


def logit_error(oracle: Sequence[Array], simulated: Sequence[Array]) -> float:
    """Gives the RMS error of an evaluation's logits over all feeds."""
    errors = [(a.astype(np.float64) - o).ravel() for a, o in zip(simulated, oracle, strict=True)]
    return float(np.sqrt(np.mean(np.concatenate(errors) ** 2)))


def _chosen(indices: Array, rest: tuple[int, ...], axis: int) -> Array:
    """Brings indices into the form (rows, k), in the order of the logits' rows."""
    k = indices.size // max(int(np.prod(rest)), 1)
    whole = indices.reshape(*rest[:axis], k, *rest[axis:])
    return np.moveaxis(whole, axis, -1).reshape(-1, k).astype(np.int64)


def _logit_error(logits: Sequence[Logits], precision: Precision) -> float | None:
    """Gives the largest RMS error of the class's simulations; None where none is finite."""
    forms = zip(*(x.simulated.get(precision, ()) for x in logits), strict=True)
    sizes = []
    for form in forms:
        size = logit_error([x.oracle for x in logits], form)
        sizes += [size] if np.isfinite(size) else []
    return max(sizes, default=None)
