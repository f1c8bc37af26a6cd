"""Lists runs: when, of which model, which target was fastest, were all answers right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from toolkit.answers.verdict import Answer
from toolkit.records.schema import Run, TargetRecord
from toolkit.report.summary import summarize
from toolkit.report.view import Standing, Table
from toolkit.report.words import counted, listed, printable, timed, wrapped

ANSWERS: tuple[Answer, ...] = ("not shown", "less precise", "wrong")
"""What answers are that are not right, the mildest first."""
INDENT = 18
"""Cells of a date with its time, and a gap."""


@dataclass(frozen=True)
class ListedRun:
    """One run, in the words of the list."""

    folder: str
    """The name of its folder."""
    started: str
    """UTC, ISO 8601."""
    state: str
    model: str
    targets: int
    fastest: str
    """The right targets of which none is shown to be slower than the fastest; empty: none."""
    takes: str
    """The time of a call of the first of them, with its unit."""
    case: str
    """The first case, of which `fastest` and `takes` are."""
    answers: str
    """'all right', or how many targets are not, and what they are."""


def listed_run(folder: str, run: Run) -> ListedRun:
    """Sums up one run for the list."""
    view = summarize(run)
    table = view.tables[0] if view.tables else None
    fastest, takes = _fastest(table) if table else ("", "")
    return ListedRun(
        folder=folder,
        started=run.started,
        state=run.state,
        model=printable(run.plan.model.name),
        targets=len(run.plan.targets),
        fastest=fastest,
        takes=takes,
        case=printable(table.case.name) if table else "",
        answers=_answers(run.records),
    )


def terminal(runs: Iterable[ListedRun], columns: int) -> str:
    """A paragraph for each run, which wraps between words: names are longer than any column."""
    lines: list[str] = []
    for run in runs:
        targets = counted(run.targets, "target")
        state = () if run.state == "done" else (run.state,)
        fastest = f"{run.fastest}, {run.takes} at {run.case}" if run.fastest else "no target ranked"
        lines.append(f"{run.started[:16].replace('T', ' ')}  {printable(run.folder)}")
        for text in (" · ".join((run.model, targets, run.answers, *state)), fastest):
            lines += [f"{'':<{INDENT}}{line}" for line in wrapped(text, columns - INDENT)]
    return "".join(f"{line}\n" for line in lines)


def _fastest(table: Table) -> tuple[str, str]:
    ranked = [row for row in table.part(Standing.RANKED) if row.speed is not None]
    if not ranked:
        return "", ""
    first = ranked[0]
    names = table.conclusion.tied or (first.target.name,)
    return listed(names), timed(first.speed.p50)[0] if first.speed else ""


def _answers(records: Iterable[TargetRecord]) -> str:
    known = list(records)
    counts = Counter(record.verdict.answer for record in known if record.verdict is not None)
    others = [f"{counts[answer]} {answer}" for answer in ANSWERS if counts[answer]]
    if failed := sum(record.verdict is None for record in known):
        others.append(f"{failed} not measured")
    return ", ".join(others) if others or not known else "all right"
