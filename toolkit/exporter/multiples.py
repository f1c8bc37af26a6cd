"""Finds the numbers of which a dimension must be a multiple, from what torch relied on.

A file that folds a picture into patches, or that was traced where no padding was needed, is often
the module at all multiples of a number, and another function between them. Rules, cited below:

N1  A number divides the traced size, and no size at which the file is wrong is one of its
    multiples.
N2  Every condition on that dimension which torch relied on is true at all of its multiples, or at
    all from one up to the traced size on, the others as traced. One at least is false elsewhere.
N3  The file was right at no other size but 1, which may be right by chance.

Whether the file is right at the multiples, only a proof at them can tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from toolkit.exporter.conditions import FARTHEST, Evidence
from toolkit.exporter.guards import SizeGuard
from toolkit.feeds.sizes import Dims
from toolkit.sources.inputs import Dimension, Stated, dimensions
from toolkit.sources.lines import Line


@dataclass(frozen=True)
class OwnMultiple:
    """A dimension with the multiple that a file of a module holds for."""

    dim: Dimension
    line: Line | None
    """The user's line that set the condition, where it is known."""

    @property
    def told(self) -> str:
        """The line for the summary and the record."""
        line = self.line
        where = "" if line is None else f" ({Path(line.file).name}:{line.number}   {line.text})"
        return (
            f"{self.dim.name} is held to {self.dim.range}: at other sizes the file is not the"
            f" module{where}"
        )


def of(evidence: Evidence, wrong: Sequence[Dims], right: Sequence[Dims]) -> tuple[OwnMultiple, ...]:
    """The dimensions with such a number that all sizes at which the file is wrong have one between
    two of its multiples; none where some do not. `wrong` and `right` are sizes of all dimensions.
    """
    traced = evidence.traced.sizes
    if traced in wrong:
        return ()
    found: list[OwnMultiple] = []
    for name, dim in dimensions(evidence.inputs).items():
        if all(dims[name] == traced[name] for dims in wrong):
            continue
        alone = [dims[name] for dims in wrong if {**dims, name: traced[name]} == traced]
        held = [dims[name] for dims in right if dims[name] not in (1, traced[name])]
        numbers = (_smallest(evidence, dim, kind, alone, held) for kind in _guards(evidence, name))
        number = next((number for number in numbers if number is not None), None)
        if number is not None:
            found.append(number)
    covered = all(any(dims[own.dim.name] not in own.dim for own in found) for dims in wrong)
    return tuple(found) if covered else ()


def command(inputs: Iterable[Stated], found: Sequence[OwnMultiple]) -> list[str]:
    """The options that state the multiples, each to be pasted."""
    by_name = {own.dim.name: own.dim for own in found}
    options = []
    for stated in inputs:
        own = {
            dim.name: f"{dim.name}={by_name[dim.name].range}"
            for dim in stated.dims
            if isinstance(dim, Dimension) and dim.name in by_name
        }
        if own:
            options.append(f"--input '{stated.with_dims(own)}'")
    return options


def _guards(evidence: Evidence, name: str) -> Iterator[list[SizeGuard]]:
    """The conditions that speak of a dimension, and those that speak of it alone: among the former
    are some that say nothing of the graph, as that one size is not the other."""
    about = evidence.about(name)
    yield about
    yield [guard for guard in about if guard.dims == (name,)]


def _smallest(
    evidence: Evidence,
    dim: Dimension,
    guards: Sequence[SizeGuard],
    wrong: Sequence[int],
    right: Sequence[int],
) -> OwnMultiple | None:
    """The smallest number that fits one dimension; None where none does."""
    traced = evidence.traced.sizes[dim.name]
    sizes = [size for size in range(dim.least, FARTHEST + 1) if size in dim]
    at = evidence.traced.sizes
    broken = {s for s in sizes if not all(g.holds({**at, dim.name: s}) for g in guards)}
    made = evidence.converted.multiples.get(dim.name, 1)
    for number in range(2, traced + 1):
        if traced % number or number % dim.multiple or number % made:
            continue  # N1
        stepped = replace(dim, traced=None, multiple=number)
        below = max((size for size in broken if size in stepped), default=0)
        if below:
            stepped = replace(stepped, least=below + 1)
        excluded = [size for size in broken if size not in stepped]
        if traced not in stepped or not (excluded or made > 1):
            continue  # N2
        if any(size in stepped for size in wrong) or any(size not in stepped for size in right):
            continue  # N1, N3
        return OwnMultiple(stepped, _line(guards, {**at, dim.name: traced + 1}))
    return None


def _line(guards: Sequence[SizeGuard], beside_traced: Dims) -> Line | None:
    """The line of the first condition that is false next to the traced size."""
    beside = (guard for guard in guards if not guard.holds(beside_traced))
    return next((guard.line for guard in (*beside, *guards) if guard.line), None)
