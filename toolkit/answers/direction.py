"""Does an error point where a format's error points?

A runtime that rounds to bfloat16 makes partly the same errors as a simulation that does, not only
as large ones. A cosine of 0.4 named the right class in 2,570 of 2,573 trials; a smaller one proves
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np

from toolkit.tensors import Array

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

PROOF = 0.4
"""From this cosine on a class is named."""
TIE = 0.1
"""Classes whose cosines are nearer than this to the largest are named with it."""
CENTRED_ROWS = 8
"""With fewer rows the mean of each column holds too much of the error itself."""


def sensitivity(errors: Iterable[Array], ulps: Floats) -> Floats:
    """How strongly each element reacts to rounding: the geometric mean of its simulated errors.

    Each simulation's errors count relative to its own typical one; a quarter of an ulp is a floor.
    """
    total, count = np.zeros_like(ulps), 0
    for error in errors:
        log = np.log(error + ulps / 4 + 1e-30)
        total, count = total + (log - log.mean()), count + 1
    return np.asarray(np.exp(total / max(count, 1)), np.float64)


def unit(error: Array, sensitive: Floats) -> Floats:
    """Signed errors (rows, columns), scaled, clipped at six times the median, centred by column."""
    scaled = error / sensitive  # (rows, columns)
    size = np.abs(scaled)
    limit = 6 * np.median(size) or size.max(initial=0.0) or 1.0
    clipped = np.clip(scaled / limit, -1, 1)
    centre = clipped.mean(axis=0) if len(clipped) >= CENTRED_ROWS else clipped.mean()
    return np.asarray((clipped - centre).ravel(), np.float64)


def cosine(a: Array, b: Array) -> float:
    """Of the angle between two vectors; 0 where one of them is zero."""
    product = float(a @ a) * float(b @ b)
    return float(a @ b) / float(np.sqrt(product)) if product else 0.0
