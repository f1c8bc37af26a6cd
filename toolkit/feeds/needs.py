"""Reads in a model's graph what its inputs are used for, and what they may hold therefore.

Rules of a reading:
u1  An index lies within the axis that it indexes; a label within the classes; what a Slice begins
    or ends with within the axis that it cuts.
u2  What is compared with the counts of an axis is a length of it; what is compared for equality
    with all of a row of counts is one of them.
u3  What is a size, a divisor or a number of repetitions is at least 1.
u4  What goes into a logarithm, a root or an inverse of cosine lies where that has a value.
u5  What chooses between scores and a number near -infinity is a mask, and the graph tells which of
    its values keeps a score.
u6  What is both the start and the end of one Slice are offsets: from 0 on, and ascending.

What a graph needs (u1, u4) wins over what makes sense of it (u2, u3). Names of inputs say nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from onnx import NodeProto

from toolkit.feeds.forms import Affine, Forms, Walk
from toolkit.feeds.spans import InputUse, Span
from toolkit.onnxfiles.graphs import attribute

FEW = 5
"""Sizes and repetitions stay below it: such an input cuts or repeats others, whose usual sizes are
7 and 16 (feeds/sizes.py, feeds/variations.py)."""
FORBIDDEN = -1e3
"""Numbers from here down are added to scores to forbid them: exporters write -1e4, -1e9, -inf."""


@dataclass
class Reading:
    """What a walk over the nodes has found out about the inputs."""

    walk: Walk
    uses: dict[str, InputUse] = field(default_factory=dict)
    columns: dict[str, list[Forms]] = field(default_factory=dict)
    """Tensor → the forms of each of the columns that it was put together from."""

    def use(self, form: Affine) -> InputUse:
        assert form.source is not None
        return self.uses.setdefault(form.source, InputUse())

    def need(self, forms: Forms, low: float, high: float, *, opened: bool = False) -> None:
        """Notes that values have to lie between two numbers."""
        for form in _reached(forms):
            use, part = self.use(form), form.part
            if form.gap is not None:
                use.ascending = form.gap if low == 0 and form.scale > 0 else use.ascending
            elif form.factor:
                if low == 0:
                    span = Span(0.0, math.inf, open=True)
                    use.needed[part] = use.needed.get(part, Span()).within(span)
            else:
                span = _before(form, low, high, opened)
                use.needed[part] = use.needed.get(part, Span()).within(span)

    def prefer(self, forms: Forms, low: float, high: float) -> None:
        """Notes that values between two numbers show something."""
        for form in _reached(forms):
            if form.gap is None and not form.factor:
                use = self.use(form)
                both = use.sensible.within(_before(form, low, high, opened=False))
                use.sensible = use.sensible if both.empty else both


def _reached(forms: Forms) -> Iterator[Affine]:
    return (form for form in forms if form.source is not None and form.scale)


def _before(form: Affine, low: float, high: float, opened: bool) -> Span:
    """The values of the input for which those of a form lie between low and high."""
    # Not sorted: where something is too wide to lie there with any value, the span is empty.
    ends = (low - form.low) / form.scale, (high - form.high) / form.scale
    low, high = ends if form.scale > 0 else ends[::-1]
    return Span(low, high, opened)


def _index(reading: Reading, node: NodeProto) -> None:
    """Notes u1 of Gather, GatherElements and ScatterElements."""
    size = reading.walk.size(node.input[0], attribute(node, "axis", 0))
    if size is not None:
        reading.need(reading.walk.input(node, 1), 0, size - 1)


def _places(reading: Reading, node: NodeProto) -> None:
    """Notes u1 of GatherND and ScatterND, whose last axis holds an index of each axis."""
    walk, first = reading.walk, attribute(node, "batch_dims", 0)
    columns = walk.size(node.input[1], -1)
    if columns is None:
        return
    sizes = [walk.size(node.input[0], first + column) for column in range(columns)]
    parts = reading.columns.get(node.input[1], [])
    if len(parts) == columns:
        pairs: Iterable[tuple[Forms, int | None]] = zip(parts, sizes, strict=True)
    else:
        known = [size for size in sizes if size is not None]
        pairs = [(walk.input(node, 1), min(known, default=None))]
    for forms, size in pairs:
        if size is not None:
            reading.need(forms, 0, size - 1)


def _columns(reading: Reading, node: NodeProto) -> None:
    """Remembers from which tensors the last axis of another one is put together."""
    sizes = [reading.walk.size(name, -1) for name in node.input]
    shape = reading.walk.shape(node.output[0])
    last = shape is not None and attribute(node, "axis", 0) in (-1, len(shape) - 1)
    if last and set(sizes) == {1}:
        reading.columns[node.output[0]] = [reading.walk.of(name) for name in node.input]


def _classes(reading: Reading, node: NodeProto) -> None:
    """Notes u1 of OneHot, whose depth is a constant or a size."""
    depth = reading.walk.input(node, 1)
    if len(depth) == 1 and depth[0].source is None:
        reading.need(reading.walk.input(node, 0), 0, depth[0].low - 1)


def _labels(reading: Reading, node: NodeProto) -> None:
    """Notes u1 of a loss, whose scores have a class at each place of their second axis."""
    size = reading.walk.size(node.input[0], 1)
    if size is not None:
        reading.need(reading.walk.input(node, 1), 0, size - 1)


def _cut(reading: Reading, node: NodeProto) -> None:
    """Notes u1 and u6 of a Slice."""
    walk = reading.walk
    starts, stops = walk.input(node, 1), walk.input(node, 2)
    size = walk.size(node.input[0], (walk.known(node, 3) or [0])[0])
    both = [form for form in _reached(starts) if form in stops]
    for form in both:
        # Their end, which is mostly put behind the last of them, tells how long the axis is.
        ends = [each.high for each in stops if each.source is None]
        last = max(ends, default=math.inf) if size is None else size
        use = reading.use(form)
        use.offsets = True
        use.needed[None] = use.needed.get(None, Span()).within(Span(0, max(0, last - 1)))
    for forms, first in ((starts, True), (stops, False)):
        for form in _reached(forms):
            if form not in both:
                _end(reading, form, size, first=first)


def _end(reading: Reading, form: Affine, size: int | None, *, first: bool) -> None:
    """Notes u1 of where a Slice of an axis of this size begins, or ends."""
    if size is None:
        reading.prefer((form,), 1, FEW - 1)
    elif form.scale > 0:
        reading.need((form,), *((0, size - 1) if first else (min(1, size), size)))
    else:  # x[-k:], x[:-k]
        reading.need((form,), *((-size, -1) if first else (1 - size, -1)))


def _compared(reading: Reading, node: NodeProto) -> None:
    """Notes u2: the other side counts along an axis."""
    left, right = reading.walk.input(node, 0), reading.walk.input(node, 1)
    for values, counts in ((left, right), (right, left)):
        for form in counts:
            if form.source is None and form.low == 0 and 1 <= form.high < math.inf:
                # One more than a count is a length; of classes there are no more than counts.
                more = 0 if node.op_type == "Equal" else 1
                reading.prefer(values, form.low + more, form.high + more)


def _counted(reading: Reading, node: NodeProto) -> None:
    """Notes u3 of a Range's limit."""
    reading.prefer(reading.walk.input(node, 1), 1, FEW - 1)


def _sizes(index: int) -> Callable[[Reading, NodeProto], None]:
    """Makes the rule u3 for the operators whose input of this index holds sizes."""

    def rule(reading: Reading, node: NodeProto) -> None:
        reading.prefer(reading.walk.input(node, index), 1, FEW - 1)

    return rule


def _divided(reading: Reading, node: NodeProto) -> None:
    """Notes u3 of whole numbers that divide, and what a remainder wraps round."""
    by = tuple(form for form in reading.walk.input(node, 1) if not form.factor)
    reading.prefer(by, 1, math.inf)
    number = max((form.high for form in by if form.source is None), default=0.0)
    if node.op_type == "Mod" and number > 1:
        reading.prefer(reading.walk.input(node, 0), 0, 2 * number - 1)


def _clipped(reading: Reading, node: NodeProto) -> None:
    """Notes that values up to a little beyond both limits of a Clip show it."""
    low, high = reading.walk.input(node, 1), reading.walk.input(node, 2)
    if len(low) == len(high) == 1 and low[0].source is None and high[0].source is None:
        reading.prefer(reading.walk.input(node, 0), low[0].low - 1, high[0].high + 1)


def _defined(low: float, high: float, *, opened: bool) -> Callable[[Reading, NodeProto], None]:
    """Makes the rule u4 for a function that has a value from low to high."""

    def rule(reading: Reading, node: NodeProto) -> None:
        reading.need(reading.walk.input(node, 0), low, high, opened=opened)

    return rule


def _power(reading: Reading, node: NodeProto) -> None:
    """Notes u4 of a power that is no whole number."""
    exponent = reading.walk.input(node, 1)
    if len(exponent) == 1 and exponent[0].source is None and exponent[0].low % 1:
        reading.need(reading.walk.input(node, 0), 0, math.inf, opened=True)


def _first_of(reading: Reading, node: NodeProto) -> None:
    """Notes u1 of a TopK's number, within its axis."""
    size = reading.walk.size(node.input[0], attribute(node, "axis", -1))
    if size is not None:
        reading.need(reading.walk.input(node, 1), 1, size)


def _chosen(reading: Reading, node: NodeProto) -> None:
    """Notes u5 of a Where, one of whose branches forbids."""
    mask, yes, no = (reading.walk.input(node, index) for index in range(3))
    for branch, keeps in ((yes, False), (no, True)):
        if len(branch) == 1 and branch[0].source is None and branch[0].high <= FORBIDDEN:
            _masks(reading, mask, keeps=keeps)


def _added(reading: Reading, node: NodeProto) -> None:
    """Notes u5 of a mask that was made -infinity where it forbids, and 0 elsewhere."""
    for forms in (reading.walk.input(node, 0), reading.walk.input(node, 1)):
        strong = tuple(form for form in forms if abs(form.scale) >= -FORBIDDEN)
        _masks(reading, strong, keeps=True)


def _masks(reading: Reading, forms: Forms, *, keeps: bool) -> None:
    for form in _reached(forms):
        if form.gap is None and not form.factor:
            reading.use(form).keeps = keeps if form.scale > 0 else not keeps


NEEDS: Mapping[str, Callable[[Reading, NodeProto], None]] = {
    **dict.fromkeys(("Gather", "GatherElements", "ScatterElements"), _index),
    **dict.fromkeys(("GatherND", "ScatterND"), _places),
    "Concat": _columns,
    "OneHot": _classes,
    "Slice": _cut,
    "TopK": _first_of,
    **dict.fromkeys(("SoftmaxCrossEntropyLoss", "NegativeLogLikelihoodLoss"), _labels),
    **dict.fromkeys(("Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Equal"), _compared),
    "Range": _counted,
    "Expand": _sizes(1),
    "Reshape": _sizes(1),
    "Tile": _sizes(1),
    "ConstantOfShape": _sizes(0),
    "Resize": _sizes(3),
    "Div": _divided,
    "Mod": _divided,
    "Clip": _clipped,
    "Log": _defined(0, math.inf, opened=True),
    "Sqrt": _defined(0, math.inf, opened=False),
    "Acos": _defined(-1, 1, opened=False),
    "Asin": _defined(-1, 1, opened=False),
    "Atanh": _defined(-1, 1, opened=True),
    "Acosh": _defined(1, math.inf, opened=False),
    "Pow": _power,
    "Where": _chosen,
    "Add": _added,
}
"""Operator of ONNX → what it tells of the values that go into it."""
