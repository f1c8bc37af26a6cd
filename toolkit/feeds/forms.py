"""Follows what an input's values become in a graph, while that is arithmetic with known numbers.

A tensor is described by forms. One form stands for `scale * input + something from low to high`, or
without an input for numbers from low to high. All sizes are known when forms are made: they are
made anew for each feed, in one walk over the nodes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
from onnx import NodeProto

from toolkit.onnxfiles.graphs import attribute
from toolkit.tensors import Array

MOST = 8
"""Forms of one tensor. A sum of two tensors has a form for each pair: without a limit a chain of
them would double at each node."""


@dataclass(frozen=True)
class Segment:
    """The values of an input from `start` on, before `stop`, along one axis."""

    axis: int
    start: int
    stop: int | None


@dataclass(frozen=True)
class Affine:
    """Values: `scale` times those of an input, and something from `low` to `high`."""

    source: str | None
    scale: float
    low: float
    high: float
    part: Segment | None = None
    """The part of the input that these are; None: it may be any."""
    intact: bool = False
    """The tensor has the axes of the input itself."""
    factor: bool = False
    """It is a factor of the values: its sign alone is known to matter."""
    gap: int | None = None
    """The axis of the input along which these are differences of later and earlier values."""

    def moved(self, low: float, high: float) -> Affine:
        """Gives the form of these values and something from low to high."""
        return replace(self, low=self.low + low, high=self.high + high)

    def times(self, factor: float) -> Affine:
        """Gives the form of these values times a number."""
        low, high = sorted((_times(self.low, factor), _times(self.high, factor)))
        return replace(self, scale=self.scale * factor, low=low, high=high)


Forms: TypeAlias = tuple[Affine, ...]


def numbers(low: float, high: float) -> Forms:
    """The form of numbers from low to high that no input reaches."""
    return (Affine(None, 0.0, float(low), float(high)),)


@dataclass
class Walk:
    """The forms of the tensors that a walk over the nodes of a graph has passed."""

    shape: Callable[[str], Sequence[int | None] | None]
    """Gives the sizes of a tensor, None for each that is unknown; None where its rank is."""
    constants: Mapping[str, Array]
    forms: dict[str, Forms] = field(default_factory=dict)

    def of(self, name: str) -> Forms:
        """The forms of a tensor; none where nothing is known of its values."""
        if name not in self.forms and name in self.constants:
            self.forms[name] = _of_array(self.constants[name])
        return self.forms.get(name, ())

    def input(self, node: NodeProto, index: int) -> Forms:
        """The forms of one of a node's inputs; none where it has no such input."""
        return self.of(node.input[index]) if index < len(node.input) else ()

    def known(self, node: NodeProto, index: int) -> list[int] | None:
        """The whole numbers that a node's input is known to hold; None where they are unknown."""
        if index >= len(node.input) or node.input[index] not in self.constants:
            return None
        return [int(each) for each in self.constants[node.input[index]].ravel()]

    def size(self, name: str, axis: int) -> int | None:
        """The size of a tensor along an axis, where it is known."""
        sizes = self.shape(name)
        if sizes is None or not -len(sizes) <= axis < len(sizes):
            return None
        return sizes[axis]

    def follow(self, node: NodeProto) -> None:
        """Notes the forms of what a node computes."""
        rule = RULES.get(node.op_type)
        if rule is not None:
            made = rule(self, node)
            # The outputs of a Split are unlike each other: its rule notes them itself.
            self.forms.update((name, made[:MOST]) for name in node.output[:1] if made)


def _times(left: float, right: float) -> float:
    return 0.0 if 0 in (left, right) else left * right  # Not NaN, where the other is infinite.


def _of_array(array: Array) -> Forms:
    if array.dtype.kind not in "iufb" or not array.size:
        return ()
    return numbers(float(array.min()), float(array.max()))


def _same(walk: Walk, node: NodeProto) -> Forms:
    """The values of the first input as they are, in its own axes."""
    return walk.input(node, 0)


def _rearranged(walk: Walk, node: NodeProto) -> Forms:
    """The values of the first input, all or some of them, in other axes."""
    return tuple(replace(form, intact=False) for form in walk.input(node, 0))


def _part(forms: Forms, part: Segment) -> Forms:
    """The part of a tensor that was an input as it is; of any other it is not followed."""
    return tuple(replace(form, part=part, intact=False) if form.intact else form for form in forms)


def _slice(walk: Walk, node: NodeProto) -> Forms:
    starts, stops, axes = (walk.known(node, index) for index in (1, 2, 3))
    steps = walk.known(node, 4) or [1]
    if starts and stops and axes and len(axes) == 1 and steps == [1] and starts[0] >= 0:
        part = Segment(axes[0], starts[0], stops[0] if stops[0] < 2**31 else None)
        return _part(walk.input(node, 0), part)
    return _rearranged(walk, node)


def _gather(walk: Walk, node: NodeProto) -> Forms:
    at = walk.known(node, 1)
    if at is not None and len(at) == 1 and at[0] >= 0:
        axis = attribute(node, "axis", 0)
        return _part(walk.input(node, 0), Segment(axis, at[0], at[0] + 1))
    return _rearranged(walk, node)


def _split(walk: Walk, node: NodeProto) -> Forms:
    """Notes a part for each output, which are taken to be equally long unless the node tells."""
    axis, count = attribute(node, "axis", 0), len(node.output)
    size = walk.size(node.input[0], axis)
    lengths = walk.known(node, 1) or ([] if size is None else [-(-size // count)] * count)
    start = 0
    for name, length in itertools.zip_longest(node.output, lengths):
        if name is None or length is None:
            break
        walk.forms[name] = _part(walk.input(node, 0), Segment(axis, start, start + length))
        start += length
    return ()


def _add(walk: Walk, node: NodeProto) -> Forms:
    return _sums(walk.input(node, 0), walk.input(node, 1))


def _sub(walk: Walk, node: NodeProto) -> Forms:
    left, right = walk.input(node, 0), walk.input(node, 1)
    if gap := _gap(left, right):
        return gap
    return _sums(left, tuple(form.times(-1) for form in right))


def _sums(left: Forms, right: Forms) -> Forms:
    """The forms of a sum, one of whose terms holds known numbers."""
    sums = []
    for one, other in itertools.product(left, right):
        of, term = (one, other) if other.source is None else (other, one)
        if term.source is None and not of.factor and of.gap is None:
            sums.append(of.moved(term.low, term.high))
    return tuple(sums)


def _gap(left: Forms, right: Forms) -> Forms:
    """The form of later values of an input less earlier ones."""
    if len(left) != 1 or len(right) != 1 or left[0].part is None or right[0].part is None:
        return ()
    later, earlier = left[0], right[0]
    assert later.part
    assert earlier.part
    alike = (later.source, later.scale, later.part.axis) == (
        *(earlier.source, earlier.scale, earlier.part.axis),
    )
    if not alike or later.part.start <= earlier.part.start:
        return ()
    return (Affine(later.source, later.scale, 0.0, 0.0, gap=later.part.axis),)


def _mul(walk: Walk, node: NodeProto) -> Forms:
    left, right = walk.input(node, 0), walk.input(node, 1)
    for of, by in ((left, right), (right, left)):
        if (number := _number(by)) is not None:
            return tuple(form.times(number) for form in of)
    return _factors(left, right)


def _div(walk: Walk, node: NodeProto) -> Forms:
    left, right = walk.input(node, 0), walk.input(node, 1)
    number = _number(right)
    if not number:
        return _factors(left, right)
    whole = (
        np.issubdtype(walk.constants[node.input[1]].dtype, np.integer)
        if (node.input[1] in walk.constants)
        else False
    )
    lost = 1 - 1 / abs(number) if whole else 0.0  # What rounding down takes away at most.
    return tuple(form.times(1 / number).moved(-lost, 0) for form in left)


def _factors(left: Forms, right: Forms) -> Forms:
    """The forms of a product or a quotient, of which the sign alone is known."""
    reached = tuple(form for form in (*left, *right) if form.source is not None)
    unknown = not left or not right
    negative = any(form.source is None and form.low <= 0 for form in (*left, *right))
    return () if unknown or negative else tuple(replace(f, factor=True) for f in reached)


def _number(forms: Forms) -> float | None:
    """The one number that forms stand for."""
    if len(forms) != 1 or forms[0].source is not None or forms[0].low != forms[0].high:
        return None
    return forms[0].low


def _turned(walk: Walk, node: NodeProto) -> Forms:
    return tuple(form.times(-1) for form in walk.input(node, 0))


def _not(walk: Walk, node: NodeProto) -> Forms:
    return tuple(form.times(-1).moved(1, 1) for form in walk.input(node, 0))


def _equal(walk: Walk, node: NodeProto) -> Forms:
    """The comparison with 0 of what is 0 or 1: its reverse. It tells what a mask keeps."""
    return _not(walk, node) if _number(walk.input(node, 1)) == 0 else ()


def _where(walk: Walk, node: NodeProto) -> Forms:
    """The values of either branch; of two numbers that a mask chooses from, the mask's own."""
    mask, yes, no = (walk.input(node, index) for index in range(3))
    numbers_alone = (_number(yes), _number(no))
    if None not in numbers_alone and any(form.source for form in mask):
        high, low = (max(-1e30, min(1e30, each or 0.0)) for each in numbers_alone)
        return tuple(form.times(high - low).moved(low, low) for form in mask)
    # torch counts negative indices from the end by Where(x < 0, x + n, x): the last one counts.
    if no and {form.source for form in yes} == {form.source for form in no}:
        return no
    return (*no, *yes)


def _concat(walk: Walk, node: NodeProto) -> Forms:
    return tuple(form for name in node.input for form in walk.of(name))


def _limited(walk: Walk, node: NodeProto) -> Forms:
    """Numbers within constant limits, whatever they were before."""
    if node.op_type == "Clip":
        low, high = _number(walk.input(node, 1)), _number(walk.input(node, 2))
        low = attribute(node, "min", low)
        high = attribute(node, "max", high)
        both = low is not None and high is not None
        return numbers(low, high) if both else _rearranged(walk, node)
    limits = [each for name in node.input if (each := _number(walk.of(name))) is not None]
    others = [
        form for name in node.input if _number(walk.of(name)) is None for form in walk.of(name)
    ]
    return tuple(others) if limits or len(node.input) == 1 else ()


def _mod(walk: Walk, node: NodeProto) -> Forms:
    number = _number(walk.input(node, 1))
    return numbers(0, number - 1) if number and number > 0 else ()


def _range(walk: Walk, node: NodeProto) -> Forms:
    """Counts from 0 to the end of the tensor's own size, which mostly is known."""
    start, step = _number(walk.input(node, 0)), _number(walk.input(node, 2))
    size = walk.size(node.output[0], 0)
    if start is None or not step or not size:
        return ()
    return numbers(*sorted((start, start + (size - 1) * step)))


def _shape(walk: Walk, node: NodeProto) -> Forms:
    sizes = walk.shape(node.input[0])
    if sizes is None:
        return ()
    stop = attribute(node, "end", len(sizes))
    chosen = list(sizes)[attribute(node, "start", 0) : stop]
    known = [size for size in chosen if size is not None]
    return numbers(min(known), max(known)) if known and len(known) == len(chosen) else ()


def _size(walk: Walk, node: NodeProto) -> Forms:
    sizes = walk.shape(node.input[0]) or [None]
    known = [size for size in sizes if size is not None]
    return numbers(*[math.prod(known)] * 2) if len(known) == len(sizes) else ()


def _filled(walk: Walk, node: NodeProto) -> Forms:
    value: Any = attribute(node, "value", None)
    number = float(np.frombuffer(value.raw_data, np.uint8).any()) if value is not None else 0.0
    return numbers(0, 0) if number == 0 else ()


RULES: Mapping[str, Callable[[Walk, NodeProto], Forms]] = {
    **dict.fromkeys(("Cast", "CastLike", "Identity", "Floor", "Ceil", "Round"), _same),
    **dict.fromkeys(
        ("Expand", "Flatten", "Reshape", "Squeeze", "Tile", "Transpose", "Unsqueeze"), _rearranged
    ),
    "Slice": _slice,
    "Gather": _gather,
    "Split": _split,
    "Concat": _concat,
    "Add": _add,
    "Sub": _sub,
    "Mul": _mul,
    "Div": _div,
    "Neg": _turned,
    "Mod": _mod,
    "Not": _not,
    "Equal": _equal,
    "Where": _where,
    **dict.fromkeys(("Clip", "Min", "Max"), _limited),
    "Range": _range,
    "Shape": _shape,
    "Size": _size,
    "ConstantOfShape": _filled,
}
"""Operator of ONNX → the forms of its output."""
