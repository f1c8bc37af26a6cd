"""Reads what a client wrote: test_data_set_0/output_0.npy …, laid out as its test data is."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from toolkit.deployment import datasets
from toolkit.deployment.base import Outputs, Payload
from toolkit.errors import TargetError
from toolkit.tensors import Array

REFUSED = "refused.txt"
"""A client writes this file in place of the outputs of a set whose size it does not take (D5): the
reason, in one line. The template console.py has the same name."""


def read(folder: Path, payload: Payload) -> Outputs:
    """Returns the outputs of every set; those of a refused set are empty.

    Raises TargetError for an output that is missing or is no array.
    """
    refused = refusals(folder, payload)
    return [
        {
            spec.name: _array(datasets.set_folder(folder, number) / f"output_{index}.npy")
            for index, spec in enumerate(payload.file.outputs)
            if number not in refused
        }
        for number in range(len(payload.sets))
    ]


def refusals(folder: Path, payload: Payload) -> dict[int, str]:
    """Returns the refused sets by their numbers, each with the client's reason."""
    files = {
        number: datasets.set_folder(folder, number) / REFUSED for number in range(len(payload.sets))
    }
    return {number: file.read_text("utf-8") for number, file in files.items() if file.is_file()}


def _array(file: Path) -> Array:
    try:
        # Without pickle: a client is not trusted with running code in this process.
        array: Array = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        name = f"{file.parent.name}/{file.name}"
        raise TargetError(f"the client wrote no {name} that can be read: {error}") from error
    return array
