"""What ran and what it answered: tables of targets, outputs and special values of Relu."""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.answers.specialvalues import SpecialValue
from toolkit.report.grids.grid import NONE, Grid
from toolkit.report.view import ShownTarget
from toolkit.report.words import factor, figure, listed, printable
from toolkit.units import Number


def facts(targets: Sequence[ShownTarget]) -> Grid:
    """What ran, where its nodes were placed, and which copies its numbers hold."""
    rows = [
        (one.name, one.planned.name, one.library or NONE, one.placement or NONE, one.copies or NONE)
        for one in targets
    ]
    shown = [tuple(map(printable, row)) for row in rows]
    return Grid(("target", "as typed", "library", "placement", "copies inside"), tuple(shown))


def answers(targets: Sequence[ShownTarget]) -> Grid:
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
        for one in targets
        if one.verdict
        for output in one.verdict.outputs
    ]
    head = ("target", "output", "verdict", "error", "largest error", "worst element", "evidence")
    return Grid(head, tuple(rows), frozenset({3, 4}))


def worst(index: Sequence[int], got: Number, expected: Number) -> str:
    """'[3, 1]: 0.501 for 0.5'."""
    place = ", ".join(map(str, index))
    return f"[{place}]: {figure(got, 6)} for {figure(expected, 6)}"


def special_values(targets: Sequence[ShownTarget]) -> Grid:
    """What each runtime's Relu gives for the values that tell runtimes apart."""
    shown = [one for one in targets if one.record and one.record.card]
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


def given(row: SpecialValue | None) -> str:
    """What it gave, alone and between two layers; one value where both are the same."""
    if row is None:
        return NONE
    alone, fused = (
        "refused" if value is None else figure(value) for value in (row.alone, row.fused)
    )
    return alone if alone == fused else f"{alone}; fused {fused}"


def special_value_notes(targets: Sequence[ShownTarget]) -> list[str]:
    """What the cells of the card cannot say, each thing once."""
    said: dict[tuple[str, str], list[str]] = {}
    for one in targets:
        for row in one.record.card if one.record else ():
            if row.note:
                said.setdefault((row.value, row.note), []).append(one.name)
    return [
        printable(f"Relu of {value}, {listed(names)}: {note}")
        for (value, note), names in said.items()
    ]
