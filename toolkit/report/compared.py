"""Renders a comparison of old and new: for a terminal, for a pull request, and for a CI server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from xml.etree import ElementTree

import msgspec

from toolkit.measure.stats import Interval
from toolkit.plaintext import markdown as text
from toolkit.report import metrics
from toolkit.report.comparison import Gate, Pairing, Side
from toolkit.report.decision import ComparisonDecision
from toolkit.report.grids import latencies
from toolkit.report.grids.grid import NONE, Grid
from toolkit.report.markdown import decided as sentences
from toolkit.report.markdown import drawn
from toolkit.report.terminal import LABEL, decided, paragraph, styled
from toolkit.report.words import printable, timed, wrapped
from toolkit.units import duration, percent, size

ROOM = 14
"""Cells of the column that names what follows ('cold start'), its indent and a gap with it."""


@dataclass(frozen=True)
class Gates:
    """The limits of a comparison: it fails where one is crossed."""

    slower: float | None = None
    """The share by which a target may have become slower; None: any."""
    worse: bool = False
    """True: answers that have become worse fail."""
    strict: bool = False
    """True: what cannot be told fails too."""
    drop: float | None = None
    """The share by which the first metric on labelled data may be lower; None: any."""


@dataclass(frozen=True)
class Ruling:
    """The outcome of one gate for one pairing."""

    pairing: Pairing
    gate: str
    """'speed', 'answers' or 'metric'."""
    outcome: Gate
    text: str


def rulings(pairings: Sequence[Pairing], gates: Gates) -> list[Ruling]:
    """Holds every pairing to every gate that is set."""
    ruled = []
    for pairing in pairings:
        if gates.slower is not None:
            outcome = pairing.slower(gates.slower)
            ruled.append(Ruling(pairing, "speed", outcome, _speed(pairing, outcome, gates.slower)))
        if gates.worse:
            reason = pairing.worse or pairing.undecided or "no worse than before"
            ruled.append(Ruling(pairing, "answers", pairing.answers, reason))
    return ruled + ([] if gates.drop is None else _drops(pairings, gates.drop))


def _drops(pairings: Sequence[Pairing], limit: float) -> list[Ruling]:
    """The rulings on the metric: one a pair, whose examples are the same in every case."""
    pairs = {(pairing.old.name, pairing.name): pairing for pairing in reversed(pairings)}
    ruled = []
    for pairing in reversed(pairs.values()):
        outcome = pairing.dropped(limit)
        at = f"{pairing.drops[0].examples:,} examples" if pairing.drops else "no examples"
        text = metrics.ruling(pairing.drops[0] if pairing.drops else None, limit, str(outcome))
        ruled.append(Ruling(replace(pairing, case=at), "metric", outcome, text))
    return ruled


def fails(ruled: Sequence[Ruling], gates: Gates) -> bool:
    """True where the command has to end with 1."""
    failing = {Gate.FAILS, Gate.OPEN} if gates.strict else {Gate.FAILS}
    return any(ruling.outcome in failing for ruling in ruled)


def _speed(pairing: Pairing, outcome: Gate, limit: float) -> str:
    slower = f"slower by more than {percent(limit)}"
    sentence = {
        Gate.FAILS: slower,
        Gate.HOLDS: f"not {slower}",
        Gate.OPEN: f"cannot tell whether it is {slower}",
    }[outcome]
    return f"{sentence}: {pairing.words}"


def terminal(
    pairings: Sequence[Pairing],
    ruled: Sequence[Ruling],
    *,
    columns: int,
    colour: bool,
    notes: Sequence[str] = (),
    decision: ComparisonDecision | None = None,
) -> str:
    """The decision, each target with what is known of it, then what the gates say; ends with a
    newline."""
    lines = decided(decision, columns, colour, [pairing.name for pairing in pairings])
    lines += [line for pairing in pairings for line in _block(pairing, columns, colour)]
    for ruling in ruled:
        if ruling.outcome is not Gate.HOLDS:
            sentence = f"{ruling.pairing.name} at {ruling.pairing.case}: {ruling.text}"
            label = "fails" if ruling.outcome is Gate.FAILS else "open"
            first, *rest = paragraph(printable(sentence), columns)
            lines += [f"{label:<{LABEL}}{first[LABEL:]}", *rest]
    for note in (*notes, *apart(pairings)):
        first, *rest = paragraph(printable(note), columns)
        lines += [f"{'note':<{LABEL}}{first[LABEL:]}", *rest]
    if ruled and all(ruling.outcome is Gate.HOLDS for ruling in ruled):
        lines.append(f"{'gates':<{LABEL}}all hold")
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _block(pairing: Pairing, columns: int, colour: bool) -> Iterator[str]:
    """A line for each known thing, below the target's name."""
    known = grid([pairing])
    yield " " * LABEL + styled(printable(f"{pairing.name} · {pairing.case}"), "strong", colour)
    for name, cell in [*zip(known.head, known.rows[0], strict=True)][2:]:
        first, *rest = wrapped(cell, columns - LABEL - ROOM)
        yield f"{' ' * LABEL}  {name:<{ROOM - 2}}{first}"
        yield from (" " * (LABEL + ROOM) + line for line in rest)


def markdown(
    title: str,
    pairings: Sequence[Pairing],
    ruled: Sequence[Ruling],
    notes: Sequence[str] = (),
    decision: ComparisonDecision | None = None,
) -> str:
    """A section for a pull request: the decision, the table, and a line for each gate of each
    pairing."""
    outcomes = {Gate.HOLDS: "holds", Gate.FAILS: "**fails**", Gate.OPEN: "cannot tell"}
    lines = [
        f"- {outcomes[ruling.outcome]} · {text(ruling.pairing.name)} at "
        f"{text(ruling.pairing.case)}: {text(ruling.text)}"
        for ruling in ruled
    ]
    head = [f"### {text(title)}", *sentences(decision)]
    beneath = [*map(text, notes), *map(text, apart(pairings))]
    blocks = [*head, drawn(grid(pairings)), "\n".join(lines), *beneath]
    return "\n\n".join(block for block in blocks if block) + "\n"


def junit(title: str, ruled: Sequence[Ruling], decision: ComparisonDecision | None = None) -> bytes:
    """JUnit's XML: a case for each gate of each pairing; what cannot be told is skipped.

    The decision is a property of the suite, and what it printed: readers show one or the other.
    """
    failed = sum(ruling.outcome is Gate.FAILS for ruling in ruled)
    skipped = sum(ruling.outcome is Gate.OPEN for ruling in ruled)
    counts = {"tests": len(ruled), "failures": failed, "errors": 0, "skipped": skipped}
    suite = ElementTree.Element(
        "testsuite", {"name": printable(title), **{k: str(v) for k, v in counts.items()}}
    )
    if decision is not None:
        properties = ElementTree.SubElement(suite, "properties")
        said = {"name": "decision", "value": printable(decision.text)}
        ElementTree.SubElement(properties, "property", said)
    for ruling in ruled:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            {
                "classname": printable(ruling.pairing.name),
                "name": printable(f"{ruling.gate} at {ruling.pairing.case}"),
            },
        )
        if ruling.outcome is not Gate.HOLDS:
            # A skipped case stops no build: what cannot be told fails with --strict alone, by code.
            kind = "failure" if ruling.outcome is Gate.FAILS else "skipped"
            ElementTree.SubElement(case, kind, {"message": printable(ruling.text)})
    if decision is not None:  # JUnit's schema has it behind the cases.
        output = ElementTree.SubElement(suite, "system-out")
        output.text = "\n".join(map(printable, decision.paragraphs))
    document: bytes = ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def apart(pairings: Sequence[Pairing]) -> list[str]:
    """The sentence on ratios that the two p50s beside them do not give; empty where all do."""
    names = [
        printable(f"{pairing.name} at {pairing.case}")
        for pairing in pairings
        if pairing.interval and pairing.old.p50 and pairing.new.p50
        if not _holds(pairing.interval, pairing.new.p50.middle / pairing.old.p50.middle)
    ]
    return latencies.apart("ratio", names)


def _holds(interval: Interval, quotient: float) -> bool:
    return interval.low <= quotient <= interval.high


def json(
    title: str,
    pairings: Sequence[Pairing],
    ruled: Sequence[Ruling],
    notes: Sequence[str],
    decision: ComparisonDecision | None,
) -> str:
    """All of a comparison as JSON, the decision first. A number that is none is null."""
    gates = [
        {
            "target": ruling.pairing.name,
            "case": ruling.pairing.case,
            "gate": ruling.gate,
            "outcome": ruling.outcome,
            "text": ruling.text,
        }
        for ruling in ruled
    ]
    whole = {
        "decision": decision,
        "title": title,
        "pairings": pairings,
        "gates": gates,
        "notes": notes,
    }
    return msgspec.json.format(msgspec.json.encode(whole)).decode()


def grid(pairings: Sequence[Pairing]) -> Grid:
    """One row a target and case, old → new. Columns in which nothing is known are left out."""
    names = [*dict.fromkeys(drop.metric for pairing in pairings for drop in pairing.drops)]
    rows = [
        (
            pairing.name,
            pairing.case,
            _change(_latency(pairing.old), _latency(pairing.new)),
            pairing.words,
            _change(pairing.old.answers, _answers(pairing.new)),
            pairing.agreement.removeprefix("top class ") or NONE,
            _change(_cold(pairing.old), _cold(pairing.new)),
            _change(_memory(pairing.old), _memory(pairing.new)),
            _change(size(pairing.old.size), size(pairing.new.size)),
            *metrics.cells(pairing.drops, names),
        )
        for pairing in pairings
    ]
    head = (
        *("target", "at", "p50", "time", "answers", "top class", "cold start", "memory", "file"),
        *names,
    )
    # The first two columns say which row it is.
    kept = [c for c in range(len(head)) if c < 2 or any(row[c] != NONE for row in rows)]
    cells = tuple(tuple(printable(row[c]) for c in kept) for row in rows)
    return Grid(tuple(head[c] for c in kept), cells)


def _change(old: str, new: str) -> str:
    return old if old == new else f"{old} → {new}"


def _latency(side: Side) -> str:
    return timed(side.p50)[0] if side.p50 else NONE


def _answers(side: Side) -> str:
    """The verdict; behind it the reason of a target that is not right or was not measured."""
    return side.answers if side.right or not side.reason else f"{side.answers} ({side.reason})"


def _cold(side: Side) -> str:
    return duration(side.cold) if side.cold else NONE


def _memory(side: Side) -> str:
    # A process may hold less after the load than before it: shown as nothing, not as a gain.
    return NONE if side.memory is None else size(round(max(0.0, side.memory)))
