"""A run's folder → the reports in it."""

from __future__ import annotations

from pathlib import Path

from toolkit.records import store
from toolkit.records.schema import Run
from toolkit.report import files
from toolkit.report.summary import summarize


def write(folder: Path, run: Run) -> None:
    """Writes report.md with its plots and report.html. Raises InputError where that cannot be."""
    files.write(summarize(run, store.read_samples(folder)), folder)
