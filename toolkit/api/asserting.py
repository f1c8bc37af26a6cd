"""The assertion that a model's answers are right, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.errors import InputError, unknown
from toolkit.units import Bytes, Seconds

if TYPE_CHECKING:
    from toolkit.answers.formats import Precision
    from toolkit.pipelines.request import FinishedRun

UNDECIDED = "undecided"
COLUMNS = 90
"""What pytest indents still fits into a usual log."""


def assert_right(
    model: str | Path,
    targets: str | Sequence[str] = (),
    *,
    accept: str | Sequence[str] = (),
    source: str | None = None,
    timeout: Seconds | None = None,
    memory_limit: Bytes | None = None,
) -> FinishedRun:
    """Raises AssertionError unless a model's answers are right on every target; see `check`.

    `targets` are as they are typed, one of them or several; without any, those that make sense
    here, of which each that runs must be right. `accept` is a precision that is good enough, such
    as "float16", and "undecided" takes what the feeds could not show; a sequence holds both.
    `source` is the PyTorch source to judge by. The error's text is what `toolkit check` shows.
    Returns the finished check. Raises ToolkitError, and InputError for a precision that there is
    not, where nothing can be judged at all.
    """
    from toolkit.answers.verdict import Limits
    from toolkit.api.functions import check
    from toolkit.pipelines.request import BenchRequest
    from toolkit.runtimes.target import parse
    from toolkit.sources.source import parse as parse_source

    words = [accept] if isinstance(accept, str) else list(accept)
    precisions = [word for word in dict.fromkeys(words) if word != UNDECIDED]
    request = BenchRequest(
        targets=[parse(text) for text in ([targets] if isinstance(targets, str) else targets)],
        source=None if source is None else parse_source(source),
        limits=Limits(_precision(precisions), undecided=UNDECIDED in words),
    )
    finished = check(model, request, timeout=timeout, memory_limit=memory_limit)
    if faults := _faults(finished):
        raise AssertionError(_text(model, faults, finished))
    return finished


def _precision(words: Sequence[str]) -> Precision | None:
    from toolkit.answers.formats import ORDER

    if len(words) > 1:
        raise InputError(f"accept takes one precision, not {' and '.join(words)}")
    for precision in ORDER:
        if words and words[0] == precision:
            return precision
    if words:
        raise InputError(unknown("precision", words[0], (*ORDER, UNDECIDED)))
    return None


def _faults(finished: FinishedRun) -> list[str]:
    """What speaks against the model, a line each; empty: its answers are right everywhere."""
    plan, records = finished.run.plan, finished.run.records
    unmet = list(finished.unmet)
    # A target that a default brought in may be missing here, but not all of them.
    ran = [record for record in records if record.failure is None]
    for record in ran or records:
        target = plan.targets[record.target]
        if not target.asked and not record.right:
            unmet.append(target.label)
    faults = [f"no right answers on {label}" for label in unmet]
    return [*faults, finished.held.fault] if finished.held.fault else faults


def _text(model: str | Path, faults: Sequence[str], finished: FinishedRun) -> str:
    """The faults in one line, and below it what `toolkit check` shows."""
    from toolkit.plaintext import line
    from toolkit.report import checked

    shown = checked.render(finished.run, finished.notes, columns=COLUMNS)
    first = line(f"{model}: {'; '.join(faults)}")
    return f"{first}\n\n{shown.rstrip()}"
