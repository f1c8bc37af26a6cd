"""Hands arrays to torch's kernels and back, without a copy where both can share the memory.

torch computes in the type that it is given: float64 in the oracle, float32 where a file is run as
it is. numpy's own products and windows are as exact, and many times slower.

Large results are written into numpy's memory (`room`), which asks for huge pages; torch's own does
not. A softmax of 16 million float64 took 67 ms in torch's memory and 47 ms in numpy's, a sum of two
such arrays 48 and 10 ms: the rest was spent on page faults.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from toolkit.tensors import Array

if TYPE_CHECKING:
    import torch

NARROW = {"float16", "bfloat16"}
"""Types that torch multiplies with other roundings on other processors: they are computed in
float32."""
FEW = 1 << 12
"""Elements below which numpy is as fast: a call of torch costs some microseconds."""
MANY = 1 << 22
"""Elements from which torch's threads are worth their wait. On busy cores each call waits 8 ms for
a thread that is not running; up to this size one thread takes less than that."""


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


def room(like: torch.Tensor, shape: Sequence[int] | None = None) -> torch.Tensor:
    """Gives memory for a result: of the type of a tensor, and of its shape and order unless another
    shape is told."""
    import torch

    model = like.numpy()
    free = np.empty_like(model) if shape is None else np.empty(shape, model.dtype)
    return torch.from_numpy(free)


@contextmanager
def threads(*, all_of_them: bool) -> Iterator[None]:
    """Lets torch use all its threads, or one alone."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(before if all_of_them else 1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
