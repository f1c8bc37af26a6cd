"""From the measurements to the table."""

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
OFF = {"1 %": 0.01, "2 %": 0.02, "5 %": 0.05}


@dataclass(frozen=True)
class Same:
    """What the A/A measurements of a tool showed."""

    runs: int
    different: Rate | None
    """Said so, and wrongly; None: the tool says nothing."""
    off: Mapping[str, Rate]
    """The ratio was further from 1 than that."""
    spread: float
    """Standard deviation of the log ratio."""
    hidden: float
    """Within it lie 95 % of the ratios: a slow-down of the calls that is smaller cannot be told
    from nothing."""


@dataclass(frozen=True)
class Planted:
    """What the measurements of one planted pair showed."""

    kind: str
    found: Rate | None
    """Said to differ, on the right side; None: the tool says nothing."""
    reversed: Rate
    """The slower target came out as the faster one."""


@dataclass(frozen=True)
class Row:
    """One tool, or one estimator of it."""

    tool: str
    seconds: float
    """Of a measurement, process starts included: the median."""
    share: float
    """Of what it times, the part that the calls are: the median."""
    same: Same | None
    planted: tuple[Planted, ...]


@dataclass(frozen=True)
class Measured:
    """One reading of one line."""

    tool: str
    kind: str
    seconds: float
    reading: Reading


def rows(lines: Sequence[Line]) -> list[Row]:
    """A row for each tool, in the order of its first line."""
    by_tool: dict[str, list[Measured]] = {}
    for line in lines:
        for one in measured(line):
            by_tool.setdefault(one.tool, []).append(one)
    return [row(tool, some) for tool, some in by_tool.items()]


def measured(line: Line) -> Iterator[Measured]:
    """The readings of a line: one, or an estimator each."""
    for name, reading in line["readings"].items():
        tool = f"{line['peer']}, {name}" if name else line["peer"]
        yield Measured(tool, line["kind"], line["whole_s"], Reading(**reading))


def of_toolkit(lines: Sequence[Line]) -> list[Line]:
    """The lines of `benchmarks.trust` as lines of a peer: those of the same pairs and time."""
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
    """Toolkit's own row stands last."""
    return [*lines, *of_toolkit(ledger.of("trust").lines())]


def markdown(lines: Sequence[Line]) -> str:
    """The table, toolkit among the tools."""
    return table(rows(with_toolkit(lines)))


def row(tool: str, some: Sequence[Measured]) -> Row:
    """Of one tool."""
    by_kind = {kind: [one.reading for one in some if one.kind == kind] for kind in KINDS}
    pairs = [planted(kind, by_kind[kind]) for kind in SLOWER if by_kind[kind]]
    return Row(
        tool=tool,
        seconds=float(np.median([one.seconds for one in some])),
        share=float(np.median([one.reading.share for one in some])),
        same=same(by_kind["A/A"]) if len(by_kind["A/A"]) > 1 else None,
        planted=tuple(pairs),
    )


def same(readings: Sequence[Reading]) -> Same:
    """Of two A/A readings or more."""
    logs = np.log([one.ratio for one in readings])
    of_calls = np.abs(logs) / [one.share for one in readings]
    return Same(
        runs=len(readings),
        different=said([one.differs for one in readings]),
        off={
            name: rate(int(np.sum(np.abs(logs) > math.log1p(limit))), len(readings))
            for name, limit in OFF.items()
        },
        spread=float(np.std(logs, ddof=1)),
        hidden=float(np.expm1(np.quantile(of_calls, 0.95))),
    )


def planted(kind: str, readings: Sequence[Reading]) -> Planted:
    """Of a pair whose second target is the slower one."""
    on_its_side = [one.differs and one.ratio > 1 for one in readings]
    wrong = sum(one.ratio < 1 for one in readings)
    return Planted(kind, said(on_its_side), rate(wrong, len(readings)))


def said(words: Sequence[bool | None]) -> Rate | None:
    """How often it said so; None where it says nothing."""
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


def table(found: Sequence[Row]) -> str:
    """With what its columns mean."""
    lines = [_line(HEAD), _line(["---"] * len(HEAD)), *(_line(_cells(one)) for one in found)]
    notes = [NOTES, *(_diluted(one) for one in found if one.share < 1)]
    return "\n".join([*lines, "", " ".join(notes)])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(one: Row) -> list[str]:
    by_kind = {some.kind: some for some in one.planted}
    cells = [one.tool, f"{one.seconds:.0f} s", *_same(one.same)]
    for kind in SLOWER:
        some = by_kind.get(kind)
        cells += [_of(some.found), _of(some.reversed)] if some else ["–", "–"]
    return cells


def _same(same: Same | None) -> list[str]:
    if same is None:
        return ["–"] * 4
    off = " / ".join(str(one.count) for one in same.off.values())
    return [
        same.different.text if same.different else "–",
        f"{off} of {same.runs}",
        f"{same.spread:.2%}",
        f"{same.hidden:.1%}",
    ]


def _of(one: Rate | None) -> str:
    return f"{one.count} of {one.of}" if one else "–"


def _diluted(one: Row) -> str:
    share = f"{100 * one.share:.0f} %"
    return (
        f"{one.tool} times whole processes: the calls are {share} of that, and of a planted "
        f"slow-down it sees as much; *hidden* is that of the calls."
    )
