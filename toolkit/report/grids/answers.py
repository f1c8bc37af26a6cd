"""Tables of what ran and what it answered: targets, outputs and special values of Relu."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from toolkit.answers.specialvalues import SpecialValue
from toolkit.report.grids.grid import NONE, Grid
from toolkit.report.view import ShownTarget
from toolkit.report.words import factor, figure, listed, printable
from toolkit.units import Number


def facts(targets: Iterable[ShownTarget]) -> Grid:
    """Lists what ran, where its nodes were placed, and which copies its numbers contain."""
    rows = [
        (
            target.name,
            target.planned.name,
            target.library or NONE,
            target.placement or NONE,
            target.copies or NONE,
        )
        for target in targets
    ]
    head = ("target", "as typed", "library", "placement", "copies inside")
    return Grid(head, tuple(tuple(map(printable, row)) for row in rows))


def answers(targets: Iterable[ShownTarget]) -> Grid:
    """Every output of every judged target, with its error and the evidence."""
    rows = [
        (
            target.name,
            printable(output.output),
            printable(" or ".join(output.names)),
            factor(output.factor),
            figure(output.max_abs),
            worst(output.worst, output.got, output.expected),
            printable(output.evidence),
        )
        for target in targets
        if target.verdict
        for output in target.verdict.outputs
    ]
    head = ("target", "output", "verdict", "error", "largest error", "worst element", "evidence")
    return Grid(head, tuple(rows), frozenset({3, 4}))


def worst(index: Sequence[int], got: Number, expected: Number) -> str:
    """'[3, 1]: 0.501 for 0.5'."""
    return f"[{', '.join(map(str, index))}]: {figure(got, 6)} for {figure(expected, 6)}"


def special_values(targets: Iterable[ShownTarget]) -> Grid:
    """Lists what each runtime's Relu gives for the values that tell runtimes apart.

    A row for each value, a column for each target that was asked; deviating cells are marked.
    """
    asked = [target for target in targets if target.record and target.record.card]
    if not asked:
        return Grid((), ())
    columns = [{row.value: row for row in target.record.card} for target in asked if target.record]
    # Every value that any of them was asked for: a record of another version may have others.
    values = {row.value: row.expected for column in columns for row in column.values()}
    rows = [
        (printable(value), figure(expected), *(given(column.get(value)) for column in columns))
        for value, expected in values.items()
    ]
    marked = {
        (row, column)
        for row, value in enumerate(values)
        for column, answered in enumerate(columns, start=2)
        if value in answered and answered[value].deviates
    }
    head = ("Relu of", "expected", *(target.name for target in asked))
    return Grid(head, tuple(rows), frozenset(range(1, len(head))), frozenset(marked))


def given(row: SpecialValue | None) -> str:
    """Tells what Relu gave alone and between two layers; one value where both are the same."""
    if row is None:
        return NONE
    alone, fused = (
        "refused" if value is None else figure(value) for value in (row.alone, row.fused)
    )
    return alone if alone == fused else f"{alone}; fused {fused}"


def special_value_notes(targets: Iterable[ShownTarget]) -> list[str]:
    """Sentences on what the cells of the table cannot say, each once with its targets."""
    names: dict[tuple[str, str], list[str]] = {}
    for target in targets:
        for row in target.record.card if target.record else ():
            if row.note:
                names.setdefault((row.value, row.note), []).append(target.name)
    return [
        printable(f"Relu of {value}, {listed(same)}: {note}")
        for (value, note), same in names.items()
    ]
