"""What was kept of each example and target, and what a pair of targets makes of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from toolkit.data import intervals, metrics
from toolkit.data.examples import Examples, SeenPicture
from toolkit.data.intervals import Estimate
from toolkit.data.labellings import LabelKind, Labelling
from toolkit.data.looks import ALPHA
from toolkit.data.metrics import Metric
from toolkit.data.pictures import thumbnail
from toolkit.records.metrics import (
    LARGEST_PICTURE,
    LONGEST_TEXT,
    MOST_FLIPS,
    MOST_SHOWN,
    Flip,
    MetricDrop,
    MetricValue,
)
from toolkit.tensors import Array
from toolkit.units import number


@dataclass
class Column:
    """All that is kept of one target's answers: of each batch the rows of each metric."""

    target: int
    rows: list[list[Array]] = field(default_factory=list)
    """Metric → one array a batch, (examples, numbers kept)."""

    def add(self, kept: Sequence[Array]) -> None:
        """Takes the rows of one batch."""
        if not self.rows:
            self.rows = [[] for _ in kept]
        for so_far, rows in zip(self.rows, kept, strict=True):
            so_far.append(rows)

    def of(self, metric: int) -> Array:
        """The rows of one metric, (examples, numbers kept)."""
        so_far = self.rows[metric]
        if len(so_far) > 1:
            so_far[:] = [np.concatenate(so_far)]
        return so_far[0]


def values(column: Column, measured: Sequence[Metric]) -> list[MetricValue]:
    """The metrics of one target, each with its interval at 95 %."""
    return [_value(metric, column.of(place)) for place, metric in enumerate(measured)]


def _value(metric: Metric, rows: Array) -> MetricValue:
    is_counted = metric.proportion(rows)
    if is_counted:
        right = int(rows[:, 0].sum())
        span = intervals.wilson(right, len(rows), ALPHA)
    else:
        drawn = intervals.of_statistic(rows, metric.statistic, ALPHA, 0)
        # The resamples' own number and torchmetrics' may differ in the last bits (metrics M2).
        span = Estimate(metric.value(rows), drawn.low, drawn.high)
        least, most = (0.0, 1.0) if metric.is_share else (metric.least, math.inf)
        span = Estimate(span.middle, max(least, span.low), min(most, span.high))
    return MetricValue(
        name=metric.name,
        value=number(span.middle),
        low=number(span.low),
        high=number(span.high),
        is_share=metric.is_share,
        examples=len(rows),
        right=right if is_counted else None,
    )


def drops(
    columns: Mapping[int, Column],
    pairs: Sequence[tuple[int, int]],
    measured: Sequence[Metric],
    indices: Array,
    flips: Flips,
    alpha: float,
    seed: int,
) -> list[MetricDrop]:
    """Every metric of every pair; `indices` are the places of the examples, in their order."""
    return [
        _drop(
            metric, pair, columns[pair[0]].of(place), columns[pair[1]].of(place), indices, alpha,
            seed, flips.shown.get(pair, []) if place == choosing(measured) else [],
        )
        for pair in pairs
        for place, metric in enumerate(measured)
    ]  # fmt: skip


def _drop(
    metric: Metric,
    pair: tuple[int, int],
    old: Array,
    new: Array,
    indices: Array,
    alpha: float,
    seed: int,
    flips: Sequence[Flip],
) -> MetricDrop:
    before, after = metric.value(old), metric.value(new)
    lost = won = None
    p = None
    if metric.proportion(old) and metric.proportion(new):
        was, now = old[:, 0] == 1, new[:, 0] == 1
        lost, won = indices[was & ~now], indices[~was & now]
        span, p = intervals.of_shares(len(lost), len(won), len(old), alpha)
    else:
        changes = metric.changes(old, new)
        span = intervals.of_difference(
            old, new, metric.change, metric.statistic, changes, alpha, seed
        )
    return MetricDrop(
        metric=metric.name,
        is_share=metric.is_share,
        old=pair[0],
        new=pair[1],
        before=number(before),
        after=number(after),
        drop=number(span.middle),
        low=number(span.low),
        high=number(span.high),
        alpha=alpha,
        shown=span.excludes_zero,
        p=p,
        examples=len(old),
        lost=None if lost is None else len(lost),
        won=None if won is None else len(won),
        lost_examples=[] if lost is None else sorted(lost[:MOST_FLIPS].tolist()),
        won_examples=[] if won is None else sorted(won[:MOST_FLIPS].tolist()),
        flips=[*flips],
    )


def choosing(measured: Sequence[Metric]) -> int | None:
    """The first metric by which an example is right or wrong; None where there is none."""
    return next((place for place, metric in enumerate(measured) if metric.chooses), None)


@dataclass
class Flips:
    """The first examples of each pair that one of the two alone has right, by the first metric that
    can say so, as they look."""

    shown: dict[tuple[int, int], list[Flip]] = field(default_factory=dict)

    def look(
        self,
        indices: Array,
        labels: Array,
        columns: Sequence[Column],
        pairs: Sequence[tuple[int, int]],
        measured: Sequence[Metric],
        examples: Examples,
        labelling: Labelling | None,
        *,
        anonymous: bool,
    ) -> None:
        """Keeps those of the batch that was answered last."""
        place = choosing(measured)
        if place is None or labelling is None:
            return
        last = {column.target: column.rows[place][-1] for column in columns}
        for pair in pairs:
            if not {*pair} <= {*last}:
                continue
            shown = self.shown.setdefault(pair, [])
            old, new = last[pair[0]], last[pair[1]]
            for row in np.flatnonzero(old[:, 0] != new[:, 0])[: MOST_SHOWN - len(shown)]:
                index = int(indices[row])
                chosen = [_words(rows[row, 1], labelling, examples.classes) for rows in (old, new)]
                label = metrics.as_number(labelling, labels[row : row + 1])[0]
                text, picture = ("", b"") if anonymous else _look(examples, index)
                shown.append(
                    Flip(
                        example=index,
                        label=_words(label, labelling, examples.classes),
                        old=chosen[0],
                        new=chosen[1],
                        text=text,
                        picture=picture,
                    )
                )


def _look(examples: Examples, index: int) -> tuple[str, bytes]:
    seen = examples.seen(index)
    if isinstance(seen, SeenPicture):
        picture = thumbnail(seen)
        return "", picture if len(picture) <= LARGEST_PICTURE else b""
    return seen[:LONGEST_TEXT], b""


def _words(chosen: float, labelling: Labelling, classes: Sequence[str]) -> str:
    """A class, or several labels, by name where they have one."""
    if chosen == metrics.UNKNOWN or not math.isfinite(chosen):
        return "no number"
    if labelling.kind is LabelKind.MARKED:
        given = metrics.bits_of(int(chosen), labelling.classes)
        return " and ".join(_class(each, classes) for each in given) or "none"
    return _class(int(chosen), classes)


def _class(number: int, classes: Sequence[str]) -> str:
    return classes[number] if 0 <= number < len(classes) else str(number)
