"""How fast a target is over the size of the batch, and over its number of threads.

Both are ratios within one run: two cases of one worker are blocks of the same rounds, and two
numbers of threads are two targets. So each has its interval over the process starts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from toolkit.measure.stats import compare
from toolkit.records.schema import Case, Run
from toolkit.report.ratios import against, between_cases, ratio
from toolkit.report.speed import BATCHES, batch
from toolkit.report.view import Ratio, Row, Speed, Table

Over = Literal["batch", "threads"]


@dataclass(frozen=True)
class Point:
    """One size of a curve."""

    size: int
    """Rows of a call, or threads."""
    speed: Speed
    gain: Ratio | None
    """How many times faster a row is than at the first point; None: that one."""


@dataclass(frozen=True)
class Curve:
    """One target, from its smallest size on."""

    name: str
    row: Row
    """At the first point: its colour is that of its target."""
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Scaling:
    """The curves that share their axis."""

    over: Over
    at: str
    """What else is the same: 'seq 32', 'batch 8'; empty where there is nothing to tell."""
    curves: tuple[Curve, ...]


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
            for effect in between_cases(run, row.subject.index, first, case)
        ]
        for case, speed in others
    }
    paired = {case: values for case, values in paired.items() if values}
    made = compare(list(paired.values()), run.plan.alpha)
    gains = {
        case: ratio(one, len(values))
        for (case, values), one in zip(paired.items(), made, strict=True)
    }
    points = [Point(speed.rows, speed, gains.get(case)) for case, speed in speeds.items()]
    return Curve(row.subject.name, row, tuple(points))


def _over_threads(run: Run, tables: Sequence[Table]) -> Iterator[Scaling]:
    for case, table in enumerate(tables):
        families: dict[str, list[Row]] = {}
        for row in table.ranked():
            families.setdefault(_without_threads(row.subject.target.name), []).append(row)
        curves = [_thread_curve(run, case, rows) for rows in families.values() if len(rows) > 1]
        at = table.case.name if len(tables) > 1 else ""
        yield Scaling("threads", at, tuple(curves))


def _thread_curve(run: Run, case: int, rows: Sequence[Row]) -> Curve:
    first, *others = sorted(rows, key=lambda row: row.subject.target.threads)
    gains = against(run, case, first.subject.index, [row.subject.index for row in others])
    points = [
        Point(row.subject.target.threads, row.speed, gains.get(row.subject.index))
        for row in (first, *others)
        if row.speed is not None
    ]
    name = re.sub(r", \d+ threads?$", "", first.subject.name)
    return Curve(name, first, tuple(points))


def _without_threads(name: str) -> str:
    return re.sub(r",threads=\d+$", "", name)
