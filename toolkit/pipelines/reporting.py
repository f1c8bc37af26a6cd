"""A run's folder → the reports in it."""

from __future__ import annotations

from pathlib import Path

from toolkit.records import privacy, store
from toolkit.records.schema import Run
from toolkit.report import files
from toolkit.report.summary import summarize


def write(folder: Path, run: Run) -> None:
    """Writes report.md with its plots and report.html. Raises InputError where that cannot be.

    They tell no more of this machine's folders than run.json does.
    """
    files.write(summarize(privacy.run(run), store.read_samples(folder)), folder)
