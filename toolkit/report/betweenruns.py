"""Compares two runs, target by target, by the ratio to a baseline that both have (rule C2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from toolkit.errors import RunError
from toolkit.machine.features import difference
from toolkit.records.pairing import effects
from toolkit.records.schema import Run
from toolkit.report import changes, comparison
from toolkit.report.changes import Measured
from toolkit.report.comparison import Pairing
from toolkit.report.decision import Goal, Wishes
from toolkit.report.summary import summarize
from toolkit.report.view import Row, Table


def between(base: Run, new: Run, wishes: Wishes | None = None) -> list[Pairing]:
    """The pairings of two runs: the targets and cases that both have.

    Raises RunError where they have no common baseline (C2), with the way that works.
    """
    _demand_common_baseline(base, new)
    pairings: list[Pairing] = []
    for case, table in enumerate(summarize(base).tables):
        for later_case, later in enumerate(summarize(new).tables):
            # The hash is that of the feed: one name may stand for other values.
            if table.case.name == later.case.name and table.case.sha256 == later.case.sha256:
                pairings += _between(
                    base, new, (case, table), (later_case, later), wishes or Wishes()
                )
    return pairings


def machines_apart(base: Run, new: Run) -> list[str]:
    """Says how the processors of two runs differ; empty where they do not, or it is not known."""
    before, after = base.machine.features, new.machine.features
    if before is None or after is None or not (apart := difference(before, after)):
        return []
    return [
        f"the runs are of two kinds of processor: {apart}. Speed depends on that, and answers of "
        "int8 files do: measure both on one machine to see what the change alone does."
    ]


def _between(
    base: Run, new: Run, was: tuple[int, Table], now: tuple[int, Table], wishes: Wishes
) -> Iterator[Pairing]:
    (case, table), (later_case, later) = was, now
    rows = {_same(row): row for row in later.rows}
    for row in table.rows:
        other = rows.get(_same(row))
        if other is None or row.target.index == base.plan.baseline:
            continue
        sides = (base, case, row), (new, later_case, other)
        latency = _latency(sides, wishes)
        yield Pairing(
            name=row.target.name,
            case=table.case.name,
            old=comparison.side(base, row, latency=False),
            new=comparison.side(new, other, latency=False),
            interval=None if latency is None else latency.interval,
            worse=comparison.worse(row, other, new.plan.limits),
            undecided=comparison.undecided(row, other),
            agreement=comparison.agreement_of(new, other),
            changes=_changes(sides, latency, wishes),
            facts=comparison.facts(row, other, new.plan.limits),
            of_files=True,
        )


Side = tuple[Run, int, Row]
"""A run, the number of a case in it, and the row of a target there."""


def _alpha(sides: tuple[Side, Side]) -> float:
    return min(run.plan.alpha for run, _, _ in sides)


def _latency(sides: tuple[Side, Side], wishes: Wishes) -> Measured | None:
    """The ratio of both ratios to the baseline; None where a side has no right latency."""
    if not comparison.both_compare(sides[0][2], sides[1][2]):
        return None
    first, second = (
        effects(run, case, run.plan.baseline, row.target.index) for run, case, row in sides
    )
    return changes.unpaired(Goal.LATENCY, first, second, wishes, _alpha(sides))


def _changes(
    sides: tuple[Side, Side], latency: Measured | None, wishes: Wishes
) -> dict[Goal, Measured]:
    """What is known of each measure. Two cold starts are times of two days: they are never
    compared."""
    old, new = (row.target for _, _, row in sides)
    held = [changes.memory(target.record) for target in (old, new)]
    files = [
        target.planned.model or run.plan.model
        for target, (run, _, _) in zip((old, new), sides, strict=True)
    ]
    known = {
        Goal.LATENCY: latency,
        Goal.SIZE: changes.sizes(files[0].size, files[1].size, wishes),
        Goal.MEMORY: changes.unpaired(Goal.MEMORY, held[0], held[1], wishes, _alpha(sides)),
    }
    return {goal: measured for goal, measured in known.items() if measured is not None}


def _same(row: Row) -> tuple[str, int]:
    """Identifies a target in both runs. Threads that --threads gave it are not in its name."""
    return row.target.planned.name, row.target.planned.threads


@dataclass(frozen=True)
class _Baseline:
    """The baseline of a run, by all that must be the same in another run (C2)."""

    name: str
    version: str | None
    """The version of its runtime; None where its answers are not right."""
    model: str
    """The beginning of the file's SHA-256."""
    threads: int

    @property
    def words(self) -> str:
        version = self.version or "without right answers"
        return f"{self.name} {version} on {self.model}, threads {self.threads}"


def _baseline(run: Run) -> _Baseline:
    target = run.plan.targets[run.plan.baseline]
    record = next((r for r in run.records if r.target == run.plan.baseline), None)
    version = record.library.version if record and record.library and record.right else None
    model = target.model or run.plan.model
    return _Baseline(target.name, version, model.sha256[:12], target.threads)


def _demand_common_baseline(base: Run, new: Run) -> None:
    """Raises RunError where two runs have no baseline in common (C2), with the way that works."""
    was, now = _baseline(base), _baseline(new)
    if was != now or was.version is None:
        targets = dict.fromkeys(target.name for target in new.plan.targets)
        wanted = " ".join(f"--target '{name}'" for name in targets)
        raise RunError(
            f"the two runs have no common baseline: it was {was.words}, now it is {now.words}",
            f"toolkit compare OLD.onnx NEW.onnx {wanted}    measures both side by side",
        )
