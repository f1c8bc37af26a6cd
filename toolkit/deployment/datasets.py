"""The test data of a folder: which feeds become data sets, and how a set lies there.

Set number n is the folder test_data_set_n with input_0.npy, input_1.npy … and output_0.npy …, in
the order of the model's inputs and outputs (D2). A client writes its outputs in the same layout.
"""

from __future__ import annotations

import shutil
from collections.abc import Container
from pathlib import Path

import numpy as np

from toolkit.deployment.base import Payload
from toolkit.engine.assignment import Assignment
from toolkit.exporter.testdata import DataSet
from toolkit.feeds import elements

SHIPPED = 3
"""Data sets in a folder: the timed case and the smallest of other sizes. They show a reader that
sizes may vary; the proof itself is made on every feed."""
PREFIX = "test_data_set_"


def of_feeds(assignment: Assignment) -> tuple[DataSet, ...]:
    """Returns every feed with its right outputs, rounded to the types of the file's outputs."""
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
    """Returns the few sets that lie in the folder: the first case that is timed, then the smallest
    feeds of other sizes. Feeds whose names are in `refused` are left out."""
    first = assignment.cases[0]
    taken = [n for n, feed in enumerate(assignment.feeds) if feed.name not in refused]
    by_size = sorted(taken, key=lambda number: assignment.feeds[number].size)
    number_of = {assignment.feeds[first].name: first}
    for number in by_size:
        number_of.setdefault(assignment.feeds[number].name, number)
    everything = of_feeds(assignment)
    return tuple(everything[number] for number in [*number_of.values()][:SHIPPED])


def set_folder(parent: Path, number: int) -> Path:
    """Returns the path of a set's folder below `parent`."""
    return parent / f"{PREFIX}{number}"


def write(payload: Payload, parent: Path) -> None:
    """Writes the payload's sets as .npy files, which every client can read, and removes the sets
    that were there before."""
    for old in parent.glob(f"{PREFIX}*"):
        shutil.rmtree(old)
    for number, data in enumerate(payload.sets):
        _write_set(set_folder(parent, number), payload, data)


def _write_set(folder: Path, payload: Payload, data: DataSet) -> None:
    folder.mkdir()
    for role, specs, arrays in (
        ("input", payload.file.inputs, data.inputs),
        ("output", payload.file.outputs, data.outputs),
    ):
        for index, spec in enumerate(specs):
            # The clients in C++ and JavaScript read row-major arrays only.
            row_major = np.asarray(arrays[spec.name], order="C")
            np.save(folder / f"{role}_{index}.npy", row_major, allow_pickle=False)
