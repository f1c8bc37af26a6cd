"""Seeded numbers within a span."""

from __future__ import annotations

import math

import numpy as np

from toolkit.feeds import kinds
from toolkit.feeds.forms import Segment
from toolkit.feeds.spans import Span
from toolkit.tensors import Array

SMALL = 10
"""Integers of which nothing is known stay below it: if one indexes a table after all, in a way that
the graph does not show, few tables are shorter."""
MARGIN = 1 / 64
"""Floats keep away from an end that is left out by this, and by this part of the span's width: near
it a logarithm changes so steeply that float32 itself errs much."""
WIDEST = 2**31
"""Integers are drawn no farther than this from the span's other end."""


def preferred(span: Span, other: Span) -> Span:
    """Gives what lies in both spans, the first where nothing does."""
    both = span.within(other)
    return span if both.empty else both


def integers(span: Span, shape: tuple[int, ...], random: np.random.Generator) -> Array:
    """Whole numbers within a span; small ones where it has an end only or none."""
    low, high = ends(span)
    return random.integers(low, high + 1, shape)


def ends(span: Span) -> tuple[int, int]:
    """Gives the whole numbers at the two ends; where nothing lies between them, one twice."""
    low = math.ceil(span.low) if span.low > -math.inf else None
    high = math.floor(span.high) if span.high < math.inf else None
    if span.open:
        low = None if low is None else low + (low == span.low)
        high = None if high is None else high - (high == span.high)
    if low is None:
        low = 0 if high is None or high >= 0 else high - SMALL + 1
    if high is None:
        high = low + SMALL - 1
    return low, min(max(low, high), low + WIDEST)


def wrapped(span: Span, values: Array) -> Array:
    """Gives whole numbers that lie within a span as they are; others are wrapped round."""
    if span.low == -math.inf and span.high == math.inf:
        return values
    low, high = ends(span)
    if span.high == math.inf:
        return np.maximum(values, low).astype(values.dtype)
    inside = (values >= span.low) & (values <= high)
    return np.where(inside, values, low + (values - low) % (high - low + 1)).astype(values.dtype)


def ascending(span: Span, shape: tuple[int, ...], axis: int, random: np.random.Generator) -> Array:
    """Whole numbers that ascend along an axis from the span's start, each another one where there
    is room for that."""
    low, high = ends(span)
    count = shape[axis]
    room = high - low - (count - 1)
    if room >= 0:
        values = low + np.sort(random.integers(0, room + 1, shape), axis)
        values = values + kinds.counted(shape, axis)
    else:
        values = np.sort(random.integers(low, high + 1, shape), axis)
    np.moveaxis(values, axis, 0)[:1] = low
    return values


def floats(span: Span, shape: tuple[int, ...], random: np.random.Generator) -> Array:
    """Floats within a span: standard normal where it has no end, even where it has two."""
    width = span.high - span.low
    if width == math.inf:
        away = MARGIN if span.open else 0.0
        normal = random.standard_normal(shape)
        if span.low > -math.inf:
            return span.low + away + np.abs(normal)
        return normal if span.high == math.inf else span.high - away - np.abs(normal)
    away = min(MARGIN, width * MARGIN) if span.open else 0.0
    return random.uniform(span.low + away, max(span.low, span.high) - away, shape)


def place(part: Segment, shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Gives the index of a part of an array."""
    return (*[slice(None)] * (part.axis % len(shape)), slice(part.start, part.stop))
