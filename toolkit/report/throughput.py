"""Says which batch and how many threads to take: where more of them gives nothing more, what is
best within a limit of latency, and what a million rows cost.

T1  Only right rows are chosen, and of no others are rows a second and costs shown.
T2  Rows a second count whole calls, one after the other in one process, by their mean latency. The
    median over process starts stands with its exact interval, and so does the p50 that a limit is
    held against. An interval that holds the limit is not decided.
T3  The best is the one that has most rows a second, by ratios that are paired within each process
    start; those that are not shown to have fewer are named with it.
T4  More gives nothing more where the interval of the paired ratio ends below 1 % more.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from toolkit.measure.stats import FEWEST, MARGIN, Comparison, Outcome, compare, pseudomedian
from toolkit.records.pairing import Setting, effects_between
from toolkit.records.schema import Case, Run
from toolkit.report.ratios import decidable, ratio
from toolkit.report.scaling import (
    Curve,
    Over,
    Point,
    Scaling,
    alike,
    scalings,
    without_label,
    without_threads,
)
from toolkit.report.speed import BATCHES, batch
from toolkit.report.view import Ratio, Row, Speed, Standing, Table
from toolkit.report.words import Spread, counted, decimals, grouped, listed, printable, timed
from toolkit.units import THIN, Seconds, duration, percent, time_unit

MILLION = 1e6
HOUR = 3600
FEW = 3
"""Settings that a sentence names at most; of more it says how many there are."""
MOST_PAIRS = 66
"""All pairs of 12 settings: with more, each is compared with the leader alone (Hsu 1984)."""


@dataclass(frozen=True)
class TimedSetting:
    """A right target at one case."""

    row: Row
    speed: Speed
    setting: Setting
    name: str
    """'onnxruntime cpu, 2 threads at batch 8'; without the case where a run has one alone."""


@dataclass(frozen=True)
class Lead:
    """The setting with most rows a second, and those that are not shown to have fewer."""

    best: TimedSetting
    tied: tuple[TimedSetting, ...]
    hidden: float
    """The largest difference to one of these that could be hidden, as a share."""
    undecided: tuple[TimedSetting, ...]
    """Those that so few process starts could not tell from the best."""


@dataclass(frozen=True)
class Heat:
    """The rows a second of one target at several batches, each with several numbers of threads."""

    name: str
    """The target's label without its number of threads."""
    at: str
    """The other dimensions, as in `Scaling`."""
    cells: Mapping[tuple[int, int], Speed]
    """(threads, batch) → the speed there; what is not right or was not measured has none."""


def sentences(run: Run, tables: Sequence[Table]) -> tuple[str, ...]:
    """All that is said of a run: its limit, its price, then the sizes beyond which nothing more is
    found."""
    settings = right_settings(run, tables)
    lead, of_the_limit = _within(run, settings)
    return (
        *of_the_limit,
        *_cheapest(run, settings, lead),
        *_enough(run, scalings(run, tables)),
    )


def right_settings(run: Run, tables: Sequence[Table]) -> list[TimedSetting]:
    """Every right target at every case (T1)."""
    several = len(tables) > 1
    return [
        TimedSetting(
            row,
            row.speed,
            (row.target.index, case),
            f"{row.target.name} at {printable(table.case.name)}" if several else row.target.name,
        )
        for case, table in enumerate(tables)
        for row in table.part(Standing.RANKED)
        if row.speed is not None
    ]


def noun(case: Case) -> str:
    """What a call works on: 'rows', or 'calls' where no dimension is known to be the batch."""
    return "rows" if any(name in case.dims for name in BATCHES) else "calls"


def has_batches(run: Run) -> bool:
    """Says whether a call of some case works on more than one row."""
    return any(batch(case) > 1 for case in run.plan.cases)


# Within a limit


def _within(run: Run, settings: Sequence[TimedSetting]) -> tuple[Lead | None, list[str]]:
    """The best setting within the limit, and what is said of it; nothing without a limit."""
    limit = run.plan.latency_limit
    if limit is None or not settings:
        return None, []
    known = [each for each in settings if each.speed.within is not None]
    if not known:
        fewest = min(each.speed.starts for each in settings)
        starts, are = counted(fewest, "process start"), "is" if fewest == 1 else "are"
        few = f"{starts} {are} too few for an interval, {FEWEST} are needed"
        return None, [f"Not decided what is within {_limit(limit)}: {few}."]
    inside = [each for each in known if _ends(each)[1] <= limit]
    straddling = [each for each in known if _ends(each)[0] <= limit < _ends(each)[1]]
    if not inside:
        return None, [*_none_within(limit, known, straddling), *_open(straddling, limit)]
    lead = leader(run, inside)
    best = lead.best
    rows = noun(run.plan.cases[best.setting[1]])
    said = (
        f"Most {rows} a second within {_limit(limit)}: {best.name}, "
        f"{rows_words(best.speed.throughput)}; its p50 is {_p50(best)}.{_tail(best, limit)}"
    )
    faster = [each for each in straddling if _rate(each) > _rate(best)]
    return lead, [said, *_beside(lead), *_open(faster, limit)]


def _limit(limit: Seconds) -> str:
    """'20 ms': as it was typed, without places that say nothing."""
    factor, unit = time_unit(limit)
    return f"{limit / factor:g}{THIN}{unit}"


def _ends(setting: TimedSetting) -> tuple[Seconds, Seconds]:
    """The interval of the p50; from 0 to infinity where there is none."""
    return setting.speed.within or (0.0, math.inf)


def _none_within(
    limit: Seconds, known: Sequence[TimedSetting], straddling: Sequence[TimedSetting]
) -> Iterator[str]:
    if straddling:
        yield f"Nothing is shown to be within {_limit(limit)}."
        return
    least = min(known, key=lambda each: each.speed.p50.middle)
    yield (f"Nothing is within {_limit(limit)}: the least p50 is {_p50(least)}, of {least.name}.")


def _open(settings: Sequence[TimedSetting], limit: Seconds) -> Iterator[str]:
    """What is not decided, with its p50 and interval, which holds the limit (T2)."""
    texts = [f"{each.name}, with a p50 of {_p50(each)}" for each in settings[:FEW]]
    more = [f"{len(settings) - FEW} more"] if len(settings) > FEW else []
    if texts:
        yield f"Not decided whether it is within {_limit(limit)}: {listed([*texts, *more])}."


def _p50(setting: TimedSetting) -> str:
    """'18.2 ms (18.0 to 18.4)': the interval, and not the range."""
    low, high = _ends(setting)
    middle, around = timed(Spread(setting.speed.p50.middle, low, high))
    return f"{middle} ({around})"


def _tail(best: TimedSetting, limit: Seconds) -> str:
    """A sentence where one call in a hundred is known to take longer than the limit."""
    quantiles = best.speed.quantiles
    p99 = quantiles.percentiles.get("p99", 0.0) if quantiles else 0.0
    return f" Its p99, {duration(p99)}, is not." if p99 > limit else ""


# The best of several


def leader(run: Run, settings: Sequence[TimedSetting]) -> Lead:
    """The setting with most rows a second (T3); `settings`: at least one."""
    most = max(settings, key=_rate)

    def slowness(setting: TimedSetting) -> float:
        logs = _logs(run, most, setting)
        return pseudomedian(logs) if logs else _rate(most) / _rate(setting)

    best = min(settings, key=slowness)
    others = [each for each in settings if each is not best]
    ratios = _beside_the_best(run, best, others)
    tied = [each for each in others if _is_tied(ratios.get(each.setting))]
    undecided = [
        each
        for each in others
        if (known := ratios.get(each.setting)) is not None
        and (known.undecidable or known.low is None)
    ]
    hidden = max((_largest(ratios[each.setting]) for each in tied), default=0.0)
    return Lead(best, tuple(tied), hidden, tuple(undecided))


def _beside_the_best(
    run: Run, best: TimedSetting, others: Sequence[TimedSetting]
) -> dict[Setting, Ratio]:
    """The ratio of each other setting to the best, each taken as one of all pairs, since the data
    picked the best; as one of those with it where they are too many to be decided."""
    logs = {each.setting: _logs(run, best, each) for each in others}
    paired = {setting: values for setting, values in logs.items() if values}
    family = [*paired.values()]
    if math.comb(len(others) + 1, 2) <= MOST_PAIRS:
        rest = [_logs(run, a, b) for a, b in itertools.combinations(others, 2)]
        whole = [*family, *filter(None, rest)]
        family = whole if decidable(whole, run.plan.alpha) else family
    # Not strict: the comparisons of the rest stand behind those with the best.
    return {
        setting: ratio(comparison, len(values))
        for (setting, values), comparison in zip(
            paired.items(), compare(family, run.plan.alpha), strict=False
        )
    }


def _logs(run: Run, first: TimedSetting, other: TimedSetting) -> list[float]:
    """log(time a row of `other` / of `first`), one for each process start that has both."""
    less = math.log(other.speed.rows / first.speed.rows)
    logs = effects_between(run, first.setting, other.setting, means=True)
    return [value - less for value in logs]


def _is_tied(known: Ratio | None) -> bool:
    return bool(known and known.low and not known.different and not known.undecidable)


def _largest(known: Ratio) -> float:
    """The most by which the other could be ahead or behind, as a share."""
    # Without an interval nothing is tied: `or` only satisfies its type.
    return max(abs(1 - (known.low or 1.0)), abs((known.high or 1.0) - 1))


def _beside(lead: Lead) -> Iterator[str]:
    """Those that may be as good as the best."""
    if lead.tied:
        limit = percent(lead.hidden)
        yield f"No difference found to {_few(lead.tied)}; one of up to {limit} could be hidden."
    if lead.undecided:
        yield f"So few process starts cannot tell it from {_few(lead.undecided)}."


def _few(settings: Sequence[TimedSetting]) -> str:
    names = [each.name for each in settings[:FEW]]
    return listed([*names, *([f"{len(settings) - FEW} more"] if len(settings) > FEW else [])])


def _rate(setting: TimedSetting) -> float:
    return setting.speed.throughput.middle


def rows_words(rows: Spread) -> str:
    """'45,000 (44,100 to 46,000)'; without its interval where there is none."""
    if rows.low == rows.high:
        return grouped(rows.middle)
    return f"{grouped(rows.middle)} ({grouped(rows.low)} to {grouped(rows.high)})"


# What it costs


def _cheapest(run: Run, settings: Sequence[TimedSetting], within: Lead | None) -> Iterator[str]:
    """The setting at which rows cost least: within the limit where there is one."""
    price, limit = run.plan.price, run.plan.latency_limit
    if price is None or not settings or (limit is not None and within is None):
        return
    lead = within or leader(run, settings)
    best = lead.best
    rows = noun(run.plan.cases[best.setting[1]])
    where = f"Within {_limit(limit)} a" if limit is not None else "A"
    yield (
        f"{where} million {rows} cost least with {best.name}: "
        f"{cost_words(cost(best.speed, price))}, at {price:g} an hour."
    )
    if within is None:
        yield from _beside(lead)


def cost(speed: Speed, price: float) -> Spread:
    """What a million rows cost at a price of one hour, with the interval."""
    rows = speed.throughput
    each = price / HOUR * MILLION
    return Spread(each / rows.middle, each / rows.high, each / rows.low)


def cost_words(spread: Spread) -> str:
    """'0.00209 (0.00205 to 0.00213)'; without the interval where there is none."""
    if spread.low == spread.high:
        return f"{spread.middle:.{decimals(spread)}f}"
    places = max(decimals(spread), decimals(Spread(spread.middle, 0, 0), digits=2))
    middle, low, high = (f"{v:.{places}f}" for v in (spread.middle, spread.low, spread.high))
    return f"{middle} ({low} to {high})"


# Where more gives nothing more


def _enough(run: Run, curves: Sequence[Scaling]) -> Iterator[str]:
    """A sentence for each outcome, with all the targets that it is true of (T4)."""
    outcomes: dict[tuple[str, str], dict[str, list[str]]] = {}
    hidden: dict[tuple[str, str], float] = {}
    for scaling in curves:
        for curve in scaling.curves:
            outcome = _beyond(run, scaling.over, curve)
            if outcome is None:
                continue
            key, limit = outcome[:2], outcome[2]
            places = outcomes.setdefault(key, {}).setdefault(curve.name, [])
            places += [printable(scaling.at)] if scaling.at else []
            hidden[key] = max(limit, hidden.get(key, 0.0))
    for key, names in outcomes.items():
        sentence, end = key
        whose = [f"{name} (at {listed(at)})" if at else name for name, at in names.items()]
        yield f"{sentence} with {listed(whose)}{end.format(percent(hidden[key]))}."


def _beyond(run: Run, over: Over, curve: Curve) -> tuple[str, str, float] | None:
    """What is said of the sizes of a curve: the sentence before and behind the target's name, and
    the gain that could be hidden. None where that is not decided."""
    points = [point for point in curve.points if point.row.standing is Standing.RANKED]
    comparisons = _all_pairs(run, points)
    if comparisons is None:
        return None
    last = len(points) - 1
    enough = next(
        first
        for first in range(len(points))
        if not any(_shows_more(comparisons[first, more]) for more in range(first + 1, last + 1))
    )
    sizes = [point.size for point in points]
    if enough == last:
        still = _sized(over, sizes[last:])
        return f"{_capital(still)}, the most that was measured, still gives more", "", 0.0
    beyond = sizes[enough + 1 :]
    larger, least = _sized(over, beyond), _sized(over, sizes[enough : enough + 1])
    most = max(_gain(comparisons[enough, more]) for more in range(enough + 1, last + 1))
    if most <= MARGIN:
        give = "gives" if len(beyond) == 1 and over == "batch" else "give"
        return f"{_capital(larger)} {give} nothing more than {least}", "", 0.0
    preposition = "at" if over == "batch" else "with"
    nothing = f"Nothing more is found {preposition} {larger} than {preposition} {least}"
    return nothing, "; up to {} more could be hidden", most


def _all_pairs(run: Run, points: Sequence[Point]) -> dict[tuple[int, int], Comparison] | None:
    """Each point beside each larger one, all taken together; None where they were not all alive
    beside each other, or so few process starts cannot decide so many pairs."""
    pairs = [*itertools.combinations(range(len(points)), 2)]
    logs = []
    for first, more in pairs:
        left, right = points[first], points[more]
        less = math.log(right.speed.rows / left.speed.rows)
        logs.append([v - less for v in effects_between(run, left.setting, right.setting)])
    if not pairs or not decidable(logs, run.plan.alpha):
        return None
    compared = compare(logs, run.plan.alpha)
    if any(each.interval is None for each in compared):
        return None
    return dict(zip(pairs, compared, strict=True))


def _shows_more(comparison: Comparison) -> bool:
    return comparison.outcome is Outcome.DIFFERENT and comparison.ratio < 1


def _gain(comparison: Comparison) -> float:
    """The most by which the larger size could be faster, as a share; 0 where it is slower."""
    interval = comparison.interval
    return max(0.0, 1 / interval.low - 1) if interval else math.inf


def _sized(over: Over, sizes: Sequence[int]) -> str:
    """'batch 8', 'batches 8 and 64', '2 threads'."""
    numbers = listed(f"{size:,}" for size in sizes)
    if over == "batch":
        return f"{'batch' if len(sizes) == 1 else 'batches'} {numbers}"
    return f"{numbers} {'thread' if [*sizes] == [1] else 'threads'}"


def at_size(curves: Scaling, size: int) -> str:
    """'at batch 8, seq 32', 'with 2 threads at batch 8'."""
    if curves.over == "batch":
        return printable(f"at {_sized('batch', [size])}{f', {curves.at}' if curves.at else ''}")
    return printable(f"with {_sized('threads', [size])}{f' at {curves.at}' if curves.at else ''}")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


# Threads and batch together


def heats(run: Run, tables: Sequence[Table]) -> tuple[Heat, ...]:
    """The targets of which several batches were each measured with several numbers of threads."""
    return tuple(
        heat
        for at, cases in alike(run.plan.cases).items()
        for heat in _heats_of(at, [tables[case] for case in cases])
    )


def _heats_of(at: str, tables: Sequence[Table]) -> Iterator[Heat]:
    families: dict[str, dict[tuple[int, int], Speed]] = {}
    names: dict[str, str] = {}
    for table in tables:
        for row in table.part(Standing.RANKED):
            if row.speed is None:
                continue
            family = without_threads(row.target.planned.name)
            threads = row.target.planned.threads
            families.setdefault(family, {})[threads, row.speed.rows] = row.speed
            names.setdefault(family, without_label(row.target.name))
    for family, cells in families.items():
        if all(len({key[axis] for key in cells}) > 1 for axis in (0, 1)):
            yield Heat(names[family], at, cells)
