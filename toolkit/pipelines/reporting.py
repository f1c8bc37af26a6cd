"""A run's folder → the reports in it."""

from __future__ import annotations

from pathlib import Path

from toolkit.records import store
from toolkit.records.schema import Run
from toolkit.report import markdown
from toolkit.report.summary import summarize


def write(folder: Path, run: Run) -> None:
    """Writes report.md and what belongs to it. Raises InputError where that cannot be."""
    view = summarize(run, store.read_samples(folder))
    store.write(folder / "report.md", markdown.render(view).encode())
