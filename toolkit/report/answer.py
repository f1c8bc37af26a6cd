"""The answer in sentences: what is fastest among the right, how sure, and what was not shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from toolkit.records.schema import Run
from toolkit.report.ratios import against
from toolkit.report.view import Ratio, Row, Standing, Table
from toolkit.report.words import counted, listed, printable, timed
from toolkit.units import percent

FEW = 3
TOO_FEW = "are too few to say how sure that is: 6 are needed."
NONE = "No target is ranked: none was both measured and right."


def answers(tables: Sequence[Table]) -> tuple[str, ...]:
    """What is fastest, a sentence for each case."""
    if len(tables) == 1:
        return (tables[0].answer,)
    return tuple(
        f"At {printable(table.case.name)}, {table.answer[0].lower()}{table.answer[1:]}"
        for table in tables
    )


def without_rank(tables: Sequence[Table]) -> tuple[str, ...]:
    """What was not shown to be right, and what was not measured."""
    return (
        *left_out(tables, Standing.NOT_RIGHT),
        *left_out(tables, Standing.NOT_MEASURED),
    )


def fastest(run: Run, case: int, ranked: Sequence[Row], baseline: str) -> str:
    """Which is fastest at one case; `ranked` is in the order of speed."""
    if not ranked:
        return NONE
    first, *others = ranked
    name = first.subject.name
    p50 = timed(first.speed.p50)[0] if first.speed else ""
    if not others:
        return f"The only target that is measured and right: {name}, {p50} a call."
    beside = against(run, case, first.subject.index, [row.subject.index for row in others])
    compared = [row for row in others if row.subject.index in beside]
    tied = [row for row in compared if not beside[row.subject.index].different]
    if any(ratio.low is None for ratio in beside.values()):
        starts = counted(min(ratio.starts for ratio in beside.values()), "process start")
        return f"Lowest latency with right answers: {name}, {p50}. {starts} {TOO_FEW}"
    if not tied:
        return f"Fastest with right answers: {name}, {p50}{lead(first, others[0], baseline)}."
    names = listed([name, *(row.subject.name for row in tied)])
    limit = percent(max(unexcluded(beside[row.subject.index]) for row in tied))
    return (
        f"Fastest with right answers: {names}; between "
        f"{'the two' if len(tied) == 1 else f'{name} and the others'} no difference is shown "
        f"(smaller than ±{limit} is not excluded)."
        f"{lead_alone(first, baseline)}"
    )


def lead(first: Row, second: Row, baseline: str) -> str:
    """By how much the fastest leads: over the baseline, or, where it is that, over the next."""
    if first.subject.name != baseline:
        return f", {first.ratio.text} than {baseline}" if first.ratio else ""
    behind = f"; the next, {second.subject.name}, is {second.ratio.text}" if second.ratio else ""
    return f", the baseline{behind}"


def lead_alone(first: Row, baseline: str) -> str:
    """The same where others are as fast: a sentence on the first and the baseline."""
    if first.ratio is None or not first.ratio.different:
        return ""
    return f" {first.subject.name} is {first.ratio.text} than {baseline}."


def unexcluded(ratio: Ratio) -> float:
    """The largest difference from 1 that the interval holds."""
    low, high = ratio.low or ratio.middle, ratio.high or ratio.middle
    return max(abs(1 - low), abs(high - 1))


def left_out(tables: Sequence[Table], standing: Standing) -> Iterator[str]:
    """One sentence for the targets of one standing; the reasons where they are few."""
    reasons: dict[str, str] = {}
    for table in tables:
        for row in table.part(standing):
            reasons.setdefault(row.subject.name, row.reason)
    word = standing[0].upper() + standing[1:]
    if len(reasons) <= FEW:
        yield from (f"{word}: {name} ({reason})." for name, reason in reasons.items())
    else:
        yield f"{word}: {listed(reasons)}; each row says why."
