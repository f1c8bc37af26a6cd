"""What a client wrote: test_data_set_0/output_0.npy …, as its test data lies."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from toolkit.deployment.base import Outputs, Parcel
from toolkit.errors import TargetError
from toolkit.tensors import Array

REFUSED = "refused.txt"
"""In place of the outputs of a set whose size the client does not take (D5): why, in one line."""


def read(folder: Path, parcel: Parcel) -> Outputs:
    """Empty for a set that was refused. Raises TargetError for an output that is missing or no
    array."""
    refused = refusals(folder, parcel)
    return [
        {
            spec.name: _array(_set(folder, number) / f"output_{place}.npy")
            for place, spec in enumerate(parcel.file.outputs)
            if number not in refused
        }
        for number in range(len(parcel.sets))
    ]


def refusals(folder: Path, parcel: Parcel) -> dict[int, str]:
    """Why sets were refused, by their numbers."""
    files = {number: _set(folder, number) / REFUSED for number in range(len(parcel.sets))}
    return {number: file.read_text("utf-8") for number, file in files.items() if file.is_file()}


def _set(folder: Path, number: int) -> Path:
    return folder / f"test_data_set_{number}"


def _array(file: Path) -> Array:
    try:
        array: Array = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        name = f"{file.parent.name}/{file.name}"
        raise TargetError(f"the client wrote no {name} that can be read: {error}") from error
    return array
