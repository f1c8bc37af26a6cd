"""Compares old with new, target by target: two files side by side in one run, or two runs.

C1  Side by side the ratio is paired, as in any table of a run.
C2  Latencies of two runs are never compared. What is compared is each target's ratio to a baseline
    that both runs have: the same model, runtime, version and options.
C3  A gate has three outcomes. What the interval does not decide is not decided.
C4  Worse is an answer that was not refuted and is, or that is coarser than the same declaration
    gave before (the order: answers/severity.py). An answer that is not shown decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from toolkit.answers import severity
from toolkit.answers.verdict import Verdict
from toolkit.data.looks import decided
from toolkit.errors import RunError
from toolkit.machine.features import difference
from toolkit.measure import stats
from toolkit.measure.stats import Interval
from toolkit.records.metrics import MetricDrop, span_of
from toolkit.records.pairing import effects
from toolkit.records.schema import Run
from toolkit.report.ratios import interval_words
from toolkit.report.summary import summarize
from toolkit.report.view import Row, Standing, Table
from toolkit.report.words import Spread
from toolkit.units import Bytes, Seconds, percent


class Gate(StrEnum):
    """The three outcomes of a limit that a pairing is held to (C3)."""

    HOLDS = "holds"
    FAILS = "fails"
    OPEN = "cannot tell"


@dataclass(frozen=True)
class Side:
    """One target at one case, either as it was or as it is now."""

    name: str
    p50: Spread | None
    """Seconds; None between two runs, where latencies are not compared (C2)."""
    answers: str
    """The verdict in a few words."""
    right: bool
    reason: str
    """Why it is not right, or was not measured."""
    cold: Seconds | None
    """From the start of its process to its first answer; None where that was not measured."""
    memory: float | None
    """Bytes that the process holds above its idle state; None where they were not measured."""
    size: Bytes
    """The size of the model's file."""


@dataclass(frozen=True)
class Pairing:
    """One target at one case, old and new."""

    name: str
    case: str
    old: Side
    new: Side
    interval: Interval | None
    """Time of the new divided by the time of the old; None where too few process starts, or none of
    both, allow one."""
    worse: str
    """A sentence on how the answers have become worse (C4); empty where they have not."""
    undecided: str = ""
    """Why it is not decided whether they have; empty where it is."""
    drops: tuple[MetricDrop, ...] = ()
    """Every metric on labelled data, old against new on the same examples; gates are on the
    first."""

    @property
    def answers(self) -> Gate:
        """Says whether the answers are no worse."""
        if self.worse:
            return Gate.FAILS
        return Gate.OPEN if self.undecided else Gate.HOLDS

    @property
    def words(self) -> str:
        """The interval in words."""
        if self.interval is None:
            return "no interval"
        if self.interval.excludes_one:
            return interval_words(self.interval)
        limit = percent(self.interval.largest)
        return f"no difference shown (smaller than ±{limit} is not excluded)"

    def dropped(self, limit: float) -> Gate:
        """Says whether the first metric is lower by more than `limit`: of shares by a difference,
        of other numbers by a share of the old one. A new one that fails has no metric at all."""
        if not self.drops:
            return Gate.FAILS if self.worse else Gate.OPEN
        decision = decided(span_of(self.drops[0]), limit)
        return {"holds": Gate.HOLDS, "fails": Gate.FAILS, "": Gate.OPEN}[decision]

    def slower(self, limit: float) -> Gate:
        """Says whether the new one is slower by more than `limit`, a share (0.05 is 5 %)."""
        if self.interval is None:
            return Gate.OPEN
        if self.interval.low > 1 + limit:
            return Gate.FAILS
        return Gate.HOLDS if self.interval.high <= 1 + limit else Gate.OPEN


def side_by_side(run: Run, pairs: Sequence[tuple[int, int]]) -> list[Pairing]:
    """The pairings of one run (C1). `pairs`: (old, new), each the index of a target in the plan."""
    view = summarize(run)
    return [
        _beside(run, table, case, old, new)
        for case, table in enumerate(view.tables)
        for old, new in pairs
    ]


def _beside(run: Run, table: Table, case: int, old: int, new: int) -> Pairing:
    rows = {row.target.index: row for row in table.rows}
    logs = effects(run, case, old, new) if _measured(rows[old], rows[new]) else []
    return Pairing(
        name=rows[new].target.name,
        case=table.case.name,
        old=_side(run, rows[old]),
        new=_side(run, rows[new]),
        interval=stats.hodges_lehmann(logs, run.plan.alpha),
        worse=_worse(rows[old], rows[new]),
        undecided=_undecided(rows[old], rows[new]),
        drops=tuple(
            drop
            for drop in (run.data.drops if run.data else ())
            if (drop.old, drop.new) == (old, new)
        ),
    )


def between(base: Run, new: Run) -> list[Pairing]:
    """The pairings of two runs: the targets and cases that both have.

    Raises RunError where they have no common baseline (C2), with the way that works.
    """
    _demand_common_baseline(base, new)
    pairings: list[Pairing] = []
    for case, table in enumerate(summarize(base).tables):
        for later_case, later in enumerate(summarize(new).tables):
            # The hash is that of the feed: one name may stand for other values.
            if table.case.name == later.case.name and table.case.sha256 == later.case.sha256:
                pairings += _between(base, new, (case, table), (later_case, later))
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
    base: Run, new: Run, was: tuple[int, Table], now: tuple[int, Table]
) -> Iterator[Pairing]:
    (case, table), (later_case, later) = was, now
    rows = {_same(row): row for row in later.rows}
    for row in table.rows:
        other = rows.get(_same(row))
        if other is None or row.target.index == base.plan.baseline:
            continue
        both = _measured(row, other)
        first = effects(base, case, base.plan.baseline, row.target.index) if both else []
        second = effects(new, later_case, new.plan.baseline, other.target.index) if both else []
        alpha = min(base.plan.alpha, new.plan.alpha)
        yield Pairing(
            name=row.target.name,
            case=table.case.name,
            old=_side(base, row, latency=False),
            new=_side(new, other, latency=False),
            interval=stats.shift(first, second, alpha),
            worse=_worse(row, other),
            undecided=_undecided(row, other),
        )


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


def _measured(old: Row, new: Row) -> bool:
    """Rule V2 of a view: what is less precise or wrong has no ratio."""
    return old.compares and new.compares


def _side(run: Run, row: Row, *, latency: bool = True) -> Side:
    target = row.target
    resident = target.use.resident
    return Side(
        name=target.name,
        p50=row.speed.p50 if latency and row.speed else None,
        answers=row.answers,
        right=row.standing is Standing.RANKED,
        reason=row.reason,
        cold=target.cold.total or None,
        memory=resident.middle if resident else None,
        size=(target.planned.model or run.plan.model).size,
    )


def _worse(old: Row, new: Row) -> str:
    if not old.compares:
        return ""
    if not new.compares:
        return new.reason or f"it is {new.standing}"
    was, now = old.target.verdict, new.target.verdict
    return worse_answers(was, now) if was and now else ""


def _undecided(old: Row, new: Row) -> str:
    """Why it is not decided whether answers are worse; empty where it is."""
    if not old.compares or new.standing is not Standing.NOT_SHOWN:
        return ""
    return f"not shown: {new.reason}"


def worse_answers(was: Verdict, now: Verdict) -> str:
    """Says how the answers of a target became coarser; empty: they did not, or it declares another
    precision than before."""
    if was.declared != now.declared or not severity.coarser(now, was):
        return ""
    return f"{now.text}, it was {was.text}"
