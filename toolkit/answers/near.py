"""Says whether feeds can tell float32 from less, by the lower formats that are nearest to it.

The whole rule names every class that would err as much as the answers do (step 5). Where even the
forms of the least error (`simulate.NEAR`) err far more, no other one comes near, and none need be
simulated. That takes no more than the feeds with enough elements.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from toolkit.answers.formats import ORDER, Precision
from toolkit.answers.rule import BAND, FLOAT32_BORDER
from toolkit.tensors import Array

CLEAR = 4.0
"""How far above the answers' error the least lower band must begin. Another form may err less than
the near ones (by a factor of 1.5 on the networks of tests/answers), and other feeds than those
that they were made on. The least tf32 that was ever seen begins at 160 times the noise."""


@dataclass(frozen=True)
class Near:
    """The errors of the near forms at one output."""

    factors: Mapping[Precision, Sequence[float]]
    """Class → the RMS error of each of its forms, divided by float32's on the same feeds; empty:
    they could not be made, and nothing is clear."""

    def is_clear(self, factor: float) -> bool:
        """Says whether only float32 errs as little as this, in units of its noise."""
        least = min((min(sizes) for sizes in self.factors.values()), default=0.0)
        return BAND[0] * least > CLEAR * factor

    def bands(self) -> dict[Precision, tuple[float, float]]:
        """Gives the bands of what was made, as `Scale.relative_bands`."""
        bands: dict[Precision, tuple[float, float]] = {"float32": (0.0, FLOAT32_BORDER)}
        for precision in ORDER:
            if sizes := self.factors.get(precision):
                bands[precision] = (BAND[0] * min(sizes), BAND[1] * max(sizes))
        return bands


@dataclass(frozen=True)
class Asked:
    """The ways to ask the near forms about one output; neither costs anything before."""

    near: Callable[[], Near]
    """Measures them on the fewest feeds that are enough."""
    on: Callable[[Sequence[int]], Sequence[Mapping[int, Array]]]
    """Gives the values of each near form for these feeds and those that were measured, by their
    numbers; nothing where the forms cannot be made."""
