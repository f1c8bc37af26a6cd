"""What a client wrote: test_data_set_0/output_0.npy …, as its test data lies."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from toolkit.deployment.base import Outputs, Parcel
from toolkit.errors import TargetError
from toolkit.tensors import Array


def read(folder: Path, parcel: Parcel) -> Outputs:
    """Raises TargetError for an output that is missing or no array."""
    return [
        {
            spec.name: _array(folder / f"test_data_set_{number}" / f"output_{place}.npy")
            for place, spec in enumerate(parcel.file.outputs)
        }
        for number in range(len(parcel.sets))
    ]


def _array(file: Path) -> Array:
    try:
        array: Array = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        name = f"{file.parent.name}/{file.name}"
        raise TargetError(f"the client wrote no {name} that can be read: {error}") from error
    return array
