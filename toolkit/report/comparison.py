"""Compares old with new, target by target, side by side in one run; betweenruns.py has two runs.

C1  Side by side the ratio is paired, as in any table of a run.
C2  Latencies of two runs are never compared. What is compared is each target's ratio to a baseline
    that both runs have: the same model, runtime, version and options.
C3  A gate has three outcomes. What the interval does not decide is not decided.
C4  Worse is an answer that comes to more than before (less precise, wrong, none), or that is
    coarser than before and was not accepted (answers/severity.py, S7 and S8): what a file declares
    is no excuse. An answer that is not shown decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from toolkit.answers import severity
from toolkit.answers.formats import RANK
from toolkit.answers.verdict import Limits, Verdict
from toolkit.data.looks import decided
from toolkit.measure import stats
from toolkit.measure.stats import Interval
from toolkit.records.metrics import MetricDrop, span_of
from toolkit.records.pairing import effects
from toolkit.records.schema import Run
from toolkit.report import agreement, changes, quantized
from toolkit.report.changes import Measured
from toolkit.report.decision import Change, Goal, State, Wishes
from toolkit.report.view import Row, Standing, Table
from toolkit.report.words import Spread, figure, printable
from toolkit.units import Bytes, Seconds

COMPARED = (State.RIGHT, State.NOT_SHOWN)
"""Answers that have a ratio (rule V2 of a view)."""


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
    undecided: str
    """Why it is not decided whether they have; empty where it is."""
    agreement: str
    """How often the top class agrees, where that was asked for; else empty."""
    changes: dict[Goal, Measured]
    """New by old, without what neither has."""
    facts: Answered
    """What the answers of both come to."""
    of_files: bool
    """Two files are compared, or two runs; else two targets."""
    why: str = ""
    """Why an int8 file is slower or not right, and what to try; empty where it is not known."""
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
        """The ratio of the latencies in words; without one, the reason."""
        latency = self.changes.get(Goal.LATENCY)
        if latency is None:
            sides = {"the old one": self.facts.old, "the new one": self.facts.new}
            lacking = [f"{name}: {state}" for name, state in sides.items() if state not in COMPARED]
            return f"no ratio ({', '.join(lacking) or 'no process start has both'})"
        return latency.text

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


@dataclass(frozen=True)
class Answered:
    """What the answers of old and new come to, for a decision."""

    old: State
    new: State
    precision: Change
    """The class of the new answers beside that of the old ones; SAME where the user accepts it."""
    fault: str
    """What is wrong with the new answers, in a few words; empty where nothing is shown to be."""
    acceptable: str
    """The class by which a user would accept the new answers; empty: by none."""
    known: str
    """The answers of the new one in a few words: 'as precise (float32)'."""
    judge: str = ""
    """Why the old file cannot judge the new one; empty where it can."""


def side_by_side(
    run: Run, tables: Sequence[Table], pairs: Sequence[tuple[int, int]], wishes: Wishes
) -> list[Pairing]:
    """The pairings of one run (C1), all pairs of a case together.

    `tables` are those of its view; `pairs`: (old, new), each the index of a target in the plan.
    """
    return [
        pairing
        for case, table in enumerate(tables)
        for pairing in _of_case(run, table, case, pairs, wishes)
    ]


def _of_case(
    run: Run, table: Table, case: int, pairs: Sequence[tuple[int, int]], wishes: Wishes
) -> Iterator[Pairing]:
    rows = {row.target.index: row for row in table.rows}
    logs = {
        pair: effects(run, case, *pair)
        for pair in pairs
        if both_compare(*(rows[index] for index in pair))
    }
    logs = {pair: values for pair, values in logs.items() if values}
    compared = stats.compare([*logs.values()], run.plan.alpha)
    timed = {
        pair: changes.timed(one, logs[pair], wishes, run.plan.alpha)
        for pair, one in zip(logs, compared, strict=True)
    }
    for old, new in pairs:
        latency = timed.get((old, new))
        yield Pairing(
            name=rows[new].target.name,
            case=table.case.name,
            old=side(run, rows[old]),
            new=side(run, rows[new]),
            interval=None if latency is None else latency.interval,
            worse=worse(rows[old], rows[new], run.plan.limits),
            undecided=undecided(rows[old], rows[new]),
            agreement=agreement_of(run, rows[new]),
            changes=_changes(run, rows[old], rows[new], latency, wishes),
            facts=facts(rows[old], rows[new], run.plan.limits),
            of_files=rows[new].target.planned.model is not None,
            drops=tuple(
                drop
                for drop in (run.data.drops if run.data else ())
                if (drop.old, drop.new) == (old, new)
            ),
            why=quantized.reason(run, rows[old], rows[new], latency),
        )


def _changes(
    run: Run, old: Row, new: Row, latency: Measured | None, wishes: Wishes
) -> dict[Goal, Measured]:
    """What is known of each measure, of two that both have right answers, or open ones (V1)."""
    known: dict[Goal, Measured | None] = {Goal.LATENCY: latency}
    records = old.target.record, new.target.record
    if both_compare(old, new):
        for goal, read in ((Goal.MEMORY, changes.memory), (Goal.COLD_START, changes.cold)):
            logs = changes.differences(*map(read, records))
            known[goal] = changes.paired(goal, logs, wishes, run.plan.alpha)
    if new.target.planned.model is not None:
        file = old.target.planned.model or run.plan.model
        known[Goal.SIZE] = changes.sizes(file.size, new.target.planned.model.size, wishes)
    return {goal: measured for goal, measured in known.items() if measured is not None}


def both_compare(old: Row, new: Row) -> bool:
    """Rule V2 of a view: what is less precise or wrong has no ratio."""
    return old.compares and new.compares


def side(run: Run, row: Row, *, latency: bool = True) -> Side:
    """One side of a pairing; without its latency between two runs (C2)."""
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


def agreement_of(run: Run, row: Row) -> str:
    """How often the top class agrees, where that was asked for."""
    return agreement.words(row.target.verdict) if run.plan.limits.top1 is not None else ""


def worse(old: Row, new: Row, limits: Limits) -> str:
    """Says how the answers of a target have become worse (C4); empty: they have not."""
    was, now = old.target.verdict, new.target.verdict
    if coarse_judge(old, new):
        return ""
    if was is not None and now is not None:
        return worse_answers(was, now, limits)
    if old.compares and not new.compares:
        return new.reason or f"it is {new.standing}"
    return ""


def undecided(old: Row, new: Row) -> str:
    """Why it is not decided whether answers are worse; empty where it is."""
    if reason := coarse_judge(old, new):
        return reason
    if old.compares and new.standing is Standing.NOT_SHOWN:
        return f"not shown: {new.reason}"
    return new.why if old.compares and _state(new) is State.PENDING else ""


def coarse_judge(old: Row, new: Row) -> str:
    """Why the old file cannot judge the new one, whose answers are off by its rounding: it is
    itself of a coarser class, as where the two were given the wrong way round. Empty: it can."""
    was, now = old.target.verdict, new.target.verdict
    if was is None or now is None or new.target.planned.model is None:
        return ""
    if not (was.right and now.refuted and RANK[was.declared] > RANK[now.declared]):
        return ""
    return f"the old file is {was.declared} itself, and cannot judge a finer one"


def worse_answers(was: Verdict, now: Verdict, limits: Limits) -> str:
    """Says how answers became worse; empty: they did not, or the user accepts it."""
    if not severity.worse(now, was, limits):
        return ""
    if now.refuted:
        return now.reason or now.text
    return f"{now.text}, it was {was.text}"


def facts(old: Row, new: Row, limits: Limits) -> Answered:
    """What the answers of both come to, for a decision."""
    was, now = old.target.verdict, new.target.verdict
    precision, known, acceptable = Change.SAME, new.answers, None
    if was is not None and now is not None:
        precision = _precision(was, now, limits)
        acceptable = severity.acceptable_as(now)
        known = _known(was, now, precision)
    return Answered(
        old=_state(old),
        new=_state(new),
        precision=precision,
        fault=printable(_fault(new)),
        acceptable=acceptable or "",
        known=printable(known),
        judge=coarse_judge(old, new),
    )


def _precision(was: Verdict, now: Verdict, limits: Limits) -> Change:
    if severity.worse(now, was, limits):
        return Change.WORSE
    return Change.BETTER if severity.coarser(was, now) else Change.SAME


def _known(was: Verdict, now: Verdict, precision: Change) -> str:
    """'as precise (float32)'; the bare class of what is coarser, whether accepted or not."""
    new, old = map(_class, (now, was))
    if precision is Change.BETTER:
        return f"more precise ({new}, it was {old})"
    return new if severity.coarser(now, was) else f"as precise ({new})"


def _class(verdict: Verdict) -> str:
    """The class that a target declares, where it is one of those that these feeds cannot tell
    apart; else what the verdict says."""
    possible = verdict.outputs[0].names
    is_declared = len(verdict.outputs) == 1 and verdict.right and verdict.declared in possible
    return verdict.declared if is_declared else verdict.text


def _state(row: Row) -> State:
    if row.standing is Standing.NOT_MEASURED:
        record = row.target.record
        return State.FAILED if record is not None and record.failure else State.PENDING
    return {
        Standing.RANKED: State.RIGHT,
        Standing.NOT_SHOWN: State.NOT_SHOWN,
        Standing.NOT_RIGHT: State.REFUTED,
    }[row.standing]


def _fault(row: Row) -> str:
    """What is wrong with the answers of a row: 'wrong, off by up to 0.98 in `logits`'."""
    verdict = row.target.verdict
    if verdict is None or not verdict.refuted:
        return row.reason
    off = [
        output
        for output in verdict.outputs
        if output.answer == "wrong" and not isinstance(output.max_abs, str)
    ]
    if verdict.answer != "wrong" or not off:
        return row.reason or verdict.text
    farthest = max(off, key=lambda output: float(output.max_abs))
    return f"wrong, off by up to {figure(farthest.max_abs)} in `{farthest.output}`"
