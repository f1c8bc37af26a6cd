"""Ways to spoil an array of outputs. All but the first write into it."""

from __future__ import annotations

import numpy as np

from toolkit.tensors import Array


def swapped(array: Array) -> Array:
    return np.ascontiguousarray(array[..., ::-1])


def tail_zeroed(array: Array) -> Array:
    array.reshape(-1)[-max(1, array.size // 100) :] = 0
    return array


def not_a_number(array: Array) -> Array:
    array.reshape(-1)[3] = np.nan
    return array


def infinite(array: Array) -> Array:
    array.reshape(-1)[0] = -np.inf
    return array
