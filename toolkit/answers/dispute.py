"""Is it the oracle that is wrong? Two witnesses, neither of which asks the oracle itself.

D1  The evaluator that makes the oracle also evaluates the file in float32, and so does another
    runtime with all optimisations off. Where that one is beyond float32's border by the first one's
    noise, and further from the oracle than rounding to bfloat16 moves it, they read an operator
    differently. (A value at a border of QuantizeLinear or ArgMax may fall to either side: then
    bfloat16 moves more of them.)
D2  Two targets of different libraries agree with each other as right float32 does, and both are
    beyond the border; and no third library agrees with the oracle.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import TypeAlias

import numpy as np

from toolkit.answers.formats import numbers
from toolkit.answers.pool import flat
from toolkit.answers.rule import FLOAT32_BORDER
from toolkit.tensors import Array

Outputs: TypeAlias = Sequence[Mapping[str, Array]]
"""Named float outputs, a dict for each feed."""


def misread(
    names: Sequence[str], oracle: Outputs, own: Outputs, other: Outputs, rounded: Sequence[Outputs]
) -> str:
    """The outputs in which `other` reads the file differently than the oracle, in words; '' (D1).

    `own` is the oracle's evaluator in float32, `other` another runtime in float32, `rounded` the
    same runtime with bfloat16's rounding, in several forms.
    """
    found = []
    for name in names:
        wanted = _values(oracle, name)
        mine, theirs = _values(own, name), _values(other, name)
        coarse = [_values(form, name) for form in rounded]
        if wanted is None or mine is None or theirs is None or mine.shape != theirs.shape:
            continue
        noise = max(_distance(mine, wanted), _ulp(wanted))
        away = _distance(theirs, wanted)
        moved = [_distance(c, theirs) for c in coarse if c is not None and c.shape == theirs.shape]
        if moved and away > max(FLOAT32_BORDER * noise, *moved):
            found.append(f"{name!r} by {away / noise:.3g} times the noise of float32")
    return ", ".join(found)


def agreeing(
    names: Sequence[str], noise: Mapping[str, float], answers: Mapping[int, tuple[str, Outputs]]
) -> Iterator[tuple[int, int]]:
    """The pairs of targets, of different libraries, that agree with each other in every output.

    `noise`: output → RMS error of a plain float32 evaluation. `answers`: target → its library and
    what it gave for the same feeds. Ask only for those that are beyond the border (D2).
    """
    for (one, (library, mine)), (other, (another, theirs)) in combinations(answers.items(), 2):
        if library != another and all(_alike(name, noise, mine, theirs) for name in names):
            yield one, other


def _alike(name: str, noise: Mapping[str, float], mine: Outputs, theirs: Outputs) -> bool:
    one, other = _values(mine, name), _values(theirs, name)
    if one is None or other is None or one.shape != other.shape:
        return False
    return _distance(one, other) <= FLOAT32_BORDER * noise[name]


def _values(outputs: Outputs, name: str) -> Array | None:
    """All values of an output; None where a feed has none."""
    arrays = [each.get(name) for each in outputs]
    if any(array is None for array in arrays):
        return None
    return flat([numbers(array, "bfloat16") for array in arrays if array is not None])


def _distance(one: Array, other: Array) -> float:
    """RMS of the difference where both are finite; infinite where only one is, or nothing is."""
    finite = np.isfinite(one) & np.isfinite(other)
    if not finite.any() or (np.isfinite(one) != np.isfinite(other)).any():
        return float("inf")
    return float(np.sqrt(np.mean((one[finite] - other[finite]) ** 2)))


def _ulp(values: Array) -> float:
    """Of the typical size: a noise below it would be one of the rounding of the output alone."""
    finite = values[np.isfinite(values)]
    typical = np.sqrt(np.mean(finite**2)) if finite.size else 0.0
    return float(np.spacing(np.float32(typical)))
