"""Says what an input may hold: spans of values, and what the values are together."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from toolkit.feeds.forms import Segment


@dataclass(frozen=True)
class Span:
    """The values from low to high; the ends themselves are left out where it is `open`."""

    low: float = -math.inf
    high: float = math.inf
    open: bool = False

    def within(self, other: Span) -> Span:
        """Gives the values that lie in both."""
        low, high = max(self.low, other.low), min(self.high, other.high)
        return Span(low, high, self.open or other.open)

    @property
    def empty(self) -> bool:
        """Says whether no value lies in it."""
        return self.low > self.high


@dataclass
class InputUse:
    """What an input may hold."""

    needed: dict[Segment | None, Span] = field(default_factory=dict)
    """Part of the input → the values that the graph has a result for; None: any part."""
    sensible: Span = Span()
    """The values that show something."""
    keeps: bool | None = None
    """It is a mask, and this value keeps what it masks."""
    ascending: int | None = None
    """The axis along which values do not decrease."""
    offsets: bool = False
    """They begin with 0 and do not decrease."""

    def span(self, part: Segment | None = None) -> Span:
        """The values that have a result and show something, of one part; of none, those of all that
        lies in no part with a span of its own."""
        needed = self.defined(part)
        both = needed.within(self.sensible)
        return needed if both.empty else both

    def defined(self, part: Segment | None = None) -> Span:
        """The values that have a result, of one part or of all others."""
        needed = self.needed.get(None, Span())
        return needed if part is None else needed.within(self.needed.get(part, Span()))

    @property
    def parts(self) -> list[Segment]:
        """The parts that have spans of their own."""
        return [part for part in self.needed if part is not None]
