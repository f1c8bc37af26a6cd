"""Turns the measurements into the table."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks import ledger
from benchmarks.ledger import Line
from benchmarks.peers.peer import KINDS, Reading
from benchmarks.rates import Rate, rate

SLOWER = [kind for kind, slower in KINDS.items() if slower]
"""The pairs whose second target is planted to be slower."""
OFF = {"1 %": 0.01, "2 %": 0.02, "5 %": 0.05}
"""Distances from 1 by which a ratio of equal targets counts as off."""


@dataclass(frozen=True)
class Same:
    """The sum of a tool's A/A measurements."""

    runs: int
    different: Rate | None
    """Measurements that were said to differ, wrongly; None: the tool says nothing."""
    off: Mapping[str, Rate]
    """Distance from 1 → measurements whose ratio was further off."""
    spread: float
    """The standard deviation of the log ratio."""
    hidden: float
    """The distance from 1 within which 95 % of the ratios lie: a slow-down of the calls that is
    smaller cannot be told from nothing."""


@dataclass(frozen=True)
class Planted:
    """The sum of a tool's measurements of one planted pair."""

    kind: str
    found: Rate | None
    """Measurements said to differ, on the right side; None: the tool says nothing."""
    reversed: Rate
    """Measurements from which the slower target came out as the faster one."""


@dataclass(frozen=True)
class Row:
    """One tool, or one estimator of it."""

    tool: str
    seconds: float
    """The time of a measurement, process starts included: the median."""
    share: float
    """The part of what it times that the calls are: the median."""
    same: Same | None
    planted: tuple[Planted, ...]


@dataclass(frozen=True)
class Measured:
    """One reading of one line, with its tool and pair."""

    tool: str
    kind: str
    seconds: float
    reading: Reading


def rows(lines: Sequence[Line]) -> list[Row]:
    """A row for each tool, in the order of its first line."""
    by_tool: dict[str, list[Measured]] = {}
    for line in lines:
        for reading in measured(line):
            by_tool.setdefault(reading.tool, []).append(reading)
    return [row(tool, readings) for tool, readings in by_tool.items()]


def measured(line: Line) -> Iterator[Measured]:
    """The readings of a line: one, or an estimator each."""
    for name, reading in line["readings"].items():
        tool = f"{line['peer']}, {name}" if name else line["peer"]
        yield Measured(tool, line["kind"], line["whole_s"], Reading(**reading))


def of_toolkit(lines: Sequence[Line]) -> list[Line]:
    """Turns lines of `benchmarks.trust` into lines of a peer: those of the same pairs and time."""
    return [
        {
            "peer": "toolkit",
            "kind": line["kind"],
            "whole_s": line["whole_s"],
            "readings": {"": {"ratio": line["ratio"], "differs": line["different"]}},
        }
        for line in lines
        if line["kind"] in KINDS and "refused" not in line
    ]


def with_toolkit(lines: Sequence[Line]) -> list[Line]:
    """Adds the lines of toolkit's own row, which stands last."""
    return [*lines, *of_toolkit(ledger.committed("trust").lines())]


def markdown(lines: Sequence[Line]) -> str:
    """The table as Markdown, toolkit among the tools."""
    return table(rows(with_toolkit(lines)))


def row(tool: str, measurements: Sequence[Measured]) -> Row:
    """Sums up one tool."""
    by_kind = {kind: [m.reading for m in measurements if m.kind == kind] for kind in KINDS}
    pairs = [planted(kind, by_kind[kind]) for kind in SLOWER if by_kind[kind]]
    return Row(
        tool=tool,
        seconds=float(np.median([m.seconds for m in measurements])),
        share=float(np.median([m.reading.share for m in measurements])),
        same=same(by_kind["A/A"]) if len(by_kind["A/A"]) > 1 else None,
        planted=tuple(pairs),
    )


def same(readings: Sequence[Reading]) -> Same:
    """Sums up two A/A readings or more."""
    logs = np.log([reading.ratio for reading in readings])
    # A tool that times more than the calls sees a share of their slow-down.
    of_calls = np.abs(logs) / [reading.share for reading in readings]
    return Same(
        runs=len(readings),
        different=differing([reading.differs for reading in readings]),
        off={
            name: rate(int(np.sum(np.abs(logs) > math.log1p(limit))), len(readings))
            for name, limit in OFF.items()
        },
        spread=float(np.std(logs, ddof=1)),
        # expm1 turns a distance of logs into a share.
        hidden=float(np.expm1(np.quantile(of_calls, 0.95))),
    )


def planted(kind: str, readings: Sequence[Reading]) -> Planted:
    """Sums up a pair whose second target is the slower one."""
    on_its_side = [reading.differs and reading.ratio > 1 for reading in readings]
    wrong = sum(reading.ratio < 1 for reading in readings)
    return Planted(kind, differing(on_its_side), rate(wrong, len(readings)))


def differing(words: Sequence[bool | None]) -> Rate | None:
    """The rate at which a tool says that two differ; None where it says nothing."""
    if None in words:
        return None
    return rate(sum(map(bool, words)), len(words))


# Markdown

HEAD = (
    "tool",
    "time",
    "A/A: said to differ",
    "off by > 1 / 2 / 5 %",
    "SD of ratio",
    "hidden",
    *(f"{kind}: {what}" for kind in SLOWER for what in ("found", "wrong order")),
)

NOTES = """\
The same target twice (A/A), and a second one that is known to be slower. *said to differ*: by the \
tool's own criterion (hyperfine has none: by our reading of its ±), *found*: on the right side; –: \
it has none. *off*: the A/A ratio was further from 1. *wrong order*: the slower target came out as \
the faster. *hidden*: 95 % of the A/A ratios lie within; a smaller slow-down cannot be told from \
nothing. benchmark_app times files only: what is slower has 2 or 3 % more layers, nominally. \
toolkit's row is that of `benchmarks.trust`, run in turns of minutes with this; its refused runs \
are told there."""


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown, with what the columns mean."""
    lines = [_line(HEAD), _line(["---"] * len(HEAD)), *(_line(_cells(row)) for row in rows)]
    notes = [NOTES, *(_diluted(row) for row in rows if row.share < 1)]
    return "\n".join([*lines, "", " ".join(notes)])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(row: Row) -> list[str]:
    by_kind = {pair.kind: pair for pair in row.planted}
    cells = [row.tool, f"{row.seconds:.0f} s", *_same(row.same)]
    for kind in SLOWER:
        pair = by_kind.get(kind)
        cells += [_count(pair.found), _count(pair.reversed)] if pair else ["–", "–"]
    return cells


def _same(same: Same | None) -> list[str]:
    if same is None:
        return ["–"] * 4
    off = " / ".join(str(rate.count) for rate in same.off.values())
    return [
        same.different.text if same.different else "–",
        f"{off} of {same.runs}",
        f"{same.spread:.2%}",
        f"{same.hidden:.1%}",
    ]


def _count(rate: Rate | None) -> str:
    return f"{rate.count} of {rate.of}" if rate else "–"


def _diluted(row: Row) -> str:
    share = f"{100 * row.share:.0f} %"
    return (
        f"{row.tool} times whole processes: the calls are {share} of that, and of a planted "
        f"slow-down it sees as much; *hidden* is that of the calls."
    )
