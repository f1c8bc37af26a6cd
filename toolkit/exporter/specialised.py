"""Dimensions that were stated as dynamic and came out narrower, without a word from torch.

torch.onnx.export relaxes what it is asked for: a branch on a size gives a file that holds on one
side only, `int(x.shape[1])` fixes the dimension, and two sizes that must be equal get one name.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from toolkit.errors import ProofError
from toolkit.exporter import tracing
from toolkit.exporter.convert import Converted
from toolkit.exporter.guards import SizeGuard
from toolkit.exporter.tracing import Traced
from toolkit.sources.inputs import Dimension, Stated, dimensions
from toolkit.sources.lines import Line

if TYPE_CHECKING:
    from torch import nn

FARTHEST = 1100
"""How far a size that breaks a guard is looked for: beyond the usual limits of 512 and 1,024."""


@dataclass(frozen=True)
class Narrowed:
    """A dynamic dimension for which the exported graph may hold at fewer sizes than stated."""

    name: str
    holds: str
    """Where the graph holds: 'seq ≥ 13', 'seq = 16', 'seq = batch'."""
    size: int | None
    """Stated, where the module itself accepts it and the graph does not hold; None: there is none,
    the module refuses all that were tried."""
    line: Line | None
    kind: str
    """'fixed', 'equal', 'range' or 'guard'."""
    cure: str


def fixed(
    module: nn.Module,
    inputs: Sequence[Stated],
    traced: Traced,
    made: Converted,
    guards: Sequence[SizeGuard],
) -> Iterator[Narrowed]:
    """What the file itself shows: a dimension that became a number, or another's name."""
    dims = dimensions(inputs)
    seen = set()
    for stated, dim, shown in _dims_of_file(inputs, made):
        if shown == dim.name or dim.name in seen:
            continue
        seen.add(dim.name)
        about = [guard for guard in guards if dim.name in guard.dims]
        line = _where(about, guards)
        other = _accepted(module, inputs, traced, dims[dim.name])
        instead = f"'{stated.with_dim(dim.name, str(shown))}'"
        if isinstance(shown, int):
            kind, cure = (
                "fixed",
                (
                    "Keep the size as it is, without int(…) or a constant of that size, or state it"
                    f" fixed: {instead}"
                ),
            )
        else:
            kind, cure = "equal", f"Where they are always equal, state one name: {instead}"
        yield Narrowed(dim.name, f"{dim.name} = {shown}", other, line, kind, cure)


def possible(
    module: nn.Module,
    inputs: Sequence[Stated],
    traced: Traced,
    made: Converted,
    guards: Sequence[SizeGuard],
) -> tuple[Narrowed, ...]:
    """What torch took for granted, each with a size that the module accepts and that breaks it.

    Whether the graph is really wrong there, only a proof at that size can tell.
    """
    found = []
    for name, dim in dimensions(inputs).items():
        stated = next(i for i in inputs if any(_named(d, name) for d in i.dims))
        for text, span, line, breaks in _conditions(name, dim, traced, made, guards):
            size = _first(module, inputs, traced, name, breaks)
            if size is not None:
                cure = _cure(stated, name, span)
                found.append(Narrowed(name, text, size, line, "range" if span else "guard", cure))
    return tuple(found)


def error(
    narrowed: Narrowed, traced: Traced, right: Iterable[Mapping[str, int]] = ()
) -> ProofError:
    """The fault in words: where the graph holds, where it was seen right and wrong, the line."""
    name = narrowed.name
    at = traced.sizes[name]
    others = dict.fromkeys(sizes[name] for sizes in right if sizes.get(name, at) != at)
    also = "".join(f" and at {size}" for size in itertools.islice(others, 1))
    what = f"the exported graph holds for {narrowed.holds} only"
    if narrowed.kind in ("fixed", "equal"):
        seen = (
            f": the module itself accepts {name} {narrowed.size}"
            if narrowed.size is not None
            else f", and so does the module: it refuses every other {name} that was tried"
        )
    else:
        seen = f": right at the traced {at}{also}, wrong at {narrowed.size}"
    return ProofError(
        what + seen + ".",
        *([str(narrowed.line)] if narrowed.line else []),
        narrowed.cure,
        "No file was written.",
    )


def _where(about: Sequence[SizeGuard], guards: Sequence[SizeGuard]) -> Line | None:
    """The line of the guards on a dimension. torch keeps one guard a line: where it kept none on
    this dimension and all others come from one line, it is that one."""
    own = {guard.line for guard in about if guard.line}
    every = {guard.line for guard in guards if guard.line}
    if own:
        return next(guard.line for guard in about if guard.line)
    return every.pop() if len(every) == 1 else None


def _dims_of_file(
    inputs: Sequence[Stated], made: Converted
) -> Iterator[tuple[Stated, Dimension, int | str]]:
    """Each stated dynamic dimension with what stands in its place in the file."""
    shapes = {value.name: value.shape for value in made.model.graph.inputs}
    for stated in inputs:
        shape = shapes.get(stated.name)
        for axis, dim in enumerate(stated.dims):
            if isinstance(dim, Dimension) and shape is not None:
                shown = shape[axis]
                yield stated, dim, shown if isinstance(shown, int) else str(shown.value)


def _conditions(
    name: str, dim: Dimension, traced: Traced, made: Converted, guards: Sequence[SizeGuard]
) -> Iterator[tuple[str, tuple[int, int | None] | None, Line | None, Iterator[int]]]:
    """Text, range, line, and sizes that break it, of each condition on one dimension."""
    about = [guard for guard in guards if name in guard.dims]
    least, most = _range(name, dim, made)
    if least > dim.least or (most is not None and (dim.most is None or most < dim.most)):
        line = next(
            (g.line for g in about if g.line and not _held(g, traced, name, least, most)), None
        )
        yield _span(name, least, most), (least, most), line, _outside(dim, least, most)
    for guard in about:
        if len(guard.dims) == 1 and not _bound(guard, name, dim, least, most):
            yield guard.text, None, guard.line, _breaking(guard, name, dim, traced)


def _range(name: str, dim: Dimension, made: Converted) -> tuple[int, int | None]:
    """The range that the exported program says it holds for."""
    for node_dim, span in _symbols(name, made):
        if node_dim.is_Symbol:
            least = max(int(span.lower), 1) if span.lower.is_Integer else 1
            return least, int(span.upper) if span.upper.is_Integer else None
    return dim.least, dim.most


def _symbols(name: str, made: Converted) -> Iterator[tuple[Any, Any]]:
    """The symbol that torch has for a dimension of the file, and its range."""
    values = {
        node.name: node.meta.get("val")
        for node in made.program.graph.nodes
        if node.op == "placeholder"
    }
    users = [values.get(each) for each in made.program.graph_signature.user_inputs]
    for value, tensor in zip(made.model.graph.inputs, users, strict=False):
        if tensor is None or value.shape is None:
            continue
        for shown, size in zip(value.shape, tensor.shape, strict=True):
            if not isinstance(shown, int) and str(shown.value) == name and hasattr(size, "node"):
                symbol = size.node.expr
                span = made.program.range_constraints.get(symbol)
                if span is not None:
                    yield symbol, span


def _held(guard: SizeGuard, traced: Traced, name: str, least: int, most: int | None) -> bool:
    """Whether a guard is true just outside of the range: then it did not make the range."""
    outside = [size for size in (least - 1, None if most is None else most + 1) if size]
    return all(guard.holds({**traced.sizes, name: size}) for size in outside)


def _bound(guard: SizeGuard, name: str, dim: Dimension, least: int, most: int | None) -> bool:
    """Whether a guard says no more than the range does."""
    sizes = range(least, min(most or FARTHEST, FARTHEST) + 1)
    return all(guard.holds({name: size}) for size in sizes if size in dim)


def _outside(dim: Dimension, least: int, most: int | None) -> Iterator[int]:
    below = [s for s in (least * 3 // 4, least - 1, least // 2, 2, 1) if dim.least <= s < least]
    above = [] if most is None else [s for s in (most + 1, 2 * most, most + 2) if s in dim]
    yield from dict.fromkeys((*below, *above))


def _breaking(guard: SizeGuard, name: str, dim: Dimension, traced: Traced) -> Iterator[int]:
    """Sizes at which a guard is false, those next to the traced one first."""
    at = traced.sizes[name]
    near = sorted(range(1, max(FARTHEST, 2 * at)), key=lambda size: (abs(size - at), size))
    yield from (s for s in near if s in dim and not guard.holds({**traced.sizes, name: s}))


def _first(
    module: nn.Module,
    inputs: Sequence[Stated],
    traced: Traced,
    name: str,
    sizes: Iterator[int],
) -> int | None:
    """The first of a few sizes that the module itself accepts."""
    for size in itertools.islice(sizes, 8):
        if tracing.accepts(module, inputs, {**traced.sizes, name: size}):
            return size
    return None


def _accepted(
    module: nn.Module, inputs: Sequence[Stated], traced: Traced, dim: Dimension
) -> int | None:
    """Another size of one dimension that the module accepts while the others stay."""
    at = traced.sizes[dim.name]
    others = [at + 1, at - 1, 2 * at, at // 2, 1, 2, 3, 4 * at]
    sizes = (size for size in dict.fromkeys(others) if size != at and size > 0 and size in dim)
    return _first(module, inputs, traced, dim.name, sizes)


def _span(name: str, least: int, most: int | None) -> str:
    if most is None:
        return f"{name} ≥ {least}"
    return f"{name} ≤ {most}" if least <= 1 else f"{name} from {least} to {most}"


def _cure(stated: Stated, name: str, span: tuple[int, int | None] | None) -> str:
    if span is None:
        return "Write the branch with torch.cond, or as arithmetic that holds for every size."
    text = f"{name}={span[0]}..{span[1] or ''}"
    return f"Write the branch with torch.cond, or state a range: '{stated.with_dim(name, text)}'"


def _named(dim: int | Dimension, name: str) -> bool:
    return isinstance(dim, Dimension) and dim.name == name
