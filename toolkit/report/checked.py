"""What `check` says in a terminal: the verdict on every target, and the ReLU card."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from toolkit.answers import acceptance
from toolkit.answers.specialvalues import SpecialValue
from toolkit.records.schema import Run
from toolkit.report.facts import model_line
from toolkit.report.grids.grid import NONE, Grid
from toolkit.report.summary import summarize
from toolkit.report.terminal import GAP, LABEL, paragraph, styled, warning
from toolkit.report.view import ShownTarget, View
from toolkit.report.words import factor, figure, listed, printable, width, wrapped


def render(run: Run, notes: Sequence[str], *, columns: int = 80, colour: bool = False) -> str:
    """All of it; ends with a newline."""
    view = summarize(run)
    first, *rest = wrapped(model_line(run.plan.model), columns - LABEL)
    lines = [f"{'check':<{LABEL}}{first}", *(" " * LABEL + line for line in rest)]
    lines += paragraph(_judged_by(view), columns)
    lines += ["", *_text(_verdicts(view.targets), colour)]
    said = [*_reasons(view.targets), *map(printable, notes)]
    lines += [""] if said else []
    for sentence in said:
        lines += paragraph(sentence, columns)
    for note in view.notes:
        lines += warning(note, columns)
    for grid in _special_values(view.targets, columns - LABEL):
        lines += ["", *_text(grid, colour)]
    said = [*_as_it_should(view.targets), *_special_value_notes(view.targets)]
    lines += [""] if said else []
    for sentence in said:
        lines += paragraph(sentence, columns)
    return "".join(f"{line.rstrip()}\n" for line in lines)


def sentences(run: Run) -> list[str]:
    """Sums a check up in a few lines: 'float32 on onnxruntime cpu and torch cpu'."""
    view = summarize(run)
    verdicts: dict[str, list[str]] = {}
    for one in view.targets:
        failure = one.record.failure if one.record else None
        text = one.verdict.text if one.verdict else f"not judged ({failure and failure.what})"
        verdicts.setdefault(text, []).append(one.name)
    lines = [f"{printable(text)} on {listed(names)}" for text, names in verdicts.items()]
    deviating = [
        f"{one.name} for {listed([row.value for row in one.record.card if row.deviates])}"
        for one in view.targets
        if one.record and any(row.deviates for row in one.record.card)
    ]
    asked = sum(1 for one in view.targets if one.record and one.record.card)
    if deviating:
        lines.append(f"Relu is not max(0, x) on {listed(deviating)}: toolkit check shows the card")
    elif asked:
        lines.append("Relu is max(0, x) for NaN, ±Inf, ±0 and subnormals on all of them")
    return lines


def _judged_by(view: View) -> str:
    found = [one.verdict for one in view.targets if one.verdict]
    if not found:
        return ""
    elements = sum(output.elements for output in found[0].outputs)
    return f"judged against {found[0].oracle}: {found[0].feeds} feeds, {elements:,} output elements"


def _verdicts(targets: Sequence[ShownTarget]) -> Grid:
    rows = []
    for one in targets:
        outputs = one.verdict.outputs if one.verdict else ()
        several = len(outputs) > 1
        for output in outputs:
            name = f"{one.name}: {output.output}" if several else one.name
            said = acceptance.text(output)
            figures = (
                (NONE, NONE)
                if said == "exact" or output.factor == "nan"
                else (factor(output.factor), figure(output.max_abs))
            )
            rows.append((name, said, *figures))
        if not outputs:
            rows.append((one.name, "not judged", NONE, NONE))
    shown = tuple(tuple(map(printable, row)) for row in rows)
    head = ("target", "answers", "of plain float32's error", "largest error")
    return Grid(head, shown, frozenset({2, 3}))


def _reasons(targets: Sequence[ShownTarget]) -> Iterator[str]:
    """Why a target is not right, or not judged, and what to do."""
    for one in targets:
        failure = one.record.failure if one.record else None
        if failure is not None:
            yield f"{one.name}: {printable(failure.what)}"
            yield from (f"  {printable(cure)}" for cure in failure.cures)
        elif one.verdict is not None and not one.verdict.right:
            evidence = one.verdict.outputs[0].evidence
            told = "" if evidence in one.verdict.reason else f" ({printable(evidence)})"
            yield f"{one.name}: {printable(one.verdict.reason)}{told}"


def _special_values(targets: Sequence[ShownTarget], columns: int) -> Iterator[Grid]:
    """The ReLU card with values only: 'alone / between layers' where the two differ, and a star
    where the answer is not max(0, x). As many tables as the width needs; where it needs several,
    the targets that deviate alone."""
    shown = [one for one in targets if one.record and one.record.card]
    whole = _special_value_grid(shown)
    if _wide(whole) > columns:
        shown = [one for one in shown if one.record and any(r.deviates for r in one.record.card)]
    while shown:
        count = max(
            (
                n
                for n in range(1, len(shown) + 1)
                if _wide(_special_value_grid(shown[:n])) <= columns
            ),
            default=1,
        )
        yield _special_value_grid(shown[:count])
        shown = shown[count:]


def _special_value_grid(shown: Sequence[ShownTarget]) -> Grid:
    cards = [one.record.card for one in shown if one.record]
    rows = [
        (printable(row.value), *(_cell(held[place]) for held in cards))
        for place, row in enumerate(cards[0] if cards else [])
    ]
    head = ("Relu of", *(one.name for one in shown))
    return Grid(head, tuple(rows), frozenset(range(1, len(head))))


def _wide(grid: Grid) -> int:
    columns = zip(grid.head, *grid.rows, strict=True)
    return sum(max(map(width, column)) + GAP for column in columns) - GAP


def _cell(row: SpecialValue) -> str:
    alone, fused = ("refused" if v is None else figure(v) for v in (row.alone, row.fused))
    both = alone if alone == fused else f"{alone} / {fused}"
    return f"{both} *" if row.deviates else both


def _as_it_should(targets: Sequence[ShownTarget]) -> Iterator[str]:
    """The targets whose Relu deviates nowhere: they may have no column."""
    cards = [(one.name, one.record.card) for one in targets if one.record and one.record.card]
    names = [name for name, card in cards if not any(row.deviates for row in card)]
    if names:
        yield f"Relu is max(0, x) for all of these on {listed(names)}."


def _special_value_notes(targets: Sequence[ShownTarget]) -> Iterator[str]:
    """What is remarkable in the card, each thing once with the targets that do it."""
    said: dict[tuple[str, str], list[str]] = {}
    for one in targets:
        own: dict[str, list[str]] = {}
        for row in one.record.card if one.record else []:
            if row.note and row.deviates:
                own.setdefault(row.note, []).append(row.value)
        for note, values in own.items():
            said.setdefault((note, listed(values)), []).append(one.name)
    for (note, where), names in said.items():
        yield f"* {', '.join(names)}: {printable(note)} ({where})"


def _text(grid: Grid, colour: bool) -> Iterator[str]:
    """A table, indented by the label."""
    columns = list(zip(grid.head, *grid.rows, strict=True))
    room = [max(map(width, column)) for column in columns]
    for number, row in enumerate((grid.head, *grid.rows)):
        cells = []
        for place, text in enumerate(row):
            space = " " * (room[place] - width(text))
            right = place in grid.numbers
            marked = (number - 1, place) in grid.marked
            said = styled(text, "strong" if marked else "", colour)
            cells.append(space + said if right else said + space)
        line = (" " * GAP).join(cells).rstrip()
        yield " " * LABEL + styled(line, "quiet" if number == 0 else "", colour)
