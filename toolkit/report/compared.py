"""A comparison of old and new: for a terminal, for a pull request, and for a CI server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from toolkit.report.comparison import Gate, Pairing, Side
from toolkit.report.grids.grid import NONE, Grid
from toolkit.report.markdown import drawn, text
from toolkit.report.terminal import LABEL, paragraph, styled
from toolkit.report.words import printable, timed, wrapped
from toolkit.units import duration, percent, size

ROOM = 14
"""Width of the names of what is known of a target."""


@dataclass(frozen=True)
class Gates:
    """What makes a comparison fail."""

    slower: float | None = None
    """The share by which a target may have become slower."""
    worse: bool = False
    """Answers that have become worse."""
    strict: bool = False
    """What cannot be told fails too."""


@dataclass(frozen=True)
class Ruling:
    """What one gate says of one pairing."""

    pairing: Pairing
    gate: str
    """'speed' or 'answers'."""
    outcome: Gate
    text: str


def rulings(pairings: Sequence[Pairing], gates: Gates) -> list[Ruling]:
    """Every gate on every pairing."""
    found = []
    for one in pairings:
        if gates.slower is not None:
            found.append(Ruling(one, "speed", one.slower(gates.slower), _speed(one, gates.slower)))
        if gates.worse:
            outcome = Gate.FAILS if one.worse else Gate.HOLDS
            found.append(Ruling(one, "answers", outcome, one.worse or "no worse than before"))
    return found


def fails(ruled: Sequence[Ruling], gates: Gates) -> bool:
    """Whether the command ends with 1."""
    wrong = {Gate.FAILS, Gate.OPEN} if gates.strict else {Gate.FAILS}
    return any(ruling.outcome in wrong for ruling in ruled)


def _speed(one: Pairing, limit: float) -> str:
    said = {
        Gate.FAILS: f"slower by more than {percent(limit)}",
        Gate.HOLDS: f"not slower by more than {percent(limit)}",
        Gate.OPEN: f"cannot tell whether it is slower by more than {percent(limit)}",
    }
    return f"{said[one.slower(limit)]}: {one.words}"


def terminal(
    pairings: Sequence[Pairing], ruled: Sequence[Ruling], *, columns: int, colour: bool
) -> str:
    """Each target with what is known of it, then what the gates say; ends with a newline."""
    lines = [said for one in pairings for said in _block(one, columns, colour)]
    for ruling in ruled:
        if ruling.outcome is not Gate.HOLDS:
            said = f"{ruling.pairing.name} at {ruling.pairing.case}: {ruling.text}"
            label = "fails" if ruling.outcome is Gate.FAILS else "open"
            first, *rest = paragraph(printable(said), columns)
            lines += [f"{label:<{LABEL}}{first[LABEL:]}", *rest]
    if ruled and all(ruling.outcome is Gate.HOLDS for ruling in ruled):
        lines.append(f"{'gates':<{LABEL}}all hold")
    return "".join(f"{line.rstrip()}\n" for line in lines)


def markdown(title: str, pairings: Sequence[Pairing], ruled: Sequence[Ruling]) -> str:
    """For a pull request."""
    marks = {Gate.HOLDS: "holds", Gate.FAILS: "**fails**", Gate.OPEN: "cannot tell"}
    lines = [
        f"- {marks[ruling.outcome]} · {text(ruling.pairing.name)} at {text(ruling.pairing.case)}: "
        f"{text(ruling.text)}"
        for ruling in ruled
    ]
    blocks = [f"### {text(title)}", drawn(grid(pairings)), "\n".join(lines)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def junit(title: str, ruled: Sequence[Ruling]) -> bytes:
    """JUnit's XML: a case for each gate of each pairing; what cannot be told is skipped."""
    failed = sum(ruling.outcome is Gate.FAILS for ruling in ruled)
    skipped = sum(ruling.outcome is Gate.OPEN for ruling in ruled)
    counts = {"tests": len(ruled), "failures": failed, "errors": 0, "skipped": skipped}
    suite = ElementTree.Element(
        "testsuite", {"name": printable(title), **{k: str(v) for k, v in counts.items()}}
    )
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
            kind = "failure" if ruling.outcome is Gate.FAILS else "skipped"
            ElementTree.SubElement(case, kind, {"message": printable(ruling.text)})
    document: bytes = ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def grid(pairings: Sequence[Pairing]) -> Grid:
    """One row a target and case: old → new. A column in which nothing is known is left out."""
    rows = [
        (
            one.name,
            one.case,
            _change(_latency(one.old), _latency(one.new)),
            one.words if one.interval or not one.worse else NONE,
            _change(one.old.answers, _answers(one.new)),
            _change(_cold(one.old), _cold(one.new)),
            _change(_memory(one.old), _memory(one.new)),
            _change(size(one.old.size), size(one.new.size)),
        )
        for one in pairings
    ]
    head = ("target", "at", "p50", "time", "answers", "cold start", "memory", "file")
    kept = [c for c in range(len(head)) if c < 2 or any(row[c] != NONE for row in rows)]
    shown = tuple(tuple(printable(row[c]) for c in kept) for row in rows)
    return Grid(tuple(head[c] for c in kept), shown)


def _change(old: str, new: str) -> str:
    return old if old == new else f"{old} → {new}"


def _latency(side: Side) -> str:
    return timed(side.p50)[0] if side.p50 else NONE


def _answers(side: Side) -> str:
    """A target that was not measured has its reason in the place of a verdict."""
    return side.answers if side.right or not side.reason else f"{side.answers} ({side.reason})"


def _cold(side: Side) -> str:
    return duration(side.cold) if side.cold else NONE


def _memory(side: Side) -> str:
    return NONE if side.memory is None else size(round(max(0.0, side.memory)))


def _block(one: Pairing, columns: int, colour: bool) -> Iterator[str]:
    """A line for each thing that is known, below the target's name."""
    known = grid([one])
    yield " " * LABEL + styled(printable(f"{one.name} · {one.case}"), "strong", colour)
    for name, cell in [*zip(known.head, known.rows[0], strict=True)][2:]:
        first, *rest = wrapped(cell, columns - LABEL - ROOM)
        yield f"{' ' * LABEL}  {name:<{ROOM - 2}}{first}"
        yield from (" " * (LABEL + ROOM) + line for line in rest)
