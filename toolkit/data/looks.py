"""When a pass over labelled data may end, with the share of wrong decisions kept.

L1  Without a gate there is one look: all examples, or as many as the time allows, which does not
    depend on what they show.
L2  With a gate there are looks at fixed numbers of examples, each twice the one before. Each look
    has its own share of the 5 %, after the spending function of K. K. G. Lan and D. L. DeMets
    (Biometrika 1983) in the form after S. J. Pocock; the shares add up to 5 %. That the union of
    all looks errs in no more than that needs nothing but Bonferroni's inequality, so it holds for
    exact tests and for bootstraps alike, at the price of somewhat wider intervals.
L3  The last look, wherever the time ends, has all that was not spent.
L4  Several pairs of one pass share the 5 % equally.
L5  The examples are drawn in a random order: the first of a folder are all of one class.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from toolkit.data.intervals import Estimate

ALPHA = 0.05
FIRST = 256
"""The examples at the first look: fewer decide a drop of some percent only."""

Decision = Literal["holds", "fails", ""]


def decided(drop: Estimate, limit: float) -> Decision:
    """Whether a gate at `limit` is decided by the interval of a drop; '': it is not."""
    if drop.low > limit:
        return "fails"
    return "holds" if drop.high <= limit else ""


@dataclass
class Looks:
    """The looks of one pass."""

    count: int | None
    """The examples that there are; None: unknown, and there is one look."""
    gate: bool
    pairs: int = 1
    taken: int = 0
    _spent: float = field(default=0.0)

    @property
    def places(self) -> Sequence[int]:
        """The numbers of examples after which it may be looked, before the last."""
        if not self.gate or self.count is None:
            return ()
        steps = range(max(0, math.ceil(math.log2(max(1, self.count / FIRST)))))
        return [FIRST * 2**step for step in steps if FIRST * 2**step < self.count]

    @property
    def next_place(self) -> int:
        """The number of examples at the next look; 0: there is only the last."""
        return self.places[self.taken] if self.taken < len(self.places) else 0

    def due(self, done: int) -> bool:
        """Says whether it has to be looked once so many examples are done."""
        return 0 < self.next_place <= done

    def alpha(self, done: int, *, last: bool) -> float:
        """The share of misses of one interval at this look, which counts as taken (L2 to L4)."""
        share = 1.0 if last or not self.count else spending(done / self.count)
        own, self._spent = ALPHA * share - self._spent, ALPHA * share
        self.taken += 1
        return own / max(1, self.pairs)


def spending(share: float) -> float:
    """The part of alpha that is spent when this share of the examples was seen (Lan and DeMets).

    >>> spending(0.0), round(spending(0.5), 3), spending(1.0)
    (0.0, 0.62, 1.0)
    """
    return math.log(1 + (math.e - 1) * min(1.0, share))
