"""Finds evidence that the oracle is what is wrong, by two witnesses that do not ask it.

D1  The evaluator that makes the oracle also evaluates the file in float32, and so does another
    runtime with all optimisations off. Where that one is beyond float32's border by the first one's
    noise, and further from the oracle than rounding to bfloat16 moves it, they read an operator
    differently. (A value at a border of QuantizeLinear or ArgMax may fall to either side: then
    bfloat16 moves more of them.)
D2  Two targets of different libraries agree with each other as right float32 does, and both are
    beyond the border; and no third library agrees with the oracle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import TypeAlias

import numpy as np

from toolkit.answers.formats import numbers
from toolkit.answers.pool import flat
from toolkit.answers.rule import FLOAT32_BORDER
from toolkit.tensors import Array

Outputs: TypeAlias = Sequence[Mapping[str, Array]]
"""Named float outputs, one mapping for each feed."""


def misread(
    names: Sequence[str],
    oracle: Outputs,
    own: Outputs,
    other: Outputs,
    rounded: Callable[[], Sequence[Outputs]],
) -> str:
    """Names the outputs in which `other` reads the file differently than the oracle (D1).

    `own` is the oracle's evaluator in float32, `other` another runtime in float32; `rounded` runs
    the same runtime with bfloat16's rounding, in several forms, and is asked only where the two are
    further apart than float32's noise. All answer the same feeds. Empty: they read it alike, or it
    cannot be told.
    """
    misread_outputs = []
    for name in names:
        wanted = _values(oracle, name)
        mine, theirs = _values(own, name), _values(other, name)
        if wanted is None or mine is None or theirs is None or mine.shape != theirs.shape:
            continue
        noise = max(_distance(mine, wanted), _ulp(wanted))
        away = _distance(theirs, wanted)
        if away <= FLOAT32_BORDER * noise:
            continue
        coarse = [_values(form, name) for form in rounded()]
        moved = [_distance(c, theirs) for c in coarse if c is not None and c.shape == theirs.shape]
        if moved and away > max(moved):
            distance = f"{away / noise:.3g} times the noise of float32"
            misread_outputs.append(f"{name!r} by {distance}")
    return ", ".join(misread_outputs)


def agreeing(
    names: Sequence[str], noise: Mapping[str, float], answers: Mapping[int, tuple[str, Outputs]]
) -> Iterator[tuple[int, int]]:
    """Yields the pairs of targets, of different libraries, that agree in every output (D2).

    `noise`: output → RMS error of a plain float32 evaluation. `answers`: target → its library and
    its answers to the same feeds. Give only targets that are beyond the border.
    """
    pairs = combinations(answers.items(), 2)
    for (first, (library, mine)), (second, (other_library, theirs)) in pairs:
        if library == other_library:
            continue  # two ways into one library make the same errors
        if all(_alike(name, noise, mine, theirs) for name in names):
            yield first, second


def _alike(name: str, noise: Mapping[str, float], mine: Outputs, theirs: Outputs) -> bool:
    a, b = _values(mine, name), _values(theirs, name)
    if a is None or b is None or a.shape != b.shape:
        return False
    return _distance(a, b) <= FLOAT32_BORDER * noise[name]


def _values(outputs: Outputs, name: str) -> Array | None:
    """Joins all values of an output, flat in float64; None where a feed has none."""
    arrays = [each.get(name) for each in outputs]
    if any(array is None for array in arrays):
        return None
    return flat([numbers(array, "bfloat16") for array in arrays if array is not None])


def _distance(a: Array, b: Array) -> float:
    """Gives the RMS of a difference; infinite where an element is finite in one of them alone, or
    nothing is finite."""
    finite = np.isfinite(a) & np.isfinite(b)
    if not finite.any() or (np.isfinite(a) != np.isfinite(b)).any():
        return float("inf")
    return _rms(a[finite] - b[finite])


def _ulp(values: Array) -> float:
    """Gives one ulp of the typical size: a noise below it is the rounding of the output alone.

    A file in float64 may hold what is beyond float32's range: its ulp is as large beside it.
    """
    typical = _rms(values[np.isfinite(values)])
    if typical > float(np.finfo(np.float32).max):
        return typical * float(np.finfo(np.float32).eps)
    return float(np.spacing(np.float32(typical)))


def _rms(values: Array) -> float:
    """Gives the RMS of finite values, also of those whose squares float64 does not hold."""
    largest = float(np.max(np.abs(values), initial=0.0))
    if largest in (0.0, float("inf")):
        return largest
    return largest * float(np.sqrt(np.mean((values / largest) ** 2)))
