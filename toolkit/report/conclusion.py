"""Concludes from the tables: which right target is fastest, how sure that is, who has no rank."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from toolkit.measure.stats import FEWEST, starts_needed
from toolkit.records.schema import Run
from toolkit.report.ratios import beside_the_first, through_the_baseline
from toolkit.report.view import Conclusion, Ratio, Row, Standing, Table
from toolkit.report.words import counted, listed, printable, timed
from toolkit.units import percent

FEW = 3
"""Up to so many targets without a rank get a sentence each; more would push the table off the
screen, and their rows have the reasons."""
CURE = (
    "Samples of your own may tell more: --inputs FOLDER. "
    "--accept undecided takes what is not shown."
)
"""The way on where answers are not shown."""


def conclusions(tables: Sequence[Table]) -> tuple[Conclusion, ...]:
    """The conclusion of each case; cases with the same headline share one."""
    if len(tables) == 1:
        return (tables[0].conclusion,)
    by_headline: dict[str, list[Table]] = {}
    for table in tables:
        by_headline.setdefault(table.conclusion.headline, []).append(table)
    return tuple(_shared(headline, same) for headline, same in by_headline.items())


def _shared(headline: str, tables: Sequence[Table]) -> Conclusion:
    """One conclusion for cases with the same headline; each sentence names its case."""
    return Conclusion(
        headline=f"At {listed(map(_case_name, tables))}, {_lowered(headline)}",
        details=tuple(
            f"At {_case_name(table)}: {_lowered(detail)}"
            for table in tables
            for detail in table.conclusion.details
        ),
    )


def _case_name(table: Table) -> str:
    return printable(table.case.name)


def _lowered(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


def without_rank(tables: Sequence[Table]) -> tuple[str, ...]:
    """Sentences on the targets that are not shown to be right, on those that are not right, then on
    those that were not measured."""
    return (
        *not_shown(tables),
        *_left_out(tables, Standing.NOT_RIGHT),
        *_left_out(tables, Standing.NOT_MEASURED),
    )


def not_shown(tables: Sequence[Table]) -> tuple[str, ...]:
    """Sentences on the targets that are not shown to be right, and on what to do about it."""
    sentences = tuple(_left_out(tables, Standing.NOT_SHOWN))
    return (*sentences, CURE) if sentences else ()


def _left_out(tables: Sequence[Table], standing: Standing) -> Iterator[str]:
    """A sentence with its reason for each target of a standing; one for all where they are many."""
    reasons: dict[str, str] = {}
    for table in tables:
        for row in table.part(standing):
            # A target may have another reason at each case; the first stands for all.
            reasons.setdefault(row.target.name, row.reason)
    word = standing[0].upper() + standing[1:]
    if len(reasons) <= FEW:
        yield from (f"{word}: {name} ({reason})." for name, reason in reasons.items())
    else:
        yield f"{word}: {listed(reasons)}; each row says why."


def none_ranked(not_shown: Sequence[Row]) -> Conclusion:
    """Concludes where no target is ranked. `not_shown` is in the order of speed."""
    if not not_shown:
        return Conclusion("No target is ranked: none was both measured and right.")
    first = not_shown[0]
    takes = f" takes {timed(first.speed.p50)[0]}, the least of these" if first.speed else ""
    return Conclusion(
        "No target is ranked: of no answers was it shown that they are right.",
        (f"A call of {first.target.name}{takes}.",) if takes and len(not_shown) > 1 else (),
    )


def fastest(run: Run, case: int, ranked: Sequence[Row], baseline: str) -> Conclusion:
    """Concludes which target is fastest at one case.

    `ranked`, at least one, is in the order of speed; `baseline` is the name of the row that the
    others are divided by. Whoever is not shown to be slower than the first is named with it.
    """
    first, *others = ranked
    name = first.target.name
    takes = f"A call takes {timed(first.speed.p50)[0]}" if first.speed else ""
    if not others:
        return Conclusion(f"The only target that is measured and right: {name}.", (f"{takes}.",))
    ratios = _beside(run, case, first, others)
    # Without an interval 'fastest' would be a claim: the lowest latency is only what was seen.
    if too_few := _too_few_starts(run, ratios):
        return Conclusion(f"Lowest latency with right answers: {name}.", (f"{takes}. {too_few}",))
    tied = [row for row in others if _not_shown(ratios.get(row.target.index))]
    if tied:
        return _shared_lead(first, tied, ratios, baseline)
    lead = _lead(first, others[0], baseline)
    return Conclusion(f"Fastest with right answers: {name}.", (f"{takes}{lead}.",))


def _beside(run: Run, case: int, first: Row, others: Sequence[Row]) -> dict[int, Ratio]:
    """The ratio of each other target to the first, by its index.

    A target of another group was never alive beside the first: both were paired with the baseline,
    and their ratio goes through it.
    """
    indices = [row.target.index for row in others]
    ratios = beside_the_first(run, case, first.target.index, indices)
    for row in others:
        if row.target.index not in ratios and first.ratio and row.ratio:
            indirect = through_the_baseline(first.ratio, row.ratio)
            ratios |= {row.target.index: indirect} if indirect else {}
    return ratios


def _shared_lead(
    first: Row, tied: Sequence[Row], ratios: Mapping[int, Ratio], baseline: str
) -> Conclusion:
    """Names the first and those that are not shown to differ from it together."""
    names = [first.target.name, *(row.target.name for row in tied)]
    limit = percent(max(_unexcluded(ratios[row.target.index]) for row in tied))
    pair = "the two" if len(tied) == 1 else f"{names[0]} and the others"
    beyond = _beyond(first)
    lead = f" {names[0]} is {beyond} than {baseline}." if beyond else ""
    return Conclusion(
        f"Fastest with right answers: {listed(names)}.",
        (f"Between {pair} no difference is found; one of up to {limit} could be hidden.{lead}",),
        tuple(names),
    )


def _too_few_starts(run: Run, ratios: Mapping[int, Ratio]) -> str:
    """A sentence where so few process starts can show no difference; empty where they can."""
    fewest = min((ratio.starts for ratio in ratios.values()), default=0)
    starts, are = counted(fewest, "process start"), "is" if fewest == 1 else "are"
    if any(ratio.low is None for ratio in ratios.values()):
        return f"{starts} {are} too few to say how sure that is: {FEWEST} are needed."
    if any(ratio.undecidable for ratio in ratios.values()):
        needed = starts_needed(len(ratios), run.plan.alpha)
        return f"{starts} {are} too few to tell so many targets apart: {needed} are needed."
    return ""


def _not_shown(ratio: Ratio | None) -> bool:
    """True where no difference is found; a target without a ratio to the first is not compared."""
    return ratio is not None and not ratio.different


def _lead(first: Row, second: Row, baseline: str) -> str:
    """The lead of the fastest: over the baseline, or, if it is the baseline, over the next."""
    if first.target.name == baseline:
        beyond = _beyond(second)
        behind = f". The next, {second.target.name}, is {beyond}" if beyond else ""
        return f"; it is the baseline{behind}"
    return f", {_beyond(first)} than {baseline}" if _beyond(first) else ""


def _beyond(row: Row) -> str:
    """The ratio to the baseline in words where the difference is shown; else empty."""
    return row.ratio.text if row.ratio and row.ratio.different else ""


def _unexcluded(ratio: Ratio) -> float:
    """The largest difference from 1 that lies in the interval, as a share."""
    # A ratio without an interval never ties: `or` only satisfies its type.
    low, high = ratio.low or ratio.middle, ratio.high or ratio.middle
    return max(abs(1 - low), abs(high - 1))
