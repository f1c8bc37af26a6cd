"""Simulations without what nobody reads of their outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from toolkit.answers import unread
from toolkit.answers.judge import Lower, Simulation
from toolkit.tensors import Array


def simulation_without(of: Simulation, off: Sequence[Mapping[str, Array]]) -> Simulation:
    """Gives a simulation with zeros at the positions that nobody reads."""
    return replace(of, outputs=unread.without(of.outputs, off))


@dataclass(frozen=True)
class ReadForms:
    """The lower formats of a model without what nobody reads (`Lower`)."""

    lower: Lower
    off: Sequence[Mapping[str, Array]]

    def of(self, feeds: Sequence[int]) -> ReadForms:
        """Gives the same for some of the feeds."""
        return ReadForms(self.lower.of(feeds), [self.off[i] for i in feeds])

    def near(self, feeds: Sequence[int]) -> tuple[Simulation, ...] | None:
        """Makes the forms nearest to float32, on some feeds; None where one cannot be made."""
        some = [self.off[i] for i in feeds]
        near = self.lower.near(feeds)
        return None if near is None else tuple(simulation_without(each, some) for each in near)

    def full(self, feeds: Sequence[int]) -> tuple[Simulation, ...]:
        """Makes float16 in full, on some feeds."""
        some = [self.off[i] for i in feeds]
        return tuple(simulation_without(each, some) for each in self.lower.full(feeds))

    def every(self) -> tuple[Simulation, ...]:
        """Makes every form on all feeds."""
        return tuple(simulation_without(each, self.off) for each in self.lower.every())

    def left_out(self) -> tuple[str, ...]:
        """The forms that could not be made so far, in words."""
        return self.lower.left_out()
