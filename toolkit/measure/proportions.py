"""Says how sure a share is that was counted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist


@dataclass(frozen=True)
class Proportion:
    """A share of 0 to 1, with its interval."""

    share: float
    low: float
    high: float


def proportion(count: int, of: int, alpha: float = 0.05) -> Proportion:
    """Estimates a share from `count` of `of`, with the score interval at 1 - `alpha`.

    E. Wilson, *Probable Inference, the Law of Succession, and Statistical Inference*, 1927; L.
    Brown, T. Cai, A. DasGupta, *Interval Estimation for a Binomial Proportion*, 2001, recommend it
    at any number of rows. It takes rows to be independent. Raises ValueError where nothing was
    counted, or more than there is.

    >>> counted = proportion(992, 1000)
    >>> [round(value, 4) for value in (counted.share, counted.low, counted.high)]
    [0.992, 0.9843, 0.9959]
    """
    if not 0 <= count <= of or of < 1:
        raise ValueError(f"{count} of {of} is no share")
    z = NormalDist().inv_cdf(1 - alpha / 2)
    share = count / of
    middle = (share + z**2 / (2 * of)) / (1 + z**2 / of)
    half = z / (1 + z**2 / of) * math.sqrt(share * (1 - share) / of + z**2 / (4 * of**2))
    # At both ends the formula gives the end itself, but for the last bits.
    return Proportion(
        share, 0.0 if count == 0 else middle - half, 1.0 if count == of else middle + half
    )
