"""The proof of a folder: its client is run from a copy of it, and its outputs are judged as any
target's: the precision class, by the same judge."""

from __future__ import annotations

import shutil
from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeAlias

from toolkit.answers.formats import RANK
from toolkit.answers.verdict import Limits, Verdict
from toolkit.deployment import packing
from toolkit.deployment.base import HOME, Destination, Ground, MakePython, Parcel, Ran
from toolkit.engine.assignment import Assignment
from toolkit.errors import EnvironmentFault, TargetError
from toolkit.exporter.testdata import DataSet
from toolkit.feeds import elements

Outcome: TypeAlias = Literal["right", "not right", "failed", "not made"]

SETS = 3
"""Sets of test data in a folder: what is timed, and the smallest of other sizes."""


@dataclass(frozen=True)
class FolderProof:
    """What became of a client that was run."""

    outcome: Outcome
    """'failed': the client did. 'not made': something to run it with is missing."""
    feeds: tuple[str, ...]
    """The sizes at which it was run; those that it refused are not among them."""
    verdict: Verdict | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    where: str = ""
    what: str = ""
    """Why it is not right, in one line."""
    cures: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    """Size → why its client does not take it (D5)."""


def _said(error: EnvironmentFault | TargetError, scratch: Path) -> str:
    """Without the path of this machine: it comes to stand in the folder (D1)."""
    return error.what.replace(f"{scratch}/", "")


def _left(home: Path) -> list[str]:
    """What a client wrote where no client has anything to write (D1): libraries that report usage
    keep an identity there."""
    return [str(file.relative_to(home)) for file in sorted(home.rglob("*")) if file.is_file()]


def data_sets(assignment: Assignment) -> tuple[DataSet, ...]:
    """What is right for every feed, rounded to the file's types."""
    return tuple(
        DataSet(
            feed.arrays,
            {
                spec.name: elements.as_type(right[spec.name], spec.type)
                for spec in assignment.file.outputs
            },
        )
        for feed, right in zip(assignment.feeds, assignment.judge.oracle, strict=True)
    )


def shipped(assignment: Assignment, refused: Container[str] = ()) -> tuple[DataSet, ...]:
    """The few sets that lie in the folder, each of other sizes, none of those that are refused."""
    first = assignment.cases[0]
    taken = [n for n, feed in enumerate(assignment.feeds) if feed.name not in refused]
    others = sorted(taken, key=lambda number: assignment.feeds[number].size)
    found = {assignment.feeds[first].name: first}
    for number in others:
        found.setdefault(assignment.feeds[number].name, number)
    everything = data_sets(assignment)
    return tuple(everything[number] for number in [*found.values()][:SETS])


def prove(
    destination: Destination,
    folder: Path,
    parcel: Parcel,
    assignment: Assignment,
    limits: Limits,
    *,
    scratch: Path,
    python: MakePython,
) -> FolderProof:
    """Runs the client of a packed folder on all feeds of the question."""
    names = tuple(dict.fromkeys(feed.name for feed in assignment.feeds))
    whole = replace(parcel, sets=data_sets(assignment))
    copy = scratch / "copy"
    shutil.copytree(folder, copy)
    packing.write_sets(whole, copy)
    try:
        ran = destination.run(Ground(copy, scratch, whole, python))
    except EnvironmentFault as error:
        return FolderProof("not made", names, what=_said(error, scratch), cures=error.cures)
    except TargetError as error:
        return FolderProof("failed", names, what=_said(error, scratch), cures=error.cures)
    if left := _left(scratch / HOME):
        what = f"the client left {left[0]} in its user's home: it reports, or keeps something"
        return FolderProof("failed", names, versions=ran.versions, where=ran.where, what=what)
    if timed := [ran.refused[number] for number in assignment.cases if number in ran.refused]:
        what = f"the client refuses the size that was asked for: {timed[0]}"
        return FolderProof("failed", names, versions=ran.versions, where=ran.where, what=what)
    return _judged(destination, ran, assignment, limits)


def _judged(
    destination: Destination, ran: Ran, assignment: Assignment, limits: Limits
) -> FolderProof:
    """By what it gave at the sizes that it takes."""
    taken = [number for number in range(len(assignment.feeds)) if number not in ran.refused]
    declared = max(destination.precision, assignment.declared, key=lambda name: RANK[name])
    answers = [ran.outputs[number] for number in taken]
    verdict = assignment.judge.of(taken).verdict(answers, declared, limits)
    return FolderProof(
        "right" if verdict.right else "not right",
        tuple(dict.fromkeys(assignment.feeds[number].name for number in taken)),
        verdict,
        ran.versions,
        ran.where,
        verdict.reason,
        refused={assignment.feeds[number].name: why for number, why in ran.refused.items()},
    )
