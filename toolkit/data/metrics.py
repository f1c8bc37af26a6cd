"""The metrics: what is kept of each example, and the number that all of them make.

M1  A metric keeps a few numbers of each example, its *row*, and never the outputs: a pass over any
    number of examples holds that much. AUC and mAP need every score and say where that is too much.
M2  What is shown of F1, AUC and mAP is computed by torchmetrics. The resamples of the bootstrap
    weight whole examples, which torchmetrics cannot; they are computed here, and a test holds both
    to the same numbers. All others are means, or a quotient of two sums.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from toolkit.data import extra
from toolkit.data.labellings import IGNORED, LabelKind, Labelling
from toolkit.data.request import is_code
from toolkit.errors import InputError, TargetError, unknown
from toolkit.sources import importing, source
from toolkit.sources.running import result
from toolkit.tensors import Array

MOST_SCORES = 5_000_000
"""Scores that AUC and mAP may keep, 20 MB a target: each resample goes through all of them."""
MOST_BITS = 52
"""Labels of an example that one number tells apart."""
UNKNOWN = -1.0
"""The chosen class of an example whose output is no number."""


@dataclass(frozen=True)
class Metric:
    """One metric of one labelling."""

    name: str
    """'accuracy', 'RMSE', 'user.py:score' …"""
    rows: Callable[[Mapping[str, Array], Array], Array]
    """(outputs, labels) of a batch → float64 (examples, numbers kept); the first is 1 or 0 where
    `chooses`, and the second the class that was chosen."""
    statistic: Callable[[Array, Array | None], float]
    """(rows, weights) → the metric; see `intervals.Statistic`."""
    is_share: bool = True
    """It lies between 0 and 1, is shown in percent, and a drop is a difference; else the drop is a
    share of the old value."""
    higher_is_better: bool = True
    chooses: bool = False
    """An example is right or wrong, so that flips can be told."""
    least: float = -math.inf
    """No value is below it."""
    is_ranked: bool = False
    """The order of the scores alone counts."""
    exact: Callable[[Array], float] | None = None
    """The metric by torchmetrics (M2)."""

    def change(self, old: float, new: float) -> float:
        """How much worse `new` is than `old`: a difference of shares, or a share of `old`."""
        drop = old - new if self.higher_is_better else new - old
        if self.is_share:
            return drop
        return drop / abs(old) if old else math.inf * drop if drop else 0.0

    def changes(self, old: Array, new: Array) -> Array:
        """By how much each example differs, (examples,): of a ranked metric the places that its
        scores have moved. Rounding that moves none is no difference."""
        if self.is_ranked:
            old, new = _as_ranks(old), _as_ranks(new)
        changed: Array = np.abs(new - old).sum(axis=1)
        return changed

    def value(self, rows: Array) -> float:
        """The metric of these examples."""
        return self.statistic(rows, None) if self.exact is None else self.exact(rows)

    def proportion(self, rows: Array) -> bool:
        """Says whether each example is simply right or wrong."""
        if self.chooses:
            return True
        return self.is_share and rows.shape[1] == 1 and bool(np.isin(rows, (0.0, 1.0)).all())


NAMES: dict[str, frozenset[LabelKind]] = {
    "accuracy": frozenset(
        (LabelKind.CLASSES, LabelKind.CHOSEN, LabelKind.BINARY, LabelKind.MARKED, LabelKind.TOKENS)
    ),
    "top5": frozenset((LabelKind.CLASSES,)),
    "f1": frozenset((LabelKind.CLASSES, LabelKind.CHOSEN, LabelKind.BINARY, LabelKind.MARKED)),
    "auc": frozenset((LabelKind.CLASSES, LabelKind.BINARY, LabelKind.MARKED)),
    "map": frozenset((LabelKind.CLASSES, LabelKind.BINARY, LabelKind.MARKED)),
    "rmse": frozenset((LabelKind.NUMBERS,)),
    "perplexity": frozenset((LabelKind.TOKENS,)),
}
"""Metric, as it is typed → the labels that have it."""
SCORED = ("f1", "auc", "map")
"""Metrics that torchmetrics computes."""


def demand_known(names: tuple[str, ...]) -> None:
    """Raises InputError for what is no metric, and EnvironmentFault where its package is missing:
    before anything runs."""
    for name in names:
        if not is_code(name) and name not in NAMES:
            raise InputError(
                f"--metric: {unknown('metric', name, NAMES)}",
                "--metric FILE.py:NAME    a function of yours: (outputs, labels) → scores",
            )
        if name in SCORED:
            extra.demand("torchmetrics", f"--metric {name}")
        if is_code(name):
            _function(name)


def usual(kind: LabelKind) -> str:
    """The metric of a labelling where none is named."""
    if kind is LabelKind.TOKENS:
        return "perplexity"
    return "rmse" if kind is LabelKind.NUMBERS else "accuracy"


def metric(name: str, labelling: Labelling | None) -> Metric:
    """The metric of a name. Raises InputError where such labels do not have it.

    `labelling` may be None for a function of the user's, which needs none.
    """
    if is_code(name):
        return _own(name)
    assert labelling is not None, "a metric by name belongs to a labelling"
    if labelling.kind not in NAMES[name]:
        fitting = [each for each, kinds in NAMES.items() if labelling.kind in kinds]
        raise InputError(
            f"--metric {name}: the labels and {labelling.output!r} are {labelling.kind}; these "
            f"have {' and '.join(fitting)}"
        )
    match name:
        case "accuracy" if labelling.kind is LabelKind.TOKENS:
            return Metric("accuracy of tokens", partial(_token_hits, labelling), _quotient)
        case "accuracy":
            return Metric("accuracy", partial(_hits, labelling), _mean, chooses=True)
        case "top5":
            if labelling.classes <= 5:
                raise InputError(f"--metric top5: the model has {labelling.classes} classes only")
            return Metric("top-5 accuracy", partial(_top5, labelling), _mean, chooses=True)
        case "f1":
            return Metric(
                "F1",
                partial(_pairs, labelling),
                _f1(labelling),
                exact=partial(_exact_f1, labelling),
            )
        case "auc":
            return _ranked("AUC", labelling, _auc, "auroc")
        case "map":
            return _ranked("mAP", labelling, _average_precision, "average_precision")
        case "rmse":
            return Metric(
                "RMSE",
                partial(_squares, labelling),
                _root,
                is_share=False,
                higher_is_better=False,
                least=0.0,
            )
        case _:
            return Metric(
                "perplexity", partial(_surprise, labelling), _perplexity, is_share=False,
                higher_is_better=False, least=1.0,
            )  # fmt: skip


# What is right or wrong


def _hits(labelling: Labelling, outputs: Mapping[str, Array], labels: Array) -> Array:
    chosen, wanted = _chosen(labelling, outputs[labelling.output]), as_number(labelling, labels)
    return np.stack([chosen == wanted, chosen], axis=1).astype(np.float64)  # (examples, 2)


def _chosen(labelling: Labelling, output: Array) -> Array:
    """The class that each example was given; of several labels, all of them as one number."""
    flat = output.reshape(len(output), -1)  # (examples, classes)
    if labelling.kind is LabelKind.CHOSEN:
        return flat[:, 0].astype(np.float64)
    broken = np.isnan(flat).any(axis=1)
    if labelling.kind is LabelKind.CLASSES:
        chosen = flat.argmax(axis=1).astype(np.float64)
    else:
        chosen = _bits(flat >= labelling.threshold)
    return np.where(broken, UNKNOWN, chosen)


def as_number(labelling: Labelling, labels: Array) -> Array:
    """The label of each example as one number; several labels as `bits_of` reads them."""
    flat = labels.reshape(len(labels), -1)
    return _bits(flat != 0) if labelling.kind is LabelKind.MARKED else flat[:, 0].astype(np.float64)


def _bits(given: Array) -> Array:
    """Labels as one number an example: bit i stands for label i."""
    if given.shape[1] > MOST_BITS:
        raise InputError(
            f"accuracy of {given.shape[1]} labels an example: {MOST_BITS} are the most",
            "--metric f1    is the mean over the labels",
        )
    numbers: Array = given @ (2.0 ** np.arange(given.shape[1]))
    return numbers


def bits_of(number: int, count: int) -> list[int]:
    """The labels that a number of `_bits` stands for."""
    return [bit for bit in range(count) if number >> bit & 1]


def _top5(labelling: Labelling, outputs: Mapping[str, Array], labels: Array) -> Array:
    scores, wanted = outputs[labelling.output], labels.reshape(-1)
    own = scores[np.arange(len(scores)), wanted][:, None]
    # Equal scores stand in the order of their classes, as for argmax.
    before = (scores > own) | ((scores == own) & (np.arange(scores.shape[1]) < wanted[:, None]))
    hit = (before.sum(axis=1) < 5) & ~np.isnan(scores).any(axis=1)
    return np.stack([hit, _chosen(labelling, scores)], axis=1).astype(np.float64)


# Means and quotients


def _mean(rows: Array, weights: Array | None) -> float:
    first = rows[:, 0]
    return float(first.mean()) if weights is None else float(first @ weights / weights.sum())


def _root(rows: Array, weights: Array | None) -> float:
    """The root of a mean: RMSE, of squares."""
    return math.sqrt(_mean(rows, weights))


def _quotient(rows: Array, weights: Array | None) -> float:
    """The sum of the first number by that of the second."""
    sums = rows.sum(axis=0) if weights is None else weights @ rows
    return float(sums[0] / sums[1]) if sums[1] else math.nan


def _squares(labelling: Labelling, outputs: Mapping[str, Array], labels: Array) -> Array:
    output = _numbers(labelling, outputs).reshape(len(labels), -1)
    squares: Array = (output - labels.reshape(len(labels), -1)) ** 2
    means: Array = squares.mean(axis=1, keepdims=True)
    return means


def _surprise(labelling: Labelling, outputs: Mapping[str, Array], labels: Array) -> Array:
    """The negative log-likelihood of each example's tokens, and how many count."""
    logits = _numbers(labelling, outputs)  # (examples, tokens, classes)
    counts = labels != IGNORED
    own = np.take_along_axis(logits, np.where(counts, labels, 0)[..., None], axis=-1)[..., 0]
    largest = logits.max(axis=-1)
    total = largest + np.log(np.exp(logits - largest[..., None]).sum(axis=-1))
    return np.stack([np.where(counts, total - own, 0.0).sum(axis=1), counts.sum(axis=1)], axis=1)


def _perplexity(rows: Array, weights: Array | None) -> float:
    mean = _quotient(rows, weights)
    return math.exp(mean) if mean < 700 else math.inf  # Beyond it there is no float64.


def _token_hits(labelling: Labelling, outputs: Mapping[str, Array], labels: Array) -> Array:
    counts = labels != IGNORED
    hits = (outputs[labelling.output].argmax(axis=-1) == labels) & counts
    return np.stack([hits.sum(axis=1), counts.sum(axis=1)], axis=1).astype(np.float64)


def _numbers(labelling: Labelling, outputs: Mapping[str, Array]) -> Array:
    """The output in float64. Raises TargetError where it has a NaN, which no mean survives."""
    output = outputs[labelling.output].astype(np.float64)
    if np.isnan(output).any():
        raise TargetError(f"it gives NaN in {labelling.output!r} for examples of the data")
    return output


# F1: pairs of classes


def _pairs(labelling: Labelling, outputs: Mapping[str, Array], labels: Array) -> Array:
    """The class that is right and the one that was given; of several labels, both of each."""
    output = _numbers(labelling, outputs).reshape(len(labels), -1)
    wanted = labels.reshape(len(labels), -1).astype(np.float64)
    if labelling.kind in (LabelKind.BINARY, LabelKind.MARKED):
        return np.concatenate([wanted, output >= labelling.threshold], axis=1)
    given = output.argmax(axis=1) if labelling.kind is LabelKind.CLASSES else output[:, 0]
    return np.stack([wanted[:, 0], given], axis=1)


def _f1(labelling: Labelling) -> Callable[[Array, Array | None], float]:
    def statistic(rows: Array, weights: Array | None) -> float:
        weights = np.ones(len(rows)) if weights is None else weights
        if labelling.kind in (LabelKind.BINARY, LabelKind.MARKED):
            wanted, given = np.split(rows, 2, axis=1)
            hits, sums = weights @ (wanted * given), weights @ (wanted + given)
        else:
            pairs, size = rows.astype(np.int64), int(rows.max()) + 1
            same = pairs[:, 0] == pairs[:, 1]
            hits = np.bincount(pairs[same, 0], weights[same], minlength=size)
            sums = sum(np.bincount(pairs[:, k], weights, minlength=size) for k in (0, 1))
        seen = sums > 0  # A class that neither is nor was given says nothing.
        # Twice the hits by the sum of what is and what was given: F1 of each class.
        return float((2 * hits[seen] / sums[seen]).mean()) if seen.any() else math.nan

    return statistic


def _exact_f1(labelling: Labelling, rows: Array) -> float:
    return _by_torchmetrics(labelling, "f1_score", *np.split(rows, 2, axis=1)[::-1])


# AUC and mAP: all scores


def _ranked(
    name: str, labelling: Labelling, of_one: Callable[[Array, Array, Array], float], function: str
) -> Metric:
    """A metric of the order of the scores, the mean over the classes."""

    def rows(outputs: Mapping[str, Array], labels: Array) -> Array:
        output = _numbers(labelling, outputs).reshape(len(labels), -1)
        if labelling.kind is LabelKind.CLASSES and not labelling.threshold:
            # Logits of two examples have no common scale; their probabilities have.
            output = np.exp(output - output.max(axis=1, keepdims=True))
            output /= output.sum(axis=1, keepdims=True)
        wanted = labels.reshape(len(labels), -1).astype(np.float64)
        return np.concatenate([wanted, output], axis=1)

    def statistic(kept: Array, weights: Array | None) -> float:
        weights = np.ones(len(kept)) if weights is None else weights
        wanted, scores = _taken_apart(labelling, kept)
        values = [
            of_one(_is_class(labelling, wanted, each), scores[:, each], weights)
            for each in range(scores.shape[1])
        ]
        known = [value for value in values if not math.isnan(value)]
        return sum(known) / len(known) if known else math.nan

    def exact(kept: Array) -> float:
        wanted, scores = _taken_apart(labelling, kept)
        return _by_torchmetrics(labelling, function, scores, wanted)

    return Metric(name, rows, statistic, is_ranked=True, exact=exact)


def demand_room(name: str, rows: Array, count: int | None) -> None:
    """Raises InputError where a metric would keep too many scores of `count` examples."""
    if name in ("AUC", "mAP") and rows.shape[1] * (count or len(rows)) > MOST_SCORES:
        raise InputError(
            f"{name} needs all scores at once: {count or len(rows):,} examples of "
            f"{rows.shape[1] - 1:,} are more than {MOST_SCORES:,}",
            "--metric accuracy    needs none of them",
        )


def _taken_apart(labelling: Labelling, kept: Array) -> tuple[Array, Array]:
    size = 1 if labelling.kind in (LabelKind.CLASSES, LabelKind.BINARY) else labelling.classes
    return kept[:, :size], kept[:, size:]


def _is_class(labelling: Labelling, wanted: Array, each: int) -> Array:
    is_one: Array = (
        wanted[:, 0] == each if labelling.kind is LabelKind.CLASSES else wanted[:, each] == 1
    )
    return is_one


def _ordered(wanted: Array, scores: Array, weights: Array) -> tuple[Array, Array]:
    """The weights with and without the class, summed up from the highest score down, at the end of
    each run of equal scores."""
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum((weights * wanted)[order])
    misses = np.cumsum((weights * ~wanted)[order])
    ends = np.r_[np.flatnonzero(np.diff(scores[order])), len(scores) - 1]
    return hits[ends], misses[ends]


def _auc(wanted: Array, scores: Array, weights: Array) -> float:
    hits, misses = _ordered(wanted, scores, weights)
    if not hits[-1] or not misses[-1]:
        return math.nan
    return float(np.trapezoid(np.r_[0, hits], np.r_[0, misses]) / (hits[-1] * misses[-1]))


def _average_precision(wanted: Array, scores: Array, weights: Array) -> float:
    hits, misses = _ordered(wanted, scores, weights)
    total = hits + misses
    if not hits[-1]:
        return math.nan
    steps = np.diff(np.r_[0, hits])
    precision = np.divide(hits, total, out=np.zeros_like(hits), where=total > 0)
    return float((steps * precision).sum() / hits[-1])


def _by_torchmetrics(labelling: Labelling, function: str, given: Array, wanted: Array) -> float:
    """The mean over the classes by torchmetrics."""
    import warnings

    import torch

    library = extra.module("torchmetrics.functional.classification", function)
    is_f1 = function == "f1_score"
    right = torch.from_numpy(np.ascontiguousarray(wanted)).long()
    # Its scores are probabilities: it would squash others by a sigmoid, by batch. Ranks are the
    # same for it, and lie within 0 and 1.
    scores = torch.from_numpy(np.ascontiguousarray(given if is_f1 else _as_ranks(given)))
    scores = scores.long() if is_f1 else scores
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # A class without an example: left out, as here.
        if labelling.kind is LabelKind.BINARY:
            value = getattr(library, f"binary_{function}")(scores[:, 0], right[:, 0])
        elif labelling.kind is LabelKind.MARKED:
            value = getattr(library, f"multilabel_{function}")(scores, right, labelling.classes)
        else:
            classes = labelling.classes or int(max(wanted.max(), given.max())) + 1
            value = getattr(library, f"multiclass_{function}")(
                scores[:, 0] if is_f1 else scores, right[:, 0], max(2, classes)
            )
    return float(value)


def _as_ranks(scores: Array) -> Array:
    """The place of each score in its column, 0 to 1; equal scores have one place."""
    columns = []
    for column in scores.T:
        values, places = np.unique(column, return_inverse=True)
        columns.append(places / max(1, len(values) - 1))
    return np.stack(columns, axis=1)


# The user's own


def _function(text: str) -> Any:
    """A function of the user's. Raises InputError where there is none."""
    named = source.parse(text)
    function = getattr(importing.module_of(named), named.attribute, None)
    if not callable(function):
        raise InputError(f"{named.name} is no function")
    return function


def _own(text: str) -> Metric:
    """A metric of the user's: its function gives a score for each example, and the metric is their
    mean. Its attribute `lower_is_better` turns it round."""
    function, name = _function(text), source.parse(text).name

    def rows(outputs: Mapping[str, Array], labels: Array) -> Array:
        scores = np.asarray(result(name, lambda: function(dict(outputs), labels)))
        if scores.shape != (len(labels),) or scores.dtype.kind not in "biuf":
            raise InputError(
                f"{name} gives {scores.dtype.name}{list(scores.shape)} for {len(labels)} examples, "
                "not one number each"
            )
        if not np.isfinite(scores).all():
            raise InputError(f"{name} gives a score that is no finite number")
        return scores.astype(np.float64)[:, None]

    return Metric(
        name, rows, _mean, is_share=bool(getattr(function, "is_share", False)),
        higher_is_better=not getattr(function, "lower_is_better", False),
    )  # fmt: skip
