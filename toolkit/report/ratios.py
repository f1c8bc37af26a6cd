"""Estimates the ratios of two targets, paired block by block, and puts them into words.

The unit is the process start: `toolkit.measure.stats` gives one effect for each and the interval
over them. Statistics divide latencies, a reader asks who is faster: so a `Ratio` is their inverse.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from toolkit.measure.stats import (
    MARGIN,
    Comparison,
    Interval,
    Outcome,
    compare,
    starts_needed,
)
from toolkit.records.pairing import effects
from toolkit.records.schema import Run
from toolkit.report.view import Ratio
from toolkit.report.words import Spread, decimals
from toolkit.units import percent, significant


def against(run: Run, case: int, base: int, targets: Sequence[int]) -> dict[int, Ratio]:
    """The ratio of each target to `base`, by its index; none for those that never ran beside it.

    'Faster' and 'slower' are said only where they hold for all these targets taken together.
    """
    logs = {target: effects(run, case, base, target) for target in targets if target != base}
    paired = {target: values for target, values in logs.items() if values}
    comparisons = compare(list(paired.values()), run.plan.alpha)
    return {
        target: ratio(comparison, len(values))
        for (target, values), comparison in zip(paired.items(), comparisons, strict=True)
    }


def beside_the_first(run: Run, case: int, first: int, others: Sequence[int]) -> dict[int, Ratio]:
    """The ratio of each of `others` to the one that came out fastest, by its index.

    Which one that is the data themselves have said, so each is taken as one of all pairs of these
    targets: against a leader that was picked afterwards, fewer would find false differences. So
    many targets may have more pairs than an exact test of so few process starts can ever decide;
    then each is taken as one of those with the leader, which is enough for the claim that it is the
    best of them (J. Hsu, *Constrained Simultaneous Confidence Intervals for Multiple Comparisons
    with the Best*, 1984).
    """
    logs = {target: effects(run, case, first, target) for target in others}
    paired = {target: values for target, values in logs.items() if values}
    rest = [effects(run, case, a, b) for a, b in itertools.combinations(others, 2)]
    family = [*paired.values(), *filter(None, rest)]
    if not decidable(family, run.plan.alpha):
        family = [*paired.values()]
    comparisons = compare(family, run.plan.alpha)
    # Not strict: the comparisons of the rest stand behind those with the leader.
    return {
        target: ratio(comparison, len(values))
        for (target, values), comparison in zip(paired.items(), comparisons, strict=False)
    }


def decidable(pairs: Sequence[Sequence[float]], alpha: float) -> bool:
    """True where the exact test could show a difference of so many pairs.

    The smallest p that it can give for the shortest of `pairs` must stand Holm's adjustment.
    """
    fewest = min((len(values) for values in pairs), default=0)
    return fewest >= starts_needed(len(pairs), alpha)


def through_the_baseline(first: Ratio, other: Ratio) -> Ratio | None:
    """The ratio of two targets that were never alive together, from their ratios to the baseline.

    Its words say how much slower `other` is than `first`. None below 6 process starts. The interval
    is from end to end of the two: wider than a paired one, and never too narrow.
    """
    if first.low is None or first.high is None or other.low is None or other.high is None:
        return None
    low, high = other.low / first.high, other.high / first.low
    undecidable = first.undecidable or other.undecidable
    return Ratio(
        middle=other.middle / first.middle,
        low=low,
        high=high,
        starts=min(first.starts, other.starts),
        text=f"{significant(first.middle / other.middle)}× slower, through the baseline",
        # `first` is the faster one, so only one side can show a difference.
        different=high < 1 and not undecidable,
        undecidable=undecidable,
    )


def ratio(comparison: Comparison, starts: int) -> Ratio:
    """Turns latency target / base into how many times faster the target is, with its words."""
    interval = comparison.interval
    # Turned over, the upper end of the interval becomes the lower one.
    return Ratio(
        middle=1 / comparison.ratio,
        low=1 / interval.high if interval else None,
        high=1 / interval.low if interval else None,
        starts=starts,
        text=words(comparison),
        different=comparison.outcome is Outcome.DIFFERENT,
        undecidable=comparison.outcome is Outcome.UNDECIDABLE,
    )


def words(comparison: Comparison) -> str:
    """'1.23× faster (1.21 to 1.25)', or what could be hidden where no difference is found."""
    interval = comparison.interval
    if interval is None:
        faster = comparison.ratio <= 1
        times = 1 / comparison.ratio if faster else comparison.ratio
        return f"{significant(times)}× {_direction(faster)}, no interval"
    if comparison.outcome is Outcome.UNDECIDABLE:
        return f"{interval_words(interval)} by itself, {comparison.words}"
    if comparison.outcome is not Outcome.DIFFERENT:
        return comparison.words
    small = f", by less than {percent(MARGIN, 1)}" if interval.largest <= MARGIN else ""
    return f"{interval_words(interval)}{small}"


def _direction(faster: bool) -> str:
    return "faster" if faster else "slower"


MOST_PLACES = 6
"""The most that are shown: an interval that ends within a millionth of 1 looks as if it held 1."""


def interval_words(interval: Interval, less: str = "faster", more: str = "slower") -> str:
    """'1.23× faster (1.21 to 1.25)', from an interval of latencies, or of what `less` and `more`
    say.

    It has places enough that an interval without 1 in it does not look as if it held 1.
    """
    faster = interval.estimate < 1
    around = Spread(interval.estimate, interval.low, interval.high)
    times = Spread(1 / around.middle, 1 / around.high, 1 / around.low) if faster else around
    places = decimals(times)
    while float(f"{times.low:.{places}f}") <= 1 < times.low and places < MOST_PLACES:
        places += 1
    middle, low, high = (f"{v:.{places}f}" for v in (times.middle, times.low, times.high))
    return f"{middle}× {less if faster else more} ({low} to {high})"
