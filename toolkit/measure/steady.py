"""Decides when a warm-up has ended: when the latency has become steady.

The rule: over the last half of the blocks so far, the fastest block of the first part is as fast as
that of the second part, within 2 %. It is a windowed comparison (A. Georges, D. Buytaert,
L. Eeckhout, OOPSLA 2007, 4.2: the last k iterations must agree) with two changes. The window is
not fixed but grows with what went before, as in P. Heidelberger and P. Welch (1983), so that a slow
decay needs a long look and a short one ends soon. And it compares minima, not the coefficient of
variation: a machine with a fast and a slow state (3.7 and 5.7 µs here) never satisfies the latter,
while its fastest blocks agree as soon as both parts have seen the fast state.

What no rule can see is a change that is still to come (E. Barrett et al., *Virtual Machine Warmup
Blows Hot and Cold*, OOPSLA 2017: one in ten runs has one). So the blocks that were measured are
looked at again: `slower_at_first`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np

from toolkit.measure.stats import Interval, hodges_lehmann
from toolkit.units import Seconds

State: TypeAlias = Literal["not yet", "steady", "never"]

TOLERANCE = math.log(1.02)
"""The log ratio up to which the fastest blocks of two parts agree: 2 %."""
FEWEST = 6
"""The blocks before the first look: each part of the last half then has one at least."""
SPAN: Seconds = 0.25
"""The least length of the last half in a first generation: a decay that takes seconds is then seen
(tried: from twice the latency, a time constant of 2 s leaves 1 %; with 0.025 s, 0.3 s is not
seen)."""
LATER_SPAN: Seconds = 0.025
"""The least length of the last half in later generations, of which it is known how they warm up."""
LIMIT: Seconds = 20.0
"""The longest warm-up: what still changes then is told in a warning."""
SHORTEST: Seconds = 0.1
"""The warm-up that is made even where the time is over: a few blocks."""
GROWTH = 1.1
"""The factor between looks: many looks at noise would find one that agrees."""
LATE = 0.01
"""The excess of the first third above which a generation is told to have warmed up too late."""


class WarmUp:
    """Watches the blocks of one worker as they come, and says when they have become steady."""

    def __init__(self, *, span: Seconds = SPAN, limit: Seconds = LIMIT) -> None:
        """`span` is the least length of the last half (see `later_span`), `limit` ends the
        warm-up."""
        self.span = span
        self.limit = limit
        self._ends: list[Seconds] = []
        self._medians: list[float] = []
        self._next = FEWEST

    def add(self, median: float, ended: Seconds) -> State:
        """Adds a block: the median of its calls in any unit, and its end since the warm-up
        began."""
        self._medians.append(median)
        self._ends.append(ended)
        if self._due() and self._agree():
            return "steady"
        return "never" if ended >= self.limit else "not yet"

    @property
    def after(self) -> Seconds:
        """Seconds until the latency first came near its steady level; 0: from the first block
        on."""
        level = min(self._medians[len(self._medians) // 2 :])
        near = (i for i, m in enumerate(self._medians) if math.log(m / level) <= 2 * TOLERANCE)
        first = next(near)
        return self._ends[first - 1] if first else 0.0

    def _due(self) -> bool:
        """True where it is time for a look."""
        count = len(self._medians)
        if count < self._next or self._ends[-1] - self._ends[count // 2 - 1] < self.span:
            return False
        self._next = math.ceil(count * GROWTH)
        return True

    def _agree(self) -> bool:
        last = self._medians[len(self._medians) // 2 :]
        middle = len(last) // 2
        return abs(math.log(min(last[:middle]) / min(last[middle:]))) <= TOLERANCE


def later_span(after: Seconds) -> Seconds:
    """Returns the span for later generations of a target that was steady `after` so long in its
    first.

    How a runtime warms up is a property of the runtime: the first generation looks long, the others
    warm up twice as long as that one took.
    """
    return max(LATER_SPAN, after)


def slower_at_first(generations: Sequence[Sequence[float]], alpha: float = 0.01) -> Interval | None:
    """Returns the ratio of the first to the last third of the rounds, where it is above 1.01 for
    sure.

    `generations` holds the blocks' medians in order. The machine's states fall on either third by
    chance, so they widen the interval over generations and do not move it. None: not shown.
    """
    effects = [_first_to_last(medians) for medians in generations if len(medians) >= 3]
    interval = hodges_lehmann(effects, alpha)
    return interval if interval is not None and interval.low > 1 + LATE else None


def _first_to_last(medians: Sequence[float]) -> float:
    third = len(medians) // 3
    return math.log(float(np.median(medians[:third])) / float(np.median(medians[-third:])))
