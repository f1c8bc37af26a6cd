"""Intervals of metrics, and of the difference of two that were measured on the same examples.

I1  The share of examples that are right has Wilson's interval (E. B. Wilson, JASA 1927), which
    stays within 0 and 1 and holds near them, where the normal one does not.
I2  The difference of two such shares, paired, has Tango's score interval (T. Tango, Statistics in
    Medicine 1998). It is said to be there only where McNemar's exact test says so too (Q. McNemar,
    Psychometrika 1947; as a binomial test of the examples that one of the two alone has right):
    a score interval is a little too short where few examples differ.
I3  Everything else has the standard error of a paired bootstrap (B. Efron, R. Tibshirani, An
    Introduction to the Bootstrap, 1993, chapters 6 and 12): whole examples are drawn, the same for
    old and new. Its quantile is Student's, with one degree of freedom less than there are examples
    that differ: where three of ten thousand differ, three are what is known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from toolkit.tensors import Array

MOST_RESAMPLES = 1000
FEWEST_RESAMPLES = 200
"""Enough for a standard error (Efron and Tibshirani, section 6.4)."""
WORK = 2e8
"""Numbers that all resamples of one interval may go through: seconds."""

ROUNDING = 1e-12
"""An interval is no narrower: sums in another order differ by less."""

Statistic = Callable[[Array, Array | None], float]
"""(rows, weights) → the metric of these examples, each counted so often; None: once."""


@dataclass(frozen=True)
class Estimate:
    """A number with its interval; both ends are the number where no interval can be had."""

    middle: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


def quantile(alpha: float) -> float:
    """The two-sided quantile of the normal distribution."""
    from scipy import special

    return float(special.ndtri(1 - alpha / 2))


def wilson(right: int, count: int, alpha: float) -> Estimate:
    """The share of `right` among `count` examples (I1).

    >>> span = wilson(9, 10, 0.05)
    >>> round(span.low, 4), round(span.high, 4)
    (0.5958, 0.9821)
    """
    z2 = quantile(alpha) ** 2
    share = right / count
    centre = (right + z2 / 2) / (count + z2)
    half = math.sqrt(z2) / (count + z2) * math.sqrt(count * share * (1 - share) + z2 / 4)
    # At 0 and at all the end is the share itself, which rounding may miss.
    return Estimate(share, min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half)))


def mcnemar(lost: int, won: int) -> float:
    """The p-value of McNemar's exact test: `lost` examples the old one alone has right, `won` the
    new one alone.

    >>> mcnemar(5, 0), mcnemar(3, 3)
    (0.0625, 1.0)
    """
    from scipy import special

    return min(1.0, 2 * float(special.bdtr(min(lost, won), lost + won, 0.5)))


def tango(lost: int, won: int, count: int, alpha: float) -> Estimate:
    """The drop (lost - won) / count of a share, with its score interval (I2).

    >>> span = tango(lost=3, won=1, count=44, alpha=0.05)
    >>> round(span.low, 4), round(span.high, 4)
    (-0.0613, 0.1643)
    """
    z = quantile(alpha)
    drop = (lost - won) / count

    def score(at: float) -> float:
        b = -lost - won + (2 * count - lost + won) * at
        c = -won * at * (1 - at)
        least = (math.sqrt(max(0.0, b * b - 8 * count * c)) - b) / (4 * count)
        variance = count * (2 * least + at * (1 - at))
        distance = lost - won - count * at
        if variance <= 0:
            return 0.0 if distance == 0 else math.copysign(math.inf, distance)
        return distance / math.sqrt(variance)

    def end(outer: float, sign: float) -> float:
        inner = drop
        for _ in range(60):
            middle = (inner + outer) / 2
            if sign * score(middle) < z:
                inner = middle
            else:
                outer = middle
        return inner

    return Estimate(drop, end(-1.0, 1.0), end(1.0, -1.0))


def of_shares(lost: int, won: int, count: int, alpha: float) -> tuple[Estimate, float]:
    """The drop of a share with its interval, and McNemar's p-value; the interval reaches 0 where
    that test does not tell the two apart (I2)."""
    span, p = tango(lost, won, count, alpha), mcnemar(lost, won)
    if p >= alpha:
        span = Estimate(span.middle, min(span.low, 0.0), max(span.high, 0.0))
    return span, p


def of_statistic(rows: Array, statistic: Statistic, alpha: float, seed: int) -> Estimate:
    """A metric with its interval by the bootstrap (I3)."""
    values = [statistic(rows, weights) for weights in _resamples(rows, seed)]
    return _span(statistic(rows, None), values, len(rows), alpha)


def of_difference(
    old: Array,
    new: Array,
    change: Callable[[float, float], float],
    statistic: Statistic,
    changes: Array,
    alpha: float,
    seed: int,
) -> Estimate:
    """How much worse the new one is, `change` of both metrics, on the same examples (I3).

    `changes`: by how much each example differs, (examples,), in any unit.
    """
    middle = change(statistic(old, None), statistic(new, None))
    if not changes.any():
        return Estimate(middle, middle, middle)
    both = np.concatenate([rows.reshape(len(rows), -1) for rows in (old, new)], axis=1)
    values = [
        change(statistic(old, weights), statistic(new, weights))
        for weights in _resamples(both, seed)
    ]
    return _span(middle, values, effective(changes), alpha)


def effective(changes: Array) -> float:
    """How many examples that change alike would tell as much as these (I3).

    >>> effective(np.array([0, 2, 2, 2, 0])), round(effective(np.array([10, 1, 1])), 2)
    (3.0, 1.04)
    """
    squares = (changes / np.abs(changes).max()) ** 2
    return float(squares.sum() ** 2 / (squares**2).sum())


def _resamples(rows: Array, seed: int) -> Iterator[Array]:
    """How often each example is drawn, one resample after the other: all at once would be many
    times the data."""
    draw, count = np.random.default_rng([seed, len(rows)]), len(rows)
    for _ in range(int(min(MOST_RESAMPLES, max(FEWEST_RESAMPLES, WORK // max(1, rows.size))))):
        drawn = draw.integers(count, size=count)
        yield np.bincount(drawn, minlength=count).astype(np.float64)


def _span(middle: float, values: list[float], informing: float, alpha: float) -> Estimate:
    """The interval of a standard error; `informing` examples are what it is made from."""
    from scipy import special

    finite = np.array([value for value in values if math.isfinite(value)])
    # A resample without a positive example has no AUC; where many are such, there is no interval.
    if informing < 2 or len(finite) < 0.9 * len(values) or not math.isfinite(middle):
        return Estimate(middle, -math.inf, math.inf)
    half = float(special.stdtrit(informing - 1, 1 - alpha / 2) * finite.std(ddof=1))
    half = max(half, ROUNDING * max(1.0, abs(middle)))
    return Estimate(middle, middle - half, middle + half)
