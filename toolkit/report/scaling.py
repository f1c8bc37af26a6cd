"""Computes how a target scales with the size of the batch and with its number of threads.

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
from toolkit.records.pairing import Setting, effects_between
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
    row: Row
    """The target at this size."""
    setting: Setting
    speed: Speed
    gain: Ratio | None
    """The factor by which a row (over threads: a call) is faster than at the first point. None at
    the first point itself, and where the target was never alive beside it."""


@dataclass(frozen=True)
class Curve:
    """The points of one target, from its smallest size on."""

    name: str
    """The target's label; over threads without their number."""
    row: Row
    """The row of the first point: the curve has the colour of its target."""
    points: tuple[Point, ...]

    @property
    def comparable(self) -> tuple[Point, ...]:
        """The points with a ratio to the first, and the first itself."""
        return (self.points[0], *(point for point in self.points[1:] if point.gain is not None))


@dataclass(frozen=True)
class Scaling:
    """The curves that share their axis."""

    over: Over
    at: str
    """The other dimensions, the same for all points: 'seq 32', 'batch 8'; empty without others."""
    curves: tuple[Curve, ...]

    @property
    def one_start(self) -> bool:
        """True where all curves begin at the same size."""
        return len({curve.points[0].size for curve in self.curves}) == 1


def scalings(run: Run, tables: Sequence[Table]) -> tuple[Scaling, ...]:
    """The curves that a run shows, of rows that have a ratio."""
    every = [*_over_batches(run, tables), *_over_threads(run, tables)]
    return tuple(scaling for scaling in every if scaling.curves)


def _over_batches(run: Run, tables: Sequence[Table]) -> Iterator[Scaling]:
    for at, cases in alike(run.plan.cases).items():
        rows = {case: _by_target(tables[case]) for case in cases}
        curves = [
            _batch_curve(run, {case: rows[case][target] for case in cases if target in rows[case]})
            for target in range(len(run.plan.targets))
        ]
        yield Scaling("batch", at, tuple(curve for curve in curves if curve is not None))


def alike(cases: Sequence[Case]) -> Mapping[str, list[int]]:
    """Groups cases that differ by their batch alone.

    The key names the other dimensions; the value has the indices of the cases, the smallest batch
    first, each batch once.
    """
    by_rest: dict[str, dict[int, int]] = {}
    for index, case in enumerate(cases):
        if not any(name in case.dims for name in BATCHES):
            continue
        rest = ", ".join(f"{name} {n}" for name, n in case.dims.items() if name not in BATCHES)
        by_rest.setdefault(rest, {}).setdefault(batch(case), index)
    return {
        rest: [by_size[size] for size in sorted(by_size)]
        for rest, by_size in by_rest.items()
        if len(by_size) > 1
    }


def _by_target(table: Table) -> dict[int, Row]:
    return {row.target.index: row for row in table.compared()}


def _batch_curve(run: Run, rows: Mapping[int, Row]) -> Curve | None:
    """The curve of one target; None below two points. `rows`: case → row, smallest batch first."""
    speeds = {case: row.speed for case, row in rows.items() if row.speed is not None}
    if len(speeds) < 2:
        return None
    (first, smallest), *others = speeds.items()
    row = rows[first]
    target = row.target.index
    # A call of n rows that takes t has an effect of log(t / n) a row.
    effects_a_row = {
        case: [
            effect - math.log(speed.rows / smallest.rows)
            for effect in effects_between(run, (target, first), (target, case))
        ]
        for case, speed in others
    }
    points = [
        Point(
            speed.rows,
            rows[case],
            (target, case),
            speed,
            gain(effects_a_row.get(case, []), run.plan.alpha),
        )
        for case, speed in speeds.items()
    ]
    return Curve(row.target.name, row, tuple(points))


def _over_threads(run: Run, tables: Sequence[Table]) -> Iterator[Scaling]:
    for case, table in enumerate(tables):
        families: dict[str, list[Row]] = {}
        for row in table.compared():
            # --threads 1,all makes targets that differ by this option alone.
            families.setdefault(without_threads(row.target.planned.name), []).append(row)
        curves = [_thread_curve(run, case, rows) for rows in families.values() if _differ(rows)]
        at = table.case.name if len(tables) > 1 else ""
        yield Scaling("threads", at, tuple(curves))


def _thread_curve(run: Run, case: int, rows: Sequence[Row]) -> Curve:
    """The curve of one target; `rows` are the same target with different numbers of threads."""
    first, *others = sorted(rows, key=lambda row: row.target.planned.threads)
    start = first.target.index
    gains = {
        row.target.index: gain(
            effects_between(run, (start, case), (row.target.index, case)), run.plan.alpha
        )
        for row in others
    }
    points = [
        Point(
            row.target.planned.threads,
            row,
            (row.target.index, case),
            row.speed,
            gains.get(row.target.index),
        )
        for row in (first, *others)
        if row.speed is not None
    ]
    return Curve(without_label(first.target.name), first, tuple(points))


def _differ(rows: Sequence[Row]) -> bool:
    return len({row.target.planned.threads for row in rows}) > 1


def gain(effects: Sequence[float], alpha: float) -> Ratio | None:
    """The factor by which a point is faster, from log ratios of process starts; None without any.

    The interval is that of this point alone: the table of its case says whether it differs, with
    all pairs taken together.
    """
    if not effects:
        return None
    # Alone in its family, so that the interval is not widened for the other points.
    (comparison,) = compare([effects], alpha)
    times = ratio(comparison, len(effects))
    if times.low is None or times.high is None:
        return replace(times, text=f"{significant(times.middle)}×, no interval")
    places = decimals(Spread(times.middle, times.low, times.high))
    middle, low, high = (f"{v:.{places}f}" for v in (times.middle, times.low, times.high))
    return replace(times, text=f"{middle}× ({low} to {high})")


def without_label(name: str) -> str:
    """A target's label without its number of threads, with which it ends where a run has
    several."""
    return re.sub(r", \d+ threads?$", "", name)


def without_threads(name: str) -> str:
    """A target's canonical name without its number of threads: the same for all of a family."""
    return re.sub(r",threads=\d+$", "", name)
