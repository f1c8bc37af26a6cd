"""Tables of words without a form yet: Markdown and the page both show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from toolkit.answers.card import CardRow
from toolkit.records.schema import Generation
from toolkit.report.scaling import Scaling
from toolkit.report.view import PARTS, Row, Speed, Standing, Subject, Table, View
from toolkit.report.words import Spread, counted, factor, figure, grouped, listed, printable, timed
from toolkit.units import THIN, Number, duration, percent, size

LEVELS = ("p90", "p95", "p99", "p99.9")
NONE = "–"


@dataclass(frozen=True)
class Grid:
    """Heads and cells. `numbers`: the columns that are set to the right."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: frozenset[int] = frozenset()
    marked: frozenset[tuple[int, int]] = frozenset()
    """(row, column) of the cells that deviate."""


def ranked(table: Table) -> Grid:
    """The targets with right answers, by speed."""
    right = table.part(Standing.RANKED)
    levels = [name for name in LEVELS if any(carried(row.speed, name) for row in right)]
    head = ("target", "p50", "range", against(table), "answers", *levels, "calls a second")
    rows = [
        (
            row.subject.name,
            *timed(speed.p50),
            row.says,
            row.answers,
            *(percentile(speed, name) for name in levels),
            rate(speed),
        )
        for row in right
        if (speed := row.speed) is not None
    ]
    return Grid(head, tuple(rows), frozenset({1, *range(5, len(head))}))


def others(table: Table) -> Grid:
    """The targets without a rank, and why."""
    rows = [
        (
            row.subject.name,
            timed(row.speed.p50)[0] if row.speed else NONE,
            row.answers,
            "; ".join((row.says, *row.cures)),
        )
        for row in table.rows
        if row.standing is not Standing.RANKED
    ]
    return Grid(("target", "p50", "answers", "why it has no rank"), tuple(rows), frozenset({1}))


def against(table: Table) -> str:
    return f"against {table.baseline}" if table.baseline else "against –"


def carried(speed: Speed | None, name: str) -> float | None:
    """A percentile, seconds, where the samples carry it."""
    return speed.quantiles.percentiles.get(name) if speed and speed.quantiles else None


def percentile(speed: Speed, name: str) -> str:
    """A percentile, or how many calls it lacks."""
    found = carried(speed, name)
    if found is not None:
        return duration(found)
    needed = speed.quantiles.missing.get(name) if speed.quantiles else None
    calls = speed.quantiles.calls if speed.quantiles else 0
    return f"{needed - calls:,} calls missing" if needed else NONE


def rate(speed: Speed) -> str:
    """Calls a second, and rows where a call works on several."""
    rows = f" ({grouped(speed.rate * speed.rows)} rows)" if speed.rows > 1 else ""
    return f"{grouped(speed.rate)}{rows}"


def facts(subjects: Sequence[Subject]) -> Grid:
    """What ran, where its nodes were placed, and which copies its numbers hold."""
    rows = [
        (one.name, one.target.name, one.library or NONE, one.placement or NONE, one.copies or NONE)
        for one in subjects
    ]
    shown = [tuple(map(printable, row)) for row in rows]
    return Grid(("target", "as typed", "library", "placement", "copies inside"), tuple(shown))


def answers(subjects: Sequence[Subject]) -> Grid:
    """Every output of every judged target, with its error and the evidence."""
    rows = [
        (
            one.name,
            printable(output.output),
            printable(" or ".join(output.names)),
            factor(output.factor),
            figure(output.max_abs),
            worst(output.worst, output.got, output.expected),
            printable(output.evidence),
        )
        for one in subjects
        if one.verdict
        for output in one.verdict.outputs
    ]
    head = ("target", "output", "verdict", "error", "largest error", "worst element", "evidence")
    return Grid(head, tuple(rows), frozenset({3, 4}))


def worst(index: Sequence[int], got: Number, expected: Number) -> str:
    """'[3, 1]: 0.501 for 0.5'."""
    place = ", ".join(map(str, index))
    return f"[{place}]: {figure(got, 6)} for {figure(expected, 6)}"


def cold(subjects: Sequence[Subject]) -> Grid:
    """Cold start and memory, median and range over the process starts; and what a runtime made of
    the model before that, once, where one did."""
    shown = [one for one in subjects if any(one.cold.parts().values()) or one.use.resident]
    rows = [
        (
            one.name,
            conversion(one),
            *(time_range(part) for part in one.cold.parts().values()),
            time_range(one.cold.steady_after),
            memory_range(one.use.resident),
            memory_range(one.use.peak),
        )
        for one in shown
    ]
    head: tuple[str, ...] = (
        "target",
        "converted once",
        "import",
        "load",
        "first call",
        "new shape",
        "steady after",
        "memory above idle",
        "at its peak",
    )
    if all(conversion(one) == NONE for one in shown):
        head = (head[0], *head[2:])
        rows = [(row[0], *row[2:]) for row in rows]
    return Grid(head, tuple(rows), frozenset(range(1, len(head))))


def conversion(one: Subject) -> str:
    """'1.52 s → 35.2 KB'."""
    made = one.record.conversion if one.record else None
    return NONE if made is None else f"{duration(made.seconds)} → {size(made.size)}"


def scaling(found: Scaling) -> Grid:
    """Latency and throughput at each size, and how much faster a row is than at the first."""
    many = found.over == "batch"
    rows = [
        (
            curve.name,
            f"{point.size:,}",
            *timed(point.speed.p50),
            grouped(point.speed.rate * point.speed.rows),
            point.gain.text if point.gain else NONE,
        )
        for curve in found.curves
        for point in curve.points
    ]
    first = "a row, times as fast" if many else "times as fast"
    head = ("target", found.over, "p50", "range", "rows a second", first)
    return Grid(head, tuple(rows), frozenset({1, 2, 4}))


def parts(table: Table) -> Grid:
    """Where the time of a call goes: medians over the process starts."""
    rows = [
        (row.subject.name, *(_part(row.speed, name) for name in PARTS))
        for row in table.rows
        if row.speed
    ]
    return Grid(("target", *PARTS), tuple(rows), frozenset(range(1, len(PARTS) + 1)))


def _part(speed: Speed, name: str) -> str:
    found = speed.parts().get(name)
    return NONE if found is None else duration(found)


def time_range(part: Spread | None) -> str:
    """'150 ms (140 to 170)'."""
    if part is None:
        return NONE
    middle, around = timed(part)
    return f"{middle} ({around})"


def memory_range(part: Spread | None) -> str:
    """'12.1 MB (11.9 MB to 12.4 MB)'; a worker may also hold less than before."""
    if part is None:
        return NONE
    low, middle, high = (signed_size(value) for value in (part.low, part.middle, part.high))
    return middle if low == high else f"{middle} ({low} to {high})"


def signed_size(value: float) -> str:
    return f"{'−' if value < 0 else ''}{size(round(abs(value)))}"


def card(subjects: Sequence[Subject]) -> Grid:
    """What each runtime's Relu gives for the values that tell runtimes apart."""
    shown = [one for one in subjects if one.record and one.record.card]
    if not shown:
        return Grid((), ())
    cards = [{row.value: row for row in one.record.card} for one in shown if one.record]
    values = {row.value: row for held in cards for row in held.values()}
    rows = [
        (printable(value), figure(row.expected), *(given(held.get(value)) for held in cards))
        for value, row in values.items()
    ]
    marked = {
        (place, column)
        for place, value in enumerate(values)
        for column, held in enumerate(cards, start=2)
        if value in held and held[value].deviates
    }
    head = ("Relu of", "expected", *(one.name for one in shown))
    return Grid(head, tuple(rows), frozenset(range(1, len(head))), frozenset(marked))


def given(row: CardRow | None) -> str:
    """What it gave, alone and between two layers; one value where both are the same."""
    if row is None:
        return NONE
    alone, fused = (
        "refused" if value is None else figure(value) for value in (row.alone, row.fused)
    )
    return alone if alone == fused else f"{alone}; fused {fused}"


def card_notes(subjects: Sequence[Subject]) -> list[str]:
    """What the cells of the card cannot say, each thing once."""
    said: dict[tuple[str, str], list[str]] = {}
    for one in subjects:
        for row in one.record.card if one.record else ():
            if row.note:
                said.setdefault((row.value, row.note), []).append(one.name)
    return [
        printable(f"Relu of {value}, {listed(names)}: {note}")
        for (value, note), names in said.items()
    ]


def distribution(table: Table) -> Grid:
    """The percentiles of every target that shows a latency."""
    rows = [
        (
            row.subject.name,
            f"{speed.quantiles.calls:,}",
            duration(speed.p50.middle),
            *(percentile(speed, name) for name in LEVELS),
        )
        for row in table.rows
        if (speed := row.speed) is not None and speed.quantiles is not None
    ]
    head = ("target", "calls", "p50", *LEVELS)
    return Grid(head, tuple(rows), frozenset(range(1, len(head))))


def machine(view: View) -> Grid:
    """The machine during each process start."""
    on_gpu = any(one.devices for one in view.run.generations)
    rows = [
        (
            str(one.number),
            f"{one.started:.1f} to {one.ended:.1f}{THIN}s",
            ", ".join(map(str, one.cores)),
            figure(one.steal if isinstance(one.steal, str) else one.steal * 100, 2),
            figure(one.others, 2),
            busiest(one),
            *([gpus(one)] if on_gpu else []),
            "yes" if one.counted else "no",
        )
        for one in view.run.generations
    ]
    gpu = ("GPU",) if on_gpu else ()
    head = (
        "process start",
        "time",
        "cores",
        "steal, %",
        "other load, cores",
        "busiest, of a core",
        *gpu,
    )
    return Grid((*head, "counts"), tuple(rows), frozenset({0, 1, 3, 4}))


def busiest(one: Generation) -> str:
    """'cc1plus 40 %': the process that is not ours and took most, of a core."""
    if not one.busy:
        return NONE
    first = one.busy[0]
    return f"{printable(first.name)} {percent(first.cores)}"


def gpus(one: Generation) -> str:
    """'1980 MHz, 54 °C, held down by its power limit'."""
    said = []
    for device in one.devices:
        state = f"{device.clock:.0f}{THIN}MHz, {device.temperature:.0f}{THIN}°C"
        held = [printable(reason) for reason in device.throttled]
        said.append(f"{state}, held down by {listed(held)}" if held else state)
    return "; ".join(said) or NONE


def notes(view: View) -> Grid:
    """Every warning with its cure."""
    rows = [
        (one.where or "the run", f"{one.kind}: {one.detail}", one.advice.means, one.advice.do)
        for one in view.notes
    ]
    return Grid(("where", "seen", "what it means", "what to do"), tuple(rows))


def remarks(table: Table) -> list[str]:
    """What must be said of the ratios of one table."""
    said = []
    if table.changed:
        said.append(f"{table.changed}: the ratios are against {table.baseline} instead.")
    if table.apart:
        many = len(table.apart) > 1
        said.append(
            f"The {'ratios' if many else 'ratio'} of {listed(table.apart)} "
            f"{'are' if many else 'is'} paired block by block; the quotient of the p50s beside "
            f"{'them' if many else 'it'} lies outside the {'intervals' if many else 'interval'}."
        )
    return said


def missing(table: Table, samples: bool) -> list[str]:
    """Which percentiles are not shown, and what they need."""
    if not samples:
        return ["No percentile beyond p50: samples.npz is not beside the record."]
    lines = []
    for name in LEVELS:
        lacking = [row for row in table.rows if lacks(row, name)]
        if lacking:
            needs = max(lacks(row, name) for row in lacking)
            who = counted(len(lacking), "target")
            lines.append(
                f"{name} needs {needs:,} calls: {who} made fewer, so it is not shown there."
            )
    return lines


def lacks(row: Row, name: str) -> int:
    """Calls that a percentile needs where they were not made; else 0."""
    return row.speed.quantiles.missing.get(name, 0) if row.speed and row.speed.quantiles else 0
