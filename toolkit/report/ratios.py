"""Ratios of two targets, paired block by block, in words.

The unit is the process start: `toolkit.measure.stats` gives one effect for each and the interval
over them. A record says latencies; a reader asks who is faster: so a ratio here is turned over.
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
    """The ratio of each target to `base`, but of those that never ran beside it.

    'Faster' and 'slower' are said only where they hold for all these targets taken together.
    """
    found = {one: effects(run, case, base, one) for one in targets if one != base}
    paired = {one: values for one, values in found.items() if values}
    compared = compare(list(paired.values()), run.plan.alpha)
    return {
        one: ratio(made, len(values))
        for (one, values), made in zip(paired.items(), compared, strict=True)
    }


def beside_the_first(run: Run, case: int, first: int, others: Sequence[int]) -> dict[int, Ratio]:
    """The ratio of each of `others` to the one that came out fastest.

    Which one that is the data themselves have said, so each is taken as one of all pairs of these
    targets: against a leader that was picked afterwards, fewer would find false differences. So
    many targets may have more pairs than an exact test of so few process starts can ever decide;
    then each is taken as one of those with the leader, which is enough for the claim that it is the
    best of them (J. Hsu, *Constrained Simultaneous Confidence Intervals for Multiple Comparisons
    with the Best*, 1984).
    """
    led = {one: effects(run, case, first, one) for one in others}
    paired = {one: values for one, values in led.items() if values}
    rest = [effects(run, case, a, b) for a, b in itertools.combinations(others, 2)]
    family = [*paired.values(), *filter(None, rest)]
    if not decidable(family, run.plan.alpha):
        family = [*paired.values()]
    compared = compare(family, run.plan.alpha)
    return {
        one: ratio(made, len(values))
        for (one, values), made in zip(paired.items(), compared, strict=False)
    }


def decidable(pairs: Sequence[Sequence[float]], alpha: float) -> bool:
    """Whether the smallest p that the exact test can give stands the adjustment for so many."""
    fewest = min((len(values) for values in pairs), default=0)
    return fewest >= starts_needed(len(pairs), alpha)


def through_the_baseline(first: Ratio, other: Ratio) -> Ratio | None:
    """The ratio of `first` to `other`, which were never alive together, from those to the baseline
    that each was paired with; None below 6 process starts.

    Its interval is from end to end of theirs: wider than a paired one, and never too narrow.
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
        different=high < 1 and not undecidable,
        undecidable=undecidable,
    )


def ratio(made: Comparison, starts: int) -> Ratio:
    """From latency target / base to how many times faster, with its words."""
    interval = made.interval
    return Ratio(
        middle=1 / made.ratio,
        low=1 / interval.high if interval else None,
        high=1 / interval.low if interval else None,
        starts=starts,
        text=words(made),
        different=made.outcome is Outcome.DIFFERENT,
        undecidable=made.outcome is Outcome.UNDECIDABLE,
    )


def words(made: Comparison) -> str:
    """'1.23× faster (1.21 to 1.25)', or what is not excluded where no difference is shown."""
    if made.interval is None:
        faster = made.ratio <= 1
        times = 1 / made.ratio if faster else made.ratio
        return f"{significant(times)}× {direction(faster)}, no interval"
    if made.outcome is Outcome.UNDECIDABLE:
        return f"{interval_words(made.interval)} by itself, {made.words}"
    if made.outcome is not Outcome.DIFFERENT:
        return made.words
    small = f", by less than {percent(MARGIN, 1)}" if made.interval.largest <= MARGIN else ""
    return f"{interval_words(made.interval)}{small}"


def direction(faster: bool) -> str:
    return "faster" if faster else "slower"


def interval_words(i: Interval) -> str:
    """'1.23× faster (1.21 to 1.25)': places enough that an interval without 1 in it shows none."""
    faster = i.estimate < 1
    around = Spread(i.estimate, i.low, i.high)
    times = Spread(1 / i.estimate, 1 / i.high, 1 / i.low) if faster else around
    places = decimals(times)
    while float(f"{times.low:.{places}f}") <= 1 < times.low and places < 6:
        places += 1
    middle, low, high = (f"{v:.{places}f}" for v in (times.middle, times.low, times.high))
    return f"{middle}× {direction(faster)} ({low} to {high})"
