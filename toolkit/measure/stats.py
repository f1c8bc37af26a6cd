"""Turns samples into numbers: the interval of a ratio, what may be said of it, percentiles.

The unit is the generation: one set of freshly started processes gives one log ratio for each pair
of targets (`effect`). Two processes of the same program differ by about 1.2 %, however long each
is measured (T. Kalibera, L. Bulej, P. Tuma, *Benchmark Precision and Random Initial State*, 2005),
so an interval over rounds or calls of one process would be far too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from toolkit.units import percent

FEWEST = 6
"""Generations below which no interval is given: at 95 % none exists for five (2 / 2⁵ > 0.05)."""
MARGIN = 0.01
"""A difference below this is said to be small: no two builds of a program agree any better."""


def effect(base: Sequence[float], target: Sequence[float]) -> float:
    """Returns one generation's log ratio target / base: the median over its rounds.

    `base` and `target` hold the medians of the blocks, one a round, in the same order. Pairing
    cancels what both blocks of a round share: the state of the core at that moment (L. Bulej et
    al., *Duet Benchmarking*, ICPE 2020).
    """
    if len(base) != len(target) or not base:
        raise ValueError(f"{len(base)} blocks of the baseline, {len(target)} of the target")
    return float(np.median(np.log(np.asarray(target) / np.asarray(base))))


@dataclass(frozen=True)
class Interval:
    """A ratio of latencies (below 1: faster than the baseline) with its confidence interval."""

    estimate: float
    low: float
    high: float
    n: int
    """The number of generations behind it."""

    @property
    def half_width(self) -> float:
        """Half the interval's length on the log scale: 0.01 is ±1 %."""
        return math.log(self.high / self.low) / 2

    @property
    def excludes_one(self) -> bool:
        """True where the interval shows a difference."""
        return self.low > 1 or self.high < 1

    @property
    def largest(self) -> float:
        """The largest difference from 1 that lies inside: 0.02 for 0.985 to 1.02."""
        return max(abs(self.high - 1), abs(1 - self.low))


def hodges_lehmann(effects: Sequence[float], alpha: float) -> Interval | None:
    """Estimates a ratio by the median of the Walsh averages, with the exact signed-rank interval.

    `effects` are log ratios, one a generation. Coverage is at least 1 - alpha for any symmetric
    distribution (J. Hodges, E. Lehmann 1963; M. Hollander, D. Wolfe, *Nonparametric Statistical
    Methods*, 3.3). None where there are fewer than six, or too few for this alpha.
    """
    edge = critical_value(len(effects), alpha)
    if len(effects) < FEWEST or edge is None:
        return None
    averages = walsh_averages(effects)
    return Interval(
        estimate=math.exp(np.median(averages)),
        low=math.exp(averages[edge]),
        high=math.exp(averages[-1 - edge]),
        n=len(effects),
    )


def median_interval(values: Sequence[float], alpha: float) -> tuple[float, float] | None:
    """Returns the exact interval of the median: two of the values, by the sign test.

    `values` are one a generation. Coverage is at least 1 - alpha for any distribution, symmetric or
    not (W. Thompson 1936; M. Hollander, D. Wolfe, *Nonparametric Statistical Methods*, 3.6): the
    latencies of a core with fast and slow states are not, and nothing is paired here that would
    make them so. None where there are fewer than six, or too few for this alpha.

    >>> median_interval([5.0, 1.0, 3.0, 2.0, 6.0, 4.0], 0.05), median_interval(range(5), 0.05)
    ((1.0, 6.0), None)
    """
    count = len(values)
    cut, ways, below = 0, 1, 1
    # At most `cut` of the values lie below the median in `below` of 2ⁿ cases; in whole numbers, as
    # a record may hold more process starts than a float holds cases.
    while 2 * below <= Fraction(alpha) * 2**count and cut < count:
        ways = ways * (count - cut) // (cut + 1)
        below += ways
        cut += 1
    if count < FEWEST or not cut:
        return None
    ordered = sorted(values)
    return ordered[cut - 1], ordered[-cut]


def pseudomedian(effects: Sequence[float]) -> float:
    """Returns the Hodges-Lehmann estimate alone, as a ratio: for runs too short for an interval."""
    return math.exp(float(np.median(walsh_averages(effects))))


def walsh_averages(effects: Sequence[float]) -> NDArray[np.float64]:
    """Returns the averages of all pairs, sorted; each value is paired with itself too: n (n + 1) /
    2."""
    values = np.asarray(effects, dtype=np.float64)
    first, second = np.triu_indices(len(values))
    averages: NDArray[np.float64] = np.sort((values[first] + values[second]) / 2)
    return averages


def signed_rank_tail(n: int) -> NDArray[np.float64]:
    """Computes P(T ≤ k) of Wilcoxon's signed-rank statistic for k = 0 … n (n + 1) / 2, exactly.

    Rank r adds r or nothing with a chance of one half each: n convolutions with (1 + x^r) / 2
    (F. Wilcoxon 1945; C. van de Wiel, A. Di Bucchianico 2001 for the generating function).
    """
    chances = np.zeros(n * (n + 1) // 2 + 1)
    chances[0] = 1.0
    for rank in range(1, n + 1):
        chances[rank:] += chances[:-rank].copy()
        chances /= 2
    return np.cumsum(chances)


def critical_value(n: int, alpha: float) -> int | None:
    """Returns the largest c with P(T ≤ c) ≤ alpha / 2; None where even P(T = 0) is larger.

    >>> critical_value(10, 0.05), critical_value(10, 0.04), critical_value(5, 0.05)
    (8, 7, None)
    """
    below = int(np.searchsorted(signed_rank_tail(n), alpha / 2, side="right"))
    return below - 1 if below else None


def shift(first: Sequence[float], second: Sequence[float], alpha: float) -> Interval | None:
    """Estimates how much larger the second sample's log ratios are, as a ratio, with its interval.

    The samples are not paired, and have one value a generation: this is the median of all
    differences, with the exact interval of the Mann-Whitney test (J. Hodges, E. Lehmann 1963; M.
    Hollander, D. Wolfe, *Nonparametric Statistical Methods*, 4.2). None where a sample has fewer
    than six."""
    if min(len(first), len(second)) < FEWEST:
        return None
    differences = np.sort(np.subtract.outer(np.asarray(second), np.asarray(first)).ravel())
    below = int(np.searchsorted(rank_sum_tail(len(first), len(second)), alpha / 2, side="right"))
    if not below:
        return None
    return Interval(
        estimate=math.exp(np.median(differences)),
        low=math.exp(differences[below - 1]),
        high=math.exp(differences[-below]),
        n=min(len(first), len(second)),
    )


def rank_sum_tail(m: int, n: int) -> NDArray[np.float64]:
    """Computes P(U ≤ k) of the Mann-Whitney statistic for k = 0 … m n, exactly.

    The counts are the coefficients of the Gaussian binomial: the product over i = 1 … m of
    (1 - x^(n + i)) / (1 - x^i) (H. Mann, D. Whitney 1947). In whole numbers: they grow to 10⁴⁷.
    """
    counts = [1, *[0] * (m * n)]
    for i in range(1, m + 1):
        for k in range(m * n, n + i - 1, -1):
            counts[k] -= counts[k - n - i]
        for k in range(i, m * n + 1):
            counts[k] += counts[k - i]
    total = math.comb(m + n, m)
    below, tail = 0, []
    for count in counts:
        below += count
        tail.append(below / total)
    return np.array(tail)


def starts_needed(pairs: int, alpha: float) -> int:
    """Counts the generations that the exact test needs to show any of so many pairs to differ.

    The smallest p that n generations can give is 2 / 2ⁿ, and Holm asks for alpha / pairs.

    >>> starts_needed(1, 0.05), starts_needed(4, 0.05), starts_needed(24, 0.04)
    (6, 8, 11)
    """
    return max(FEWEST, 1 + math.ceil(math.log2(max(pairs, 1) / alpha)))


def signed_rank_p(effects: Sequence[float]) -> float:
    """Computes the exact two-sided p-value of 'the ratio is 1', dual to `hodges_lehmann`.

    The statistic is counted over Walsh averages (J. Tukey 1949) with those at 0 on both sides, so
    that p ≤ alpha exactly where the interval at alpha excludes 1, with ties too.
    """
    averages = walsh_averages(effects)
    smaller = min(np.count_nonzero(averages <= 0), np.count_nonzero(averages >= 0))
    return min(1.0, 2 * float(signed_rank_tail(len(effects))[smaller]))


def holm(ps: Sequence[float]) -> list[float]:
    """Adjusts p-values for their number: the k-th smallest of m is multiplied by m - k + 1.

    They keep their order, and none falls below a smaller one. S. Holm, *A Simple Sequentially
    Rejective Multiple Test Procedure*, 1979.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted = [0.0] * len(ps)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        largest = max(largest, min(1.0, ps[index] * (len(ps) - rank)))
        adjusted[index] = largest
    return adjusted


class Outcome(StrEnum):
    """The things that may be said of a pair. None is 'equal': no measurement shows that."""

    DIFFERENT = "different"
    NOT_SHOWN = "no difference found"
    UNDECIDABLE = "not enough process starts for so many pairs"
    TOO_FEW = "not enough process starts: no interval"


@dataclass(frozen=True)
class Comparison:
    """One target against the baseline, among all the pairs of the run."""

    ratio: float
    """The latency of the target by that of the baseline; below 1: faster."""
    interval: Interval | None
    p: float | None
    """The p-value, adjusted for the number of pairs; None without an interval."""
    outcome: Outcome
    pairs: int = 1

    @property
    def words(self) -> str:
        """The outcome for a reader, with what it could hide.

        An outcome 'no difference found' beside an interval that excludes 1 happens with several
        pairs: the interval is this pair's own, the outcome had to hold for all of them.
        """
        if self.interval is None or self.outcome is Outcome.TOO_FEW:
            return Outcome.TOO_FEW
        if self.outcome is Outcome.DIFFERENT:
            small = self.interval.largest <= MARGIN
            return f"different, by less than {percent(MARGIN, 1)}" if small else "different"
        if self.outcome is Outcome.UNDECIDABLE:
            few = f"{self.interval.n} process starts"
            return f"not decided: {few} are too few for {self.pairs} pairs"
        among = f" among {self.pairs} pairs" if self.interval.excludes_one else ""
        limit = percent(self.interval.largest)
        return f"no difference found{among}; one of up to {limit} could be hidden"


def compare(pairs: Sequence[Sequence[float]], alpha: float) -> list[Comparison]:
    """Compares every target with the baseline; `pairs` holds the effects of each, one a generation.

    Two error rates are kept apart. Each interval covers its own ratio with 1 - alpha. The outcome
    'different' is by Holm over all pairs: the chance that any of them is said wrongly is at most
    alpha. Holm gives no intervals of its own that help a reader (those that fit it are one-sided:
    K. Strassburger, F. Bretz 2008), so the p-values are adjusted and the intervals are not.
    """
    intervals = [hodges_lehmann(effects, alpha) for effects in pairs]
    tested = [signed_rank_p(e) for e, i in zip(pairs, intervals, strict=True) if i is not None]
    adjusted = iter(holm(tested))
    return [
        _comparison(effects, interval, next(adjusted) if interval else None, alpha, len(tested))
        for effects, interval in zip(pairs, intervals, strict=True)
    ]


def _comparison(
    effects: Sequence[float], interval: Interval | None, p: float | None, alpha: float, pairs: int
) -> Comparison:
    ratio = pseudomedian(effects) if len(effects) else math.nan
    if p is None:
        return Comparison(ratio, interval, p, Outcome.TOO_FEW, pairs)
    return Comparison(ratio, interval, p, _outcome(effects, interval, p, alpha, pairs), pairs)


def _outcome(
    effects: Sequence[float], interval: Interval | None, p: float, alpha: float, pairs: int
) -> Outcome:
    if p <= alpha:
        return Outcome.DIFFERENT
    few = len(effects) < starts_needed(pairs, alpha)
    if few and interval is not None and interval.excludes_one:
        return Outcome.UNDECIDABLE  # It may well be different, and could not have been shown.
    return Outcome.NOT_SHOWN


def quantile(samples: Iterable[float] | NDArray[np.generic], q: float) -> float:
    """Returns the sample quantile, linear between order statistics (type 7: Hyndman, Fan 1996)."""
    values = samples if isinstance(samples, np.ndarray) else list(samples)
    return float(np.quantile(np.asarray(values, dtype=np.float64), q))


def samples_needed(q: float, confidence: float = 0.99, exceedances: int = 1) -> int:
    """Counts the calls that it takes to carry the q-quantile.

    It is the smallest n at which so few of n calls lie above the q-quantile with a chance of at
    most 1 - confidence: MLPerf's early-stopping bound (MLCommons inference rules; V. J. Reddi et
    al., ISCA 2020). It assumes independent calls; states of the machine make it a lower bound.

    >>> samples_needed(0.99), samples_needed(0.9, 0.95)
    (662, 46)
    """
    low, high = exceedances, 2 * exceedances + 2
    while _few_above(high, q, exceedances) > 1 - confidence:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        if _few_above(middle, q, exceedances) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def _few_above(n: int, q: float, most: int) -> float:
    """Computes the chance that at most `most` of n calls lie above the q-quantile."""
    return math.fsum(math.comb(n, k) * (1 - q) ** k * q ** (n - k) for k in range(most + 1))


@dataclass(frozen=True)
class Missing:
    """Stands for a percentile for which there are too few samples."""

    samples: int
    """The number of samples that are missing."""


def percentile(samples: Sequence[float] | NDArray[np.generic], q: float) -> float | Missing:
    """Returns the q-quantile, or how many samples are missing for it. A median needs one sample."""
    needed = samples_needed(q) if q > 0.5 else 1
    if len(samples) < needed:
        return Missing(needed - len(samples))
    return quantile(samples, q)
