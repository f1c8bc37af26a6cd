"""Finds the positions of a feed that a mask switches off: nobody reads what comes out there.

A row of attention that may look at nothing (left padding of a decoder) is the mean of all, or no
number, as it happens: PyTorch, the file and each runtime give another one. Which positions those
are is not believed but tried. What stands there in the other inputs is replaced; where no output
at any other position changes, in float64, they are switched off.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from toolkit.oracle.oracles import Oracle, RefusedFeed
from toolkit.oracle.portable import Unsupported
from toolkit.tensors import Array, Feed, TensorSpec

SAME = 1e-9
"""Largest change, over an output's largest value, of what does not depend on the replaced values:
a sum in another order shows 1e-15."""
ADDED = -100.0
"""Numbers below it switch a position off where a mask is added to scores: e^-100 is nothing beside
the others."""


def positions(
    oracle: Oracle,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    masks: Sequence[str],
    feed: Feed,
    right: Mapping[str, Array],
) -> dict[str, Array]:
    """Gives for each output that has the axes (batch, length) of a mask the positions that it
    switches off, as booleans of that shape; empty where there are none.

    `right` are the oracle's outputs for the feed, in the order of `outputs`, whose names count.
    """
    specs = {spec.name: spec for spec in inputs}
    named = dict(zip((spec.name for spec in outputs), right.values(), strict=True))
    for name in masks:
        spec = specs.get(name)
        if spec is None or spec.shape is None or feed[name].ndim != 2:
            continue
        axes = tuple(spec.shape)
        shown = [o.name for o in outputs if o.shape is not None and tuple(o.shape[:2]) == axes]
        counted = {n: named[n] for n in shown if named[n].shape[:2] == feed[name].shape}
        others = [s.name for s in inputs if s.shape and tuple(s.shape[:2]) == axes]
        for off in _candidates(feed[name]) if counted else ():
            replaced = _replaced(feed, [n for n in others if n not in masks], off)
            if not replaced:
                continue
            changed = _answered(oracle, {**feed, **replaced}, named)
            if all(_agree(changed.get(n), array, off) for n, array in counted.items()):
                return dict.fromkeys(counted, off)
    return {}


def begins_off(mask: Array) -> bool:
    """Says whether a row of a mask (batch, length) begins with less than its largest value: padding
    on the left, as decoders have it. Padding on the right is masked for whoever comes before it,
    and looks at what does."""
    return mask.ndim == 2 and mask.size > 0 and bool((mask[:, :1] < mask.max()).any())


def zeroed(outputs: Mapping[str, Array], unread: Mapping[str, Array]) -> dict[str, Array]:
    """Gives outputs with zeros at the positions that nobody reads."""
    return {
        name: np.where(_spread(unread[name], array.ndim), np.zeros((), array.dtype), array)
        if name in unread and array.shape[:2] == unread[name].shape
        else array
        for name, array in outputs.items()
    }


def _candidates(mask: Array) -> Iterator[Array]:
    """Yields what may be the positions that a mask switches off: those of a very negative number;
    else the zeros, or all that are none."""
    if mask.dtype.kind == "f" and (mask < ADDED).any():
        yield mask < ADDED
        return
    for off in (mask == 0, mask != 0):
        if off.any() and not off.all():
            yield off


def _replaced(feed: Feed, names: Sequence[str], off: Array) -> dict[str, Array]:
    """The inputs of these names with values from elsewhere at some positions."""
    random = np.random.default_rng(0)
    replaced = {}
    for name in names:
        array = np.array(feed[name])
        chosen = random.integers(0, int((~off).sum()), int(off.sum()))
        array[off] = array[~off][chosen]
        if not np.array_equal(array, feed[name]):
            replaced[name] = array
    return replaced


def _answered(oracle: Oracle, feed: Feed, named: Mapping[str, Array]) -> dict[str, Array]:
    """The oracle's outputs by the file's names; none where it refuses the feed."""
    try:
        return dict(zip(named, oracle.answer(feed).values(), strict=True))
    except (RefusedFeed, Unsupported):
        return {}


def _agree(mine: Array | None, theirs: Array, off: Array) -> bool:
    """Says whether an output is as before at all other positions."""
    if mine is None or mine.shape != theirs.shape:
        return False
    mine, theirs = mine[~off], theirs[~off]
    if theirs.dtype.kind != "f":
        return bool(np.array_equal(mine, theirs))
    finite = theirs[np.isfinite(theirs)]
    largest = float(np.abs(finite).max(initial=0.0)) or 1.0
    return bool(np.allclose(mine, theirs, rtol=0, atol=SAME * largest, equal_nan=True))


def _spread(off: Array, rank: int) -> Array:
    return off.reshape(off.shape + (1,) * (rank - 2))
