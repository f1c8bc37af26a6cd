"""Shows results as tables in a notebook, which asks a value for `_repr_html_`.

A notebook has a style sheet for tables of its own, light and dark, so that none is written here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from toolkit.records.schema import Run
from toolkit.report import checked, compared
from toolkit.report.comparison import Pairing
from toolkit.report.decision import ComparisonDecision
from toolkit.report.facts import model_line
from toolkit.report.grids import latencies
from toolkit.report.grids.grid import Grid
from toolkit.report.markup import Child, Markup, joined, table_markup, tag
from toolkit.report.summary import summarize
from toolkit.report.view import View


def run_markup(run: Run, notes: Sequence[str], *, timed: bool) -> Markup:
    """A check, or with `timed` a bench: the conclusions, the tables, and the reasons beneath."""
    if not timed:
        judged = [tag("p", text) for text in checked.reasons(run)]
        return joined(
            [tag("p", model_line(run.plan.model)), table_markup(checked.verdicts(run)), judged]
            + [tag("p", note) for note in notes]
        )
    view = summarize(run)
    return joined([*_conclusions(view), *_tables(view), *(tag("p", note) for note in notes)])


def comparison_markup(
    title: str,
    pairings: Sequence[Pairing],
    notes: Sequence[str],
    decision: ComparisonDecision | None,
) -> Markup:
    """A comparison: the decision, then one row a target and case, old → new."""
    first, *more = decision.paragraphs if decision is not None else ("",)
    decided = [tag("p", tag("strong", first))] if first else []
    texts = [tag("p", text) for text in (*more, title)]
    return joined(
        [*decided, *texts, table_markup(compared.grid(pairings)), *(tag("p", n) for n in notes)]
    )


def grid_markup(title: str, grid: Grid, notes: Sequence[str] = ()) -> Markup:
    """A table of its own, with a line above it and lines beneath."""
    return joined([tag("p", title), table_markup(grid), *(tag("p", note) for note in notes)])


def _conclusions(view: View) -> Iterator[Child]:
    yield tag("p", view.title)
    for conclusion in view.conclusions:
        yield tag("p", tag("strong", conclusion.headline))
        yield from (tag("p", detail) for detail in conclusion.details)
    yield from (tag("p", sentence) for sentence in view.choosing)


def _tables(view: View) -> Iterator[Child]:
    for table in view.tables:
        yield tag("p", f"{table.case.name} · {view.protocol}")
        for grid in (latencies.ranked(table), latencies.others(table)):
            if grid.rows:
                yield table_markup(grid)
        yield from (tag("p", remark) for remark in latencies.remarks(table))
