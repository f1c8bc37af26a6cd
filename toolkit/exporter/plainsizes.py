"""Holds a file to its module in float32 alone, at sizes whose float64 takes too long.

The file's untouched numbers have to be those of the module's own float32 there, as near as two
evaluations in float32 are to each other; how near that is, the module's own noise tells where its
float64 is known. Nothing fails here: what is not as near is looked at in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from toolkit.errors import ToolkitError, demand_room
from toolkit.feeds.feed import Draws
from toolkit.feeds.sizes import Dims
from toolkit.oracle.oracles import Expected, Oracle
from toolkit.tensors import Array, Feed

NEAR = 4.0
"""How far apart the two may be, in units of the module's own noise: in RMS and at most. ONNX
Runtime's right float32 is within 2.5 times the noise (docs/design/answers.md), and so within 3.5 of
another evaluation. float32's border itself, 10, would leave room for faults."""

Run: TypeAlias = Callable[[Sequence[Feed]], Sequence[Mapping[str, Array]]]
"""Gives the file's float32 outputs for each feed. Raises ToolkitError."""


def holds(oracle: Oracle, known: Sequence[Expected], draws: Draws, dims: Dims, run: Run) -> bool:
    """Says whether the file's outputs at these sizes are those of the module's own float32.

    `known` are feeds with their outputs in float64. False also where that cannot be told: the
    module refuses the sizes, or has no float32.
    """
    feed = draws.draw(dims).arrays
    try:
        own = oracle.in_float32(feed)
        if own is None:
            return False
        plain = [oracle.in_float32(each.feed.arrays) for each in known]
        (answer,) = run([feed])
    except ToolkitError as error:
        demand_room(error)
        return False
    if len(answer) != len(own) or not known:
        return False
    for name, mine, theirs in zip(own, answer.values(), own.values(), strict=True):
        pairs = [
            (known_plain[name], each.outputs[name])
            for known_plain, each in zip(plain, known, strict=True)
            if known_plain is not None
        ]
        if not _is_near(mine, theirs, pairs):
            return False
    return True


def _is_near(mine: Array, theirs: Array, known: Sequence[tuple[Array, Array]]) -> bool:
    """Says whether two outputs are as near as float32's noise, which pairs of the same output in
    float32 and in float64 show."""
    if mine.shape != theirs.shape or mine.dtype != theirs.dtype:
        return False
    if mine.dtype.kind != "f":
        return bool(np.array_equal(mine, theirs))
    distance = _error(mine, theirs)
    noise = np.concatenate([_error(plain, right) for plain, right in known] or [np.zeros(0)])
    if not noise.size or not distance.size:
        return False
    # Written so that what is not finite is not near.
    in_rms = _rms(distance) <= NEAR * _rms(noise)
    return bool(in_rms and distance.max() <= NEAR * noise.max())


def _error(mine: Array, theirs: Array) -> Array:
    if mine.shape != theirs.shape:
        return np.full(1, np.inf)
    with np.errstate(invalid="ignore"):
        return np.abs(np.subtract(mine, theirs, dtype=np.float64)).ravel()


def _rms(errors: Array) -> float:
    return float(np.sqrt(np.mean(errors**2)))
