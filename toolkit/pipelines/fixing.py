"""Exports with a dimension fixed where it cannot stay dynamic, if the user allows that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from toolkit.errors import ExportError, InputError, ProofError
from toolkit.exporter import ways
from toolkit.exporter.request import ExportRequest
from toolkit.exporter.specialised import NarrowedError
from toolkit.pipelines.attempts import Attempts, Exported, NotProven
from toolkit.sources.inputs import dimensions


def take(attempts: Attempts, asked: ExportRequest) -> tuple[list[Path], Exported]:
    """The first file that is proven; a dimension at which all ways of torch fail has its traced
    size in it, and a note says so.

    Where the failure names no dimension, each is fixed alone, the last one first. Raises what the
    dynamic export raised where that does not help either.
    """
    notes: list[str] = []
    first: ExportError | ProofError | None = None
    while True:
        try:
            files, exported = attempts.take(asked)
            return files, replace(exported, notes=(*exported.notes, *notes))
        except (ExportError, ProofError) as failed:
            first = first or failed
            name = _culprit(failed)
            if name not in dimensions(asked.inputs):
                return _by_trial(attempts, asked, first, notes)
            notes.append(_note(asked, name, failed))
            asked = asked.fixed(name)


def _by_trial(
    attempts: Attempts,
    asked: ExportRequest,
    failed: ExportError | ProofError,
    notes: Sequence[str],
) -> tuple[list[Path], Exported]:
    """The first file of those in which one dimension is fixed, by one way each: a failure that
    names no dimension has several causes, most of which no size heals."""
    quick = replace(attempts, pinned=attempts.pinned or ways.DYNAMO)
    names = tuple(reversed(dimensions(asked.inputs)))
    for name in names:
        try:
            files, exported = quick.take(asked.fixed(name))
        except (ExportError, ProofError, InputError):
            continue
        note = _note(asked, name, failed)
        return files, replace(exported, notes=(*exported.notes, *notes, note))
    if names:
        failed.cures = (*failed.cures, f"Tried too, in vain: a fixed size of {' or '.join(names)}")
    raise failed


def _culprit(failed: ExportError | ProofError) -> str:
    """The dimension at which an export failed; empty where it is not known."""
    if isinstance(failed, NarrowedError):
        return failed.dim
    return failed.dim if isinstance(failed, NotProven) else ""


def _note(asked: ExportRequest, name: str, failed: ExportError | ProofError) -> str:
    size = asked.traced.sizes[name]
    return f"{name} is fixed at {size}, its traced size, since {failed.what.removesuffix('.')}"
