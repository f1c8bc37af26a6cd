"""Pairs of targets in a record: what they are compared with, and one log ratio a process start.

The run loop stops by these numbers and the report shows them, so both take them from here.
"""

from __future__ import annotations

from collections.abc import Collection

from toolkit.measure.stats import effect
from toolkit.records.schema import PlannedTarget, Run, Timing

COMPARE = ["toolkit", "compare"]
"""How the command of a comparison begins."""


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


Setting = tuple[int, int]
"""What is timed: the index of a target, and that of a case."""


def effects_between(
    run: Run, first: Setting, other: Setting, *, means: bool = False
) -> list[float]:
    """log(time of `other` / time of `first`), one for each process start that holds both: all that
    a process start times stands in the same rounds.

    `means`: by the mean of each block, as many calls in a row pay for the slow ones too.
    """
    records = {record.target: record for record in run.records}
    left, right = (records[target].timing(case) for target, case in (first, other))
    return _paired(run, left, right, means=means)


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


def old_and_new(run: Run) -> list[tuple[int, int]]:
    """The pairs of a run that compares old with new, by their indices; empty of another run.

    A target with a file of its own follows the one that it is compared with, which has the file of
    the run. Of one file, `toolkit compare` compares the first target with each other one.
    """
    targets = run.plan.targets
    files = [
        (index - 1, index)
        for index in range(1, len(targets))
        if targets[index].model is not None and _is_twin(targets[index - 1], targets[index])
    ]
    if files or [*run.command[:2]] != COMPARE:
        return files
    return [(0, index) for index in range(1, len(targets))]


def _is_twin(old: PlannedTarget, new: PlannedTarget) -> bool:
    """Says whether two targets differ in their file alone."""
    same = (old.runtime, old.provider, old.options, old.threads) == (
        new.runtime,
        new.provider,
        new.options,
        new.threads,
    )
    return old.model is None and same


def _paired(
    run: Run, left: Timing | None, right: Timing | None, *, means: bool = False
) -> list[float]:
    if left is None or right is None:
        return []
    lefts, rights = (
        {series.generation: series.means if means else series.medians for series in timing.series}
        for timing in (left, right)
    )
    both = [start for start in run.counted_starts if lefts.get(start) and rights.get(start)]
    return [effect(lefts[start], rights[start]) for start in both]
