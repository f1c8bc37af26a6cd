"""Computes how often something happened, and the bounds of the true rate."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rate:
    """`count` of `of` runs, with the exact binomial interval at 95 %.

    C. Clopper, E. Pearson, *The Use of Confidence or Fiducial Limits Illustrated in the Case of the
    Binomial*, 1934.
    """

    count: int
    of: int
    low: float
    high: float

    @property
    def text(self) -> str:
        """'3 of 100 (0.6 to 8.5 %)'."""
        return f"{self.count} of {self.of} ({100 * self.low:.1f} to {100 * self.high:.1f} %)"

    def at_most(self, goal: float) -> bool:
        """True where the interval does not exclude a true rate of at most `goal`."""
        return self.low <= goal

    def at_least(self, goal: float) -> bool:
        """True where the interval does not exclude a true rate of at least `goal`."""
        return self.high >= goal


def rate(count: int, of: int) -> Rate:
    """The rate of `count` in `of` runs. Raises ValueError where nothing was run."""
    if of == 0:
        raise ValueError("no runs: no rate")
    from scipy import stats  # A second of imports, which reading a table does not need.

    interval = stats.binomtest(count, of).proportion_ci(0.95, method="exact")
    return Rate(count, of, float(interval.low), float(interval.high))
