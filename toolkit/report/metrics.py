"""Says what labelled data showed: metrics, drops, gates, and the examples that flipped."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from toolkit.plaintext import line
from toolkit.records.metrics import LabelledData, MetricDrop, MetricValue
from toolkit.records.schema import Run
from toolkit.report.grids.grid import NONE, Grid
from toolkit.report.view import ShownTarget, View
from toolkit.report.words import counted, listed, printable
from toolkit.units import THIN, significant

MOST_PLACES = 20
"""The places of flipped examples that a sentence names."""


def value(shown: MetricValue) -> str:
    """'93.1 % (91.2 to 94.6)'."""
    middle, low, high = map(float, (shown.value, shown.low, shown.high))
    if not math.isfinite(middle):
        return "no number"
    digits = _decimals(low, high, shown.is_share)
    head = _number(middle, digits, shown.is_share)
    if not math.isfinite(low) or not math.isfinite(high):
        return f"{head}, no interval"
    return f"{head} ({_bare(low, digits, shown.is_share)} to {_bare(high, digits, shown.is_share)})"


def drop(shown: MetricDrop) -> str:
    """'93.1 → 92.8 %, 0.3 % lower (0.1 to 0.5)'."""
    before, after = float(shown.before), float(shown.after)
    middle, low, high = float(shown.drop), float(shown.low), float(shown.high)
    digits = _decimals(low, high, is_share=True)
    values = _values(before, after, digits, shown.is_share)
    if middle == low == high == 0:
        return f"{values}, the same in all {shown.examples:,} examples"
    if not math.isfinite(low) or not math.isfinite(high):
        return f"{values}, no interval"
    if not shown.shown:
        same = f"the same in all {shown.examples:,} examples"
        found = same if _is_alike(shown) else "no difference found"
        return f"{values}, {found}; a drop of up to {_hidden(shown)} could be hidden"
    worse = middle > 0
    ends = (low, high) if worse else (-high, -low)
    words = ("lower", "higher") if shown.is_share else ("worse", "better")
    change = _number(abs(middle), digits, is_share=True)
    span = " to ".join(_bare(end, digits, is_share=True) for end in ends)
    return f"{values}, {change} {words[0] if worse else words[1]} ({span})"


def cells(drops: Sequence[MetricDrop], names: Sequence[str]) -> Iterator[str]:
    """A cell for each metric of a table; none where a pair has not got it."""
    words = {each.metric: drop(each) for each in drops}
    yield from (words.get(name, NONE) for name in names)


def ruling(shown: MetricDrop | None, limit: float, outcome: str) -> str:
    """What a gate on the drop comes to, in a sentence."""
    if shown is None and outcome == "fails":
        return "there is no metric of the new one: it did not answer the examples"
    if shown is None:
        return "cannot tell whether the metric dropped: one of the two did not answer the examples"
    more = f"lower by more than {_number(limit, _limit_digits(limit), is_share=True)}"
    if not shown.is_share:
        more = more.replace("lower", "worse")
    sentence = {
        "fails": f"{shown.metric} is {more}",
        "holds": f"{shown.metric} is not {more}",
        "cannot tell": f"cannot tell whether {shown.metric} is {more}",
    }[outcome]
    return f"{sentence}: {drop(shown)}"


def grid(run: Run, targets: Sequence[ShownTarget]) -> Grid:
    """Every target with each metric, and with its verdict; what was not measured says why."""
    if run.data is None:
        return Grid((), ())
    names = [*dict.fromkeys(metric.name for record in run.records for metric in record.metrics)]
    drops = {(each.new, each.metric): each for each in run.data.drops}
    against = [*dict.fromkeys(each.old for each in run.data.drops)]
    base = targets[against[0]].name if len(against) == 1 else "its pair"
    rows = []
    for target in targets:
        known = {metric.name: metric for metric in target.record.metrics} if target.record else {}
        # Rule V1: no metric without a verdict of the same session.
        if target.verdict is None:
            known = {}
        answers = target.verdict.text if target.verdict else "not judged"
        measured = [value(known[name]) if name in known else NONE for name in names]
        paired = [
            drop(drops[target.index, name]) if (target.index, name) in drops and known else NONE
            for name in names[:1]
        ]
        rows.append((target.name, *measured, *(paired if drops else ()), answers))
    head = (
        "target",
        *names,
        *((f"{names[0]} against {base}",) if drops and names else ()),
        "answers",
    )
    return Grid(head, tuple(tuple(map(printable, row)) for row in rows))


def by_target(view: View) -> Iterator[list[str]]:
    """Of each target a line with its verdict and its metrics, and lines on old against new where
    not all examples have the same answers."""
    data = view.run.data
    for target in view.targets if data else ():
        known = target.record.metrics if target.record and target.verdict else []
        answers = target.verdict.text if target.verdict else "not judged"
        values = ", ".join(f"{metric.name} {value(metric)}" for metric in known)
        first = f"{target.name}, {answers}: {values or 'no metric, it did not answer them'}"
        pairs = [
            f"{each.metric} against {view.targets[each.old].name}: {drop(each)}"
            for each in (data.drops if data else ())
            if each.new == target.index and known and not _is_alike(each)
        ]
        yield [printable(text) for text in (first, *pairs)]


def alike(view: View) -> list[str]:
    """A sentence for each target that others agree with in every example."""
    data = view.run.data
    names: dict[tuple[int, str], list[str]] = {}
    for each in data.drops if data else ():
        if _is_alike(each):
            ends = f"{each.examples:,} examples; a drop of {each.metric} of up to {_hidden(each)}"
            names.setdefault((each.old, ends), []).append(view.targets[each.new].name)
    return [
        printable(
            f"{listed(same)} and {view.targets[old].name} have the same ones right in all {ends} "
            "could be hidden."
        )
        for (old, ends), same in names.items()
    ]


def _is_alike(shown: MetricDrop) -> bool:
    """Says whether old and new have just the same examples right."""
    return shown.lost == shown.won == 0


def _hidden(shown: MetricDrop) -> str:
    """The end of the interval: what a reader may have lost at most."""
    low, high = float(shown.low), float(shown.high)
    return _number(max(high, 0.0), _decimals(low, high, is_share=True), is_share=True)


def heading(data: LabelledData) -> str:
    """'on digits: 360 examples'; of how many, and why it ended, where not all were taken."""
    used = counted(data.used, "example")
    of = f" of {data.available:,}" if data.available not in (None, data.used) else ""
    why = {
        "all": "",
        "decided": f", the gate was decided at look {data.looks}",
        "time": ", the time was used",
    }[data.stopped]
    return line(f"{data.name}: {used}{of}{why}")


def reading(data: LabelledData) -> str:
    """How the numbers were made, in two sentences."""
    order = "in a random order" if data.seed is not None else "in the order in which they come"
    pairs = (
        " All targets answered the same examples; a difference is shown where its interval leaves "
        "out 0."
        if data.drops
        else ""
    )
    return (
        f"The examples were taken {order}, in sessions whose answers had been judged. In brackets: "
        f"95 % intervals.{pairs}"
    )


def flipped(view: View) -> list[str]:
    """Sentences on the examples that one of a pair alone has right, with their places."""
    data = view.run.data
    if data is None:
        return []
    sentences = []
    for each in data.drops:
        for verb, count, places in (
            ("lost", each.lost, each.lost_examples),
            ("won", each.won, each.won_examples),
        ):
            if count:
                new, old = (view.targets[index].name for index in (each.new, each.old))
                more = f" and {count - MOST_PLACES:,} more" if count > MOST_PLACES else ""
                shown = listed([str(place) for place in places[:MOST_PLACES]])
                sentences.append(
                    f"{new} has {verb} {counted(count, 'example')} against {old} in {each.metric}: "
                    f"{shown}{more}."
                )
    return [printable(sentence) for sentence in sentences]


def flips(view: View) -> Grid:
    """The first flipped examples, in words; a page shows their pictures too."""
    data = view.run.data
    rows = [
        (
            view.targets[each.new].name,
            str(flip.example),
            flip.label,
            flip.old,
            flip.new,
            flip.text or NONE,
        )
        for each in (data.drops if data else ())
        for flip in each.flips
    ]
    head = ("target", "example", "label", "old", "new", "text")
    kept = [
        column
        for column in range(len(head))
        if column < 5 or any(row[column] != NONE for row in rows)
    ]
    return Grid(
        tuple(head[column] for column in kept),
        tuple(tuple(printable(row[column]) for column in kept) for row in rows),
        frozenset({1}),
    )


def _values(before: float, after: float, digits: int, is_share: bool) -> str:
    if not math.isfinite(before) or not math.isfinite(after):
        return "no number"
    first, second = (_bare(each, digits, is_share) for each in (before, after))
    if first == second:
        return _number(after, digits, is_share)
    return f"{first} → {_number(after, digits, is_share)}"


def _number(number: float, digits: int, is_share: bool) -> str:
    return f"{_bare(number, digits, is_share)}{THIN}%" if is_share else _bare(number, digits, False)


def _bare(number: float, digits: int, is_share: bool) -> str:
    """A number without its unit: shares in percent, others with four figures."""
    if not is_share:
        return significant(number, 4)
    return f"{100 * number:.{digits}f}".replace("-", "−")


def _decimals(low: float, high: float, is_share: bool) -> int:
    """Decimals of a percentage, as its interval carries them."""
    half = 50 * (high - low)
    return 2 if is_share and 0 < half < 0.1 else 1


def _limit_digits(limit: float) -> int:
    return max(0, len(f"{100 * limit:g}".partition(".")[2]))
