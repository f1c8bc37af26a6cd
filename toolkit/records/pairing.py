"""Pairs of targets in a record: what they are compared with, and one log ratio a process start.

The run loop stops by these numbers and the report shows them, so both take them from here.
"""

from __future__ import annotations

from collections.abc import Collection

from toolkit.measure.stats import effect
from toolkit.records.schema import Run, Timing


def right_targets(run: Run) -> list[int]:
    """The indices of the targets that are right, in the order of their records."""
    return [record.target for record in run.records if record.right]


def compared_targets(run: Run) -> list[int]:
    """The indices of the targets that have a ratio: the right ones, and after them those whose
    answers are not shown."""
    open_ones = [r.target for r in run.records if r.agrees and not r.right]
    return [*right_targets(run), *open_ones]


def baseline(run: Run, able: Collection[int]) -> int | None:
    """The target that the others are compared with: the planned one where it is `able`, else the
    first that is; None where none is."""
    planned = run.plan.baseline
    return planned if planned in able else next(iter(able), None)


def effects(run: Run, case: int, base: int, target: int) -> list[float]:
    """log(time of `target` / time of `base`), one for each process start that holds both."""
    records = {record.target: record for record in run.records}
    return _paired(run, records[base].timing(case), records[target].timing(case))


def effects_between_cases(run: Run, target: int, first: int, other: int) -> list[float]:
    """log(time at `other` / time at `first`) of one target, one for each process start: its blocks
    at both cases stand in the same rounds."""
    record = next(record for record in run.records if record.target == target)
    return _paired(run, record.timing(first), record.timing(other))


def against_baseline(run: Run) -> list[list[float]]:
    """The effects of every compared target against the baseline, at every case; no pair without a
    process start of both is among them."""
    compared = compared_targets(run)
    base = baseline(run, right_targets(run) or compared)
    pairs = [
        effects(run, case, base, target)
        for target in compared
        for case in range(len(run.plan.cases))
        if base is not None and target != base
    ]
    return [pair for pair in pairs if pair]


def _paired(run: Run, left: Timing | None, right: Timing | None) -> list[float]:
    if left is None or right is None:
        return []
    lefts = {series.generation: series.medians for series in left.series}
    rights = {series.generation: series.medians for series in right.series}
    both = [start for start in run.counted_starts if lefts.get(start) and rights.get(start)]
    return [effect(lefts[start], rights[start]) for start in both]
