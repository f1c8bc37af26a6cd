"""Draws the cores on which a generation runs (rules S3 and S4 of `schedule`)."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Cores:
    """The cores of one generation."""

    workers: tuple[int, ...]
    """The workers' cores, in the order in which they were drawn."""
    driver: tuple[int, ...]
    """The parent's core."""
    shared: bool
    """The parent shares a core with the workers, since there is no other: a warning tells it."""

    def of(self, threads: int) -> tuple[int, ...]:
        """Returns the cores of a worker: the first of them, so that all of one thread share a
        core."""
        return self.workers[:threads]


def draw_cores(
    allowed: Sequence[int],
    threads: int,
    source: random.Random,
    siblings: Mapping[int, frozenset[int]] | None = None,
) -> Cores:
    """Draws cores for workers of so many threads, and one for the parent (S3, S4).

    `siblings` maps each core to all hardware threads of its physical core. Two threads of one
    physical core slow each other down, so workers get whole ones and the parent another, where
    there are enough."""
    physical = siblings or {}
    mixed = source.sample(sorted(allowed), len(allowed))
    workers = _spread(mixed, min(threads, len(mixed)), physical)
    rest = [core for core in mixed if core not in workers]
    busy = frozenset().union(*(physical.get(core, frozenset()) for core in workers))
    apart = [core for core in rest if core not in busy] or rest
    driver = tuple(apart[:1]) or workers
    return Cores(workers, driver, shared=not apart)


def _spread(
    mixed: Sequence[int], count: int, siblings: Mapping[int, frozenset[int]]
) -> tuple[int, ...]:
    """Takes `count` cores, those of untouched physical cores before the others."""
    first: list[int] = []
    second: list[int] = []
    taken: set[int] = set()
    for core in mixed:
        (second if core in taken else first).append(core)
        taken |= siblings.get(core, frozenset({core}))
    return tuple([*first, *second][:count])
