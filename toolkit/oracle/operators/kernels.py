"""Hands arrays to torch's kernels and back, without a copy where both can share the memory.

torch computes in the type that it is given: float64 in the oracle, float32 where a file is run as
it is. numpy's own products and windows are as exact, and many times slower.

Large results are written into numpy's memory (`room`), which asks for huge pages; torch's own does
not. A softmax of 16 million float64 took 67 ms in torch's memory and 47 ms in numpy's, a sum of two
such arrays 48 and 10 ms: the rest was spent on page faults.

And while `reusing` lasts, memory that nobody refers to any more is given out again: the scores of
an attention over 1,500 frames are 324 MB a layer for three of them, which the system would have to
bring anew each time.
"""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import numpy as np

from toolkit.tensors import Array
from toolkit.units import Bytes

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
LARGE: Bytes = 1 << 25
"""Bytes from which on memory is kept to be given out again: what is smaller malloc keeps itself
(glibc's largest M_MMAP_THRESHOLD)."""
FITS = 1.25
"""How much larger than a result its memory may be."""
_KEPT: ContextVar[list[Array] | None] = ContextVar("kept memory", default=None)
"""The memory that was given out while `reusing` lasts, as bytes; None: none is kept."""


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
    if shape is None and not model.flags.c_contiguous:
        return torch.from_numpy(np.empty_like(model))
    return torch.from_numpy(_memory(model.shape if shape is None else shape, model.dtype))


@contextmanager
def reusing() -> Iterator[None]:
    """Has `room` give large memory out again that nobody refers to any more, while it lasts.

    It holds no more than would be held otherwise: where nothing that is free fits, all of that
    goes back to the system first.
    """
    token = _KEPT.set([])
    try:
        yield
    finally:
        _KEPT.reset(token)


def _memory(shape: Sequence[int], dtype: np.dtype[Any]) -> Array:
    kept, size = _KEPT.get(), math.prod(shape) * dtype.itemsize
    if kept is None or size < LARGE:
        return np.empty(shape, dtype)
    # A view of it, also one that torch holds, refers to it: the list, `each` and the argument do.
    free = [each for each in kept if sys.getrefcount(each) <= 3]
    fitting = [each for each in free if size <= each.nbytes <= FITS * size]
    if fitting:
        whole = fitting[0]
    else:
        kept[:] = [each for each in kept if not any(each is other for other in free)]
        del free
        whole = np.empty(size, np.uint8)
        kept.append(whole)
    return whole[:size].view(dtype).reshape(shape)


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
