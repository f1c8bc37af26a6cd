"""The conditions on a dimension under which alone an exported graph may hold.

They come from two sources: the range that torch's exported program states for its symbols, and the
guards that torch relied on while it traced.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from toolkit.exporter import roots, tracing
from toolkit.exporter.convert import Converted
from toolkit.exporter.guards import SizeGuard
from toolkit.exporter.tracing import Traced
from toolkit.feeds.sizes import Dims
from toolkit.sources.inputs import Dimension, Stated
from toolkit.sources.lines import Line

if TYPE_CHECKING:
    from torch import nn

FARTHEST = 1100
"""The largest size at which a guard is tried: beyond the usual limits of 512 and 1,024."""
TRIES = 8
"""Sizes at which the module is asked whether it takes them; each one runs the user's forward."""


@dataclass(frozen=True)
class Evidence:
    """All that is known of an export before its file is proven."""

    module: nn.Module
    inputs: Sequence[Stated]
    traced: Traced
    converted: Converted
    asked: dict[tuple[str, int], bool] = field(default_factory=dict)
    """Dimension and size → whether the module takes it, where it was asked."""
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Buffer → its shape before the module was asked."""

    def __post_init__(self) -> None:
        self.shapes.update(self._shapes())

    def grown(self) -> set[str]:
        """The buffers that forward has made anew in another shape since."""
        return {name for name, shape in self._shapes().items() if self.shapes.get(name) != shape}

    def took(self, sizes: Dims) -> None:
        """Notes sizes that the module was seen to take: it need not be asked for them again."""
        others = [name for name, size in sizes.items() if size != self.traced.sizes[name]]
        if len(others) == 1:
            self.asked[others[0], sizes[others[0]]] = True

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(buffer.shape) for name, buffer in self.module.named_buffers()}

    def about(self, name: str) -> list[SizeGuard]:
        """The guards that speak of a dimension."""
        return [guard for guard in self.converted.guards if name in guard.dims]

    def accepted(self, name: str, sizes: Iterable[int]) -> int | None:
        """The first of a few sizes of one dimension that the module itself takes, the others as
        traced; None where it refuses them."""
        for size in itertools.islice(sizes, TRIES):
            if self._accepts(name, size):
                return size
        return None

    def _accepts(self, name: str, size: int) -> bool:
        # Several conditions on a dimension mostly break at the same sizes.
        if (name, size) not in self.asked:
            at = {**self.traced.sizes, name: size}
            self.asked[name, size] = tracing.accepts(
                self.module, self.inputs, at, self.traced.kinds
            )
        return self.asked[name, size]


@dataclass(frozen=True)
class Condition:
    """One condition on a dimension, under which alone the exported graph may hold."""

    text: str
    """The condition in the user's names: 'seq ≥ 13', 'seq % 2 = 0'."""
    span: Dimension | None
    """The range, where the condition is one."""
    line: Line | None
    """The user's line that set it, where it is known."""
    breaking: Iterable[int]
    """Stated sizes at which it is false, the most telling first."""


def of(evidence: Evidence, dim: Dimension) -> Iterator[Condition]:
    """The range of one dimension, where it is narrower than stated, and the guards on it alone that
    say more than the range."""
    about = evidence.about(dim.name)
    multiple = evidence.converted.multiples.get(dim.name, 1)
    if dim.multiple % multiple:
        stepped = replace(dim, traced=None, multiple=math.lcm(dim.multiple, multiple))
        makers = (guard for guard in about if not guard.holds(_beside(evidence, stepped)))
        line = next((guard.line for guard in makers if guard.line), None)
        between = (size for size in range(dim.least, FARTHEST) if size % multiple)
        yield Condition(_multiple(stepped), None, line, _nearest(between, dim, evidence.traced))
    span = _span(evidence, dim)
    if _narrower(span, dim):
        makers = (guard for guard in about if not _true_outside(guard, evidence, span))
        line = next((guard.line for guard in makers if guard.line), None)
        yield Condition(_written(span), span, line, _outside(dim, span))
    for guard in about:
        if len(guard.dims) == 1 and not _implied(guard, dim, span):
            below = _below(guard, dim)
            text = guard.text if below is None else _written(below)
            yield Condition(text, below, guard.line, _breaking(guard, dim, evidence.traced))


def _narrower(span: Dimension, dim: Dimension) -> bool:
    if span.least > dim.least:
        return True
    return span.most is not None and (dim.most is None or span.most < dim.most)


def _span(evidence: Evidence, dim: Dimension) -> Dimension:
    """A dimension with the range for which the exported program says that it holds."""
    step = evidence.converted.multiples.get(dim.name, 1)
    for symbol, span in _symbols(evidence.converted, dim.name):
        if symbol.is_Symbol:
            # sympy's infinities are no Integer: such an end is open.
            least = max(int(span.lower), 1) if span.lower.is_Integer else 1
            if step > 1 and least <= roots.LEAST:
                least = 1  # Where torch begins of a root, whatever else is known.
            most = int(span.upper) * step if span.upper.is_Integer else None
            return replace(dim, traced=None, least=max(dim.least, least * step), most=most)
    return dim


def _symbols(converted: Converted, name: str) -> Iterator[tuple[Any, Any]]:
    """The symbol that torch has for a dimension of the file, or for its root, and its range;
    TorchScript: none."""
    for shown, size in roots.sizes_of_inputs(converted.model, converted.program):
        # A size without a node is a plain number.
        if shown == name and hasattr(size, "node"):
            symbol = size.node.expr
            if name in converted.multiples:
                (symbol,) = symbol.free_symbols
            span = converted.program.range_constraints.get(symbol)
            if span is not None:
                yield symbol, span


def _true_outside(guard: SizeGuard, evidence: Evidence, span: Dimension) -> bool:
    """Says whether a guard is true just outside of a range: then it did not make the range."""
    outside = [size for size in (span.least - 1, span.most and span.most + 1) if size]
    return all(guard.holds({**evidence.traced.sizes, span.name: size}) for size in outside)


def _implied(guard: SizeGuard, dim: Dimension, span: Dimension) -> bool:
    """Says whether a guard is true at every stated size within a range: then it says no more."""
    # Guards have no form that could be compared with a range, so they are tried.
    sizes = range(span.least, min(span.most or FARTHEST, FARTHEST) + 1)
    return all(guard.holds({dim.name: size}) for size in sizes if size in dim)


def _below(guard: SizeGuard, dim: Dimension) -> Dimension | None:
    """The range of a guard that is true up to a size and false from there on, as the end of a table
    makes it: 'seq = Min(96, seq)'. None for any other."""
    sizes = [size for size in range(dim.least, FARTHEST + 1) if size in dim]
    held = [size for size in sizes if guard.holds({dim.name: size})]
    if not held or held == sizes or held != sizes[: len(held)]:
        return None
    return replace(dim, traced=None, most=held[-1])


def _outside(dim: Dimension, span: Dimension) -> list[int]:
    """Stated sizes outside of a range: some way below it, next to its ends, far from them."""
    least, most, step = span.least, span.most, dim.multiple
    lower = (least * 3 // 4, least - step, least // 2, 2, 1)
    higher = () if most is None else (most + step, 2 * most, most + 2 * step)
    outside = [s for s in lower if s < least] + [*higher]
    return list(dict.fromkeys(s for s in outside if s in dim))


def _breaking(guard: SizeGuard, dim: Dimension, traced: Traced) -> Iterator[int]:
    """Stated sizes at which a guard is false, those next to the traced one first."""
    near = _nearest(range(1, max(FARTHEST, 2 * traced.sizes[dim.name])), dim, traced)
    yield from (size for size in near if not guard.holds({**traced.sizes, dim.name: size}))


def _nearest(sizes: Iterable[int], dim: Dimension, traced: Traced) -> list[int]:
    """Those of some sizes that a dimension may have, the nearest to the traced one first."""
    at = traced.sizes[dim.name]
    return sorted((s for s in sizes if s in dim), key=lambda size: (abs(size - at), size))


def _beside(evidence: Evidence, dim: Dimension) -> Dims:
    """The traced sizes, with one dimension next to its own."""
    return {**evidence.traced.sizes, dim.name: evidence.traced.sizes[dim.name] + 1}


def _multiple(dim: Dimension) -> str:
    """A multiple as a condition: 'height % 4 = 0'."""
    return f"{dim.name} % {dim.multiple} = 0"


def _written(span: Dimension) -> str:
    """A range as people write it: 'seq ≥ 13', 'seq ≤ 12', 'seq from 13 to 64'."""
    if span.most is None:
        return f"{span.name} ≥ {span.least}"
    if span.least <= 1:
        return f"{span.name} ≤ {span.most}"
    return f"{span.name} from {span.least} to {span.most}"
