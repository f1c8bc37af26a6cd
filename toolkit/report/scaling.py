"""How fast a target is over the size of the batch, and over its number of threads.

Both are ratios within one run: two cases of one worker are blocks of the same rounds, and two
numbers of threads are two targets. So each has its interval over the process starts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from toolkit.measure.stats import compare
from toolkit.records.pairing import effects, effects_between_cases
from toolkit.records.schema import Case, Run
from toolkit.report.ratios import ratio
from toolkit.report.speed import BATCHES, batch
from toolkit.report.view import Ratio, Row, Speed, Table
from toolkit.report.words import Spread, decimals
from toolkit.units import significant

Over = Literal["batch", "threads"]


@dataclass(frozen=True)
class Point:
    """One size of a curve."""

    size: int
    """Rows of a call, or threads."""
    speed: Speed
    gain: Ratio | None
    """How many times faster a row is than at the first point. None: it is that one, or was never
    alive beside it."""


@dataclass(frozen=True)
class Curve:
    """One target, from its smallest size on."""

    name: str
    row: Row
    """At the first point: its colour is that of its target."""
    points: tuple[Point, ...]

    @property
    def shown(self) -> tuple[Point, ...]:
        """Without those that never ran beside the first: they have no ratio."""
        return (self.points[0], *(point for point in self.points[1:] if point.gain is not None))


@dataclass(frozen=True)
class Scaling:
    """The curves that share their axis."""

    over: Over
    at: str
    """What else is the same: 'seq 32', 'batch 8'; empty where there is nothing to tell."""
    curves: tuple[Curve, ...]

    @property
    def one_start(self) -> bool:
        """All curves begin at one size."""
        return len({curve.points[0].size for curve in self.curves}) == 1


def scalings(run: Run, tables: Sequence[Table]) -> tuple[Scaling, ...]:
    """What a run shows of it; only rows with a rank, so only right answers."""
    found = [*_over_batches(run, tables), *_over_threads(run, tables)]
    return tuple(one for one in found if one.curves)


def _over_batches(run: Run, tables: Sequence[Table]) -> Iterator[Scaling]:
    for at, cases in _alike(run.plan.cases).items():
        rows = {case: _by_target(tables[case]) for case in cases}
        curves = [
            _batch_curve(run, {case: rows[case][target] for case in cases if target in rows[case]})
            for target in range(len(run.plan.targets))
        ]
        yield Scaling("batch", at, tuple(one for one in curves if one is not None))


def _alike(cases: Sequence[Case]) -> Mapping[str, list[int]]:
    """Cases that differ by their batch alone, the smallest first; each size once."""
    found: dict[str, dict[int, int]] = {}
    for place, case in enumerate(cases):
        if not any(name in case.dims for name in BATCHES):
            continue
        rest = ", ".join(f"{name} {n}" for name, n in case.dims.items() if name not in BATCHES)
        found.setdefault(rest, {}).setdefault(batch(case), place)
    return {
        at: [sizes[size] for size in sorted(sizes)] for at, sizes in found.items() if len(sizes) > 1
    }


def _by_target(table: Table) -> dict[int, Row]:
    return {row.subject.index: row for row in table.ranked()}


def _batch_curve(run: Run, rows: Mapping[int, Row]) -> Curve | None:
    """`rows`: case → the target's row, the smallest batch first."""
    speeds = {case: row.speed for case, row in rows.items() if row.speed is not None}
    if len(speeds) < 2:
        return None
    (first, smallest), *others = speeds.items()
    row = rows[first]
    paired = {
        case: [
            effect - math.log(speed.rows / smallest.rows)
            for effect in effects_between_cases(run, row.subject.index, first, case)
        ]
        for case, speed in others
    }
    points = [
        Point(speed.rows, speed, gain(paired.get(case, []), run.plan.alpha))
        for case, speed in speeds.items()
    ]
    return Curve(row.subject.name, row, tuple(points))


def _over_threads(run: Run, tables: Sequence[Table]) -> Iterator[Scaling]:
    for case, table in enumerate(tables):
        families: dict[str, list[Row]] = {}
        for row in table.ranked():
            families.setdefault(_without_threads(row.subject.target.name), []).append(row)
        curves = [_thread_curve(run, case, rows) for rows in families.values() if _differ(rows)]
        at = table.case.name if len(tables) > 1 else ""
        yield Scaling("threads", at, tuple(curves))


def _thread_curve(run: Run, case: int, rows: Sequence[Row]) -> Curve:
    first, *others = sorted(rows, key=lambda row: row.subject.target.threads)
    start = first.subject.index
    gains = {
        row.subject.index: gain(effects(run, case, start, row.subject.index), run.plan.alpha)
        for row in others
    }
    points = [
        Point(row.subject.target.threads, row.speed, gains.get(row.subject.index))
        for row in (first, *others)
        if row.speed is not None
    ]
    name = re.sub(r", \d+ threads?$", "", first.subject.name)
    return Curve(name, first, tuple(points))


def _differ(rows: Sequence[Row]) -> bool:
    return len({row.subject.target.threads for row in rows}) > 1


def gain(effects: Sequence[float], alpha: float) -> Ratio | None:
    """How many times faster, with the interval of this point alone: whether it differs is said in
    the table of its case, for all pairs together."""
    if not effects:
        return None
    (made,) = compare([effects], alpha)
    found = ratio(made, len(effects))
    if found.low is None or found.high is None:
        return replace(found, text=f"{significant(found.middle)}×, no interval")
    places = decimals(Spread(found.middle, found.low, found.high))
    middle, low, high = (f"{v:.{places}f}" for v in (found.middle, found.low, found.high))
    return replace(found, text=f"{middle}× ({low} to {high})")


def _without_threads(name: str) -> str:
    return re.sub(r",threads=\d+$", "", name)
