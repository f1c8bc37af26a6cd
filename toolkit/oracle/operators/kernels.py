"""Hands arrays to torch's kernels and back, without a copy where both can share the memory.

torch computes in the type that it is given: float64 in the oracle, float32 where a file is run as
it is. numpy's own products and windows are as exact, and many times slower.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from toolkit.tensors import Array

if TYPE_CHECKING:
    import torch

NARROW = {"float16", "bfloat16"}
"""Types that torch multiplies with other roundings on other processors: they are computed in
float32."""


def tensor(array: Array) -> torch.Tensor:
    """Gives an array to torch; float16 and bfloat16 as float32."""
    import torch

    if array.dtype.name in NARROW:
        array = array.astype(np.float32)
    if any(step < 0 for step in array.strides):  # torch knows no negative steps
        array = np.ascontiguousarray(array)
    with warnings.catch_warnings():
        # A constant is a view of the file, which nobody may write; our operators write into none.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


def array(result: torch.Tensor) -> Array:
    """Takes a result back from torch."""
    values: Array = result.numpy()
    return values


def is_float(array: Array) -> bool:
    """Says whether torch may compute it: a float of a type that `tensor` takes."""
    return array.dtype.name in NARROW | {"float32", "float64"}
