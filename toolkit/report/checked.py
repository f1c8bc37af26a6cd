"""Renders a check for a terminal: the verdict on every target, and the special values of Relu."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from toolkit.answers import acceptance
from toolkit.answers.specialvalues import SpecialValue
from toolkit.answers.verdict import OutputVerdict
from toolkit.records.schema import Run
from toolkit.report.conclusion import CURE
from toolkit.report.facts import model_line
from toolkit.report.grids.grid import NONE, Grid
from toolkit.report.summary import summarize
from toolkit.report.terminal import GAP, LABEL, data_lines, paragraph, styled, warning
from toolkit.report.view import ShownTarget, View
from toolkit.report.words import factor, figure, listed, printable, width, wrapped

NO_RELU = "The model has no Relu; --relu shows what each runtime's gives for special values."


def render(run: Run, notes: Sequence[str], *, columns: int = 80, colour: bool = False) -> str:
    """The whole check as text that ends with a newline. `notes` are sentences of the command."""
    view = summarize(run)
    first, *rest = wrapped(model_line(run.plan.model), columns - LABEL)
    lines = [f"{'check':<{LABEL}}{first}", *(" " * LABEL + line for line in rest)]
    lines += paragraph(_judged_by(view), columns)
    lines += ["", *_table(_verdicts(view.targets), colour)]
    remarks = [*view.agreements, *_reasons(view.targets), *map(printable, notes)]
    lines += _paragraphs(remarks, columns)
    if data := [*data_lines(view, columns, colour)]:
        lines += ["", *data]
    for note in view.notes:
        lines += warning(note, columns)
    for grid in _special_values(view.targets, columns - LABEL):
        lines += ["", *_table(grid, colour)]
    remarks = [*_without_deviation(view.targets), *_special_value_notes(view.targets)]
    if coarse := _own_class(view):
        remarks.insert(0, coarse)
    if not _asked(view.targets) and "Relu" not in run.plan.model.operators:
        remarks.append(NO_RELU)
    lines += _paragraphs(remarks, columns)
    return "".join(f"{line.rstrip()}\n" for line in lines)


def verdicts(run: Run) -> Grid:
    """The verdict on each target, a row for each of its outputs."""
    return _verdicts(summarize(run).targets)


def reasons(run: Run) -> list[str]:
    """Says why targets are not right, or were not judged, and what to do about it."""
    return list(_reasons(summarize(run).targets))


def sentences(run: Run) -> list[str]:
    """Sums a check up in a few lines: 'float32 on onnxruntime cpu and torch cpu'."""
    targets = summarize(run).targets
    names_by_verdict: dict[str, list[str]] = {}
    for target in targets:
        failure = target.record.failure if target.record else None
        unjudged = f"not judged ({failure and failure.what})"
        text = target.verdict.text if target.verdict else unjudged
        names_by_verdict.setdefault(text, []).append(target.name)
    lines = [f"{printable(text)} on {listed(names)}" for text, names in names_by_verdict.items()]
    deviating = [
        f"{target.name} for {listed(row.value for row in rows if row.deviates)}"
        for target, rows in _asked(targets)
        if any(row.deviates for row in rows)
    ]
    if deviating:
        cure = "toolkit check shows the special values of Relu"
        lines.append(f"Relu is not max(0, x) on {listed(deviating)}: {cure}")
    elif _asked(targets):
        lines.append("Relu is max(0, x) for NaN, ±Inf, ±0 and subnormals on all of them")
    return lines


def _own_class(view: View) -> str:
    """Says of a file that is not float32 itself that it was judged by itself; empty of others."""
    model = view.run.plan.model
    judged = [target for target in view.targets if target.verdict is not None]
    declared = {target.verdict.declared for target in judged if target.verdict is not None}
    asked = any(target.planned.options.get("precision") for target in judged)
    if len(declared) != 1 or asked or (coarse := declared.pop()) == "float32":
        return ""
    return (
        f"The file is {coarse} and was judged by itself, as it computes. What its rounding costs: "
        f"toolkit compare ORIGINAL.onnx {printable(model.name)}"
    )


def _judged_by(view: View) -> str:
    verdict = next((target.verdict for target in view.targets if target.verdict), None)
    if verdict is None:
        return ""
    elements = sum(output.elements for output in verdict.outputs)
    return f"judged against {verdict.oracle}: {verdict.feeds} feeds, {elements:,} output elements"


def _paragraphs(texts: Sequence[str], columns: int) -> list[str]:
    """An empty line and the wrapped texts; no lines without texts."""
    lines = [line for text in texts for line in paragraph(text, columns)]
    return ["", *lines] if texts else []


def _verdicts(targets: Sequence[ShownTarget]) -> Grid:
    rows: list[tuple[str, ...]] = []
    for target in targets:
        outputs = target.verdict.outputs if target.verdict else ()
        for output in outputs:
            name = f"{target.name}: {output.output}" if len(outputs) > 1 else target.name
            rows.append((name, acceptance.text(output), *_errors(output)))
        if not outputs:
            rows.append((target.name, "not judged", NONE, NONE))
    head = ("target", "answers", "of plain float32's error", "largest error")
    return Grid(head, tuple(tuple(map(printable, row)) for row in rows), frozenset({2, 3}))


def _errors(output: OutputVerdict) -> tuple[str, str]:
    """The error as a multiple of plain float32's and as a number; none for integers."""
    if acceptance.text(output) == "exact" or output.factor == "nan":
        return NONE, NONE
    return factor(output.factor), figure(output.max_abs)


def _reasons(targets: Sequence[ShownTarget]) -> Iterator[str]:
    """Says why a target is not right, or was not judged, and what to do about it."""
    for target in targets:
        failure = target.record.failure if target.record else None
        if failure is not None:
            yield f"{target.name}: {printable(failure.what)}"
            yield from (f"  {printable(cure)}" for cure in failure.cures)
        elif target.verdict is not None and not target.verdict.right:
            reason, evidence = target.verdict.reason, target.verdict.outputs[0].evidence
            added = "" if evidence in reason else f" ({printable(evidence)})"
            yield f"{target.name}: {printable(reason)}{added}"
    if any(target.verdict and target.verdict.answer == "not shown" for target in targets):
        yield CURE


# The special values of Relu

Asked = tuple[ShownTarget, Sequence[SpecialValue]]
"""A target whose runtime was asked for its Relu, and what it gave for each special value."""


def _asked(targets: Iterable[ShownTarget]) -> list[Asked]:
    return [
        (target, target.record.card) for target in targets if target.record and target.record.card
    ]


def _special_values(targets: Sequence[ShownTarget], columns: int) -> Iterator[Grid]:
    """Tables of what each Relu gives, each at most `columns` wide.

    Where one table for all targets would be wider, those that deviate nowhere are left out, and the
    others share as few tables as they fit into.
    """
    remaining = _asked(targets)
    if _total_width(_special_value_grid(remaining)) > columns:
        remaining = [(t, rows) for t, rows in remaining if any(row.deviates for row in rows)]
    while remaining:
        fitting = (
            count
            for count in range(1, len(remaining) + 1)
            if _total_width(_special_value_grid(remaining[:count])) <= columns
        )
        # One target may be too wide by itself: then the terminal breaks its lines.
        count = max(fitting, default=1)
        yield _special_value_grid(remaining[:count])
        remaining = remaining[count:]


def _special_value_grid(asked: Sequence[Asked]) -> Grid:
    """A row for each special value, a column for each target."""
    names = [target.name for target, _ in asked]
    answers = zip(*(rows for _, rows in asked), strict=True)
    lines = [(printable(same[0].value), *map(_cell, same)) for same in answers]
    return Grid(("Relu of", *names), tuple(lines), frozenset(range(1, len(names) + 1)))


def _total_width(grid: Grid) -> int:
    columns = zip(grid.head, *grid.rows, strict=True)
    return sum(max(map(width, column)) + GAP for column in columns) - GAP


def _cell(row: SpecialValue) -> str:
    """'alone / between layers' where the two differ; a star where it is not max(0, x)."""
    alone, fused = ("refused" if v is None else figure(v) for v in (row.alone, row.fused))
    both = alone if alone == fused else f"{alone} / {fused}"
    return f"{both} *" if row.deviates else both


def _without_deviation(targets: Sequence[ShownTarget]) -> Iterator[str]:
    """Names the targets whose Relu deviates nowhere: they may have no column."""
    names = [
        target.name for target, rows in _asked(targets) if not any(row.deviates for row in rows)
    ]
    if names:
        yield f"Relu is max(0, x) for all of these on {listed(names)}."


def _special_value_notes(targets: Sequence[ShownTarget]) -> Iterator[str]:
    """Explains the deviations, each kind once with the targets that show it."""
    names: dict[tuple[str, str], list[str]] = {}
    for target, rows in _asked(targets):
        values: dict[str, list[str]] = {}
        for row in rows:
            if row.note and row.deviates:
                values.setdefault(row.note, []).append(row.value)
        for note, deviating in values.items():
            names.setdefault((note, listed(deviating)), []).append(target.name)
    for (note, deviating_values), same in names.items():
        yield f"* {', '.join(same)}: {printable(note)} ({deviating_values})"


def _table(grid: Grid, colour: bool) -> Iterator[str]:
    """The lines of a table, indented by the width of the label."""
    widths = [max(map(width, column)) for column in zip(grid.head, *grid.rows, strict=True)]
    for number, row in enumerate((grid.head, *grid.rows)):
        cells = []
        for column, text in enumerate(row):
            space = " " * (widths[column] - width(text))
            cells.append(space + text if column in grid.numbers else text + space)
        line = (" " * GAP).join(cells).rstrip()
        yield " " * LABEL + styled(line, "quiet" if number == 0 else "", colour)
