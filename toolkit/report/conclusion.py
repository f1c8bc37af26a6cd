"""The answer in sentences: what is fastest among the right, how sure, and what was not shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from toolkit.measure.stats import FEWEST, starts_needed
from toolkit.records.schema import Run
from toolkit.report.ratios import beside_the_first, through_the_baseline
from toolkit.report.view import Conclusion, Ratio, Row, Standing, Table
from toolkit.report.words import counted, listed, printable, timed
from toolkit.units import percent

FEW = 3


def conclusions(tables: Sequence[Table]) -> tuple[Conclusion, ...]:
    """What is fastest; cases with the same headline are told together."""
    if len(tables) == 1:
        return (tables[0].conclusion,)
    cases: dict[str, list[Table]] = {}
    for table in tables:
        cases.setdefault(table.conclusion.headline, []).append(table)
    return tuple(
        Conclusion(
            headline=f"At {listed(case_name(one) for one in same)}, {lowered(headline)}",
            details=tuple(
                f"At {case_name(one)}: {lowered(detail)}"
                for one in same
                for detail in one.conclusion.details
            ),
        )
        for headline, same in cases.items()
    )


def case_name(table: Table) -> str:
    return printable(table.case.name)


def lowered(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


def without_rank(tables: Sequence[Table]) -> tuple[str, ...]:
    """What was not shown to be right, and what was not measured."""
    return (
        *left_out(tables, Standing.NOT_RIGHT),
        *left_out(tables, Standing.NOT_MEASURED),
    )


def fastest(run: Run, case: int, ranked: Sequence[Row], baseline: str) -> Conclusion:
    """Which is fastest at one case; `ranked` is in the order of speed."""
    if not ranked:
        return Conclusion("No target is ranked: none was both measured and right.")
    first, *others = ranked
    name = first.target.name
    takes = f"A call takes {timed(first.speed.p50)[0]}" if first.speed else ""
    if not others:
        return Conclusion(f"The only target that is measured and right: {name}.", (f"{takes}.",))
    indices = [row.target.index for row in others]
    beside = beside_the_first(run, case, first.target.index, indices)
    for row in others:  # In another group: each was paired with the baseline alone.
        if row.target.index not in beside and first.ratio and row.ratio:
            indirect = through_the_baseline(first.ratio, row.ratio)
            beside |= {row.target.index: indirect} if indirect else {}
    if too_few := few(run, beside):
        return Conclusion(f"Lowest latency with right answers: {name}.", (f"{takes}. {too_few}",))
    tied = [row for row in others if not_shown(beside.get(row.target.index))]
    if not tied:
        return Conclusion(
            f"Fastest with right answers: {name}.",
            (f"{takes}{lead(first, others[0], baseline)}.",),
        )
    names = [name, *(row.target.name for row in tied)]
    limit = percent(max(unexcluded(beside[row.target.index]) for row in tied))
    pair = "the two" if len(tied) == 1 else f"{name} and the others"
    return Conclusion(
        f"Fastest with right answers: {listed(names)}.",
        (
            f"Between {pair} no difference is shown (smaller than ±{limit} is not excluded)."
            f"{lead_alone(first, baseline)}",
        ),
        tuple(names),
    )


def few(run: Run, beside: Mapping[int, Ratio]) -> str:
    """Said where so few process starts can show nothing; empty: they can."""
    fewest = min((ratio.starts for ratio in beside.values()), default=0)
    starts, are = counted(fewest, "process start"), "is" if fewest == 1 else "are"
    if any(ratio.low is None for ratio in beside.values()):
        return f"{starts} {are} too few to say how sure that is: {FEWEST} are needed."
    if any(ratio.undecidable for ratio in beside.values()):
        needed = starts_needed(len(beside), run.plan.alpha)
        return f"{starts} {are} too few to tell so many targets apart: {needed} are needed."
    return ""


def not_shown(ratio: Ratio | None) -> bool:
    """Not shown to differ; a target that never ran beside the first is not compared."""
    return ratio is not None and not ratio.different


def lead(first: Row, second: Row, baseline: str) -> str:
    """By how much the fastest leads: over the baseline, or, where it is that, over the next."""
    if first.target.name == baseline:
        behind = f". The next, {second.target.name}, is {beyond(second)}" if beyond(second) else ""
        return f"; it is the baseline{behind}"
    return f", {beyond(first)} than {baseline}" if beyond(first) else ""


def lead_alone(first: Row, baseline: str) -> str:
    """The same where others are as fast: a sentence on the first and the baseline."""
    return f" {first.target.name} is {beyond(first)} than {baseline}." if beyond(first) else ""


def beyond(row: Row) -> str:
    """The ratio in words where it is a difference that is shown."""
    return row.ratio.text if row.ratio and row.ratio.different else ""


def unexcluded(ratio: Ratio) -> float:
    """The largest difference from 1 that the interval holds."""
    low, high = ratio.low or ratio.middle, ratio.high or ratio.middle
    return max(abs(1 - low), abs(high - 1))


def left_out(tables: Sequence[Table], standing: Standing) -> Iterator[str]:
    """One sentence for the targets of one standing; the reasons where they are few."""
    reasons: dict[str, str] = {}
    for table in tables:
        for row in table.part(standing):
            reasons.setdefault(row.target.name, row.reason)
    word = standing[0].upper() + standing[1:]
    if len(reasons) <= FEW:
        yield from (f"{word}: {name} ({reason})." for name, reason in reasons.items())
    else:
        yield f"{word}: {listed(reasons)}; each row says why."
