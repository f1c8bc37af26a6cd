"""Finds dimensions that were stated as dynamic and came out narrower, without a word from torch.

torch.onnx.export relaxes what it is asked for: a branch on a size gives a file that holds on one
side only, `range(x.shape[1])` fixes the dimension, and two sizes that must be equal get one name.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from toolkit.errors import ProofError
from toolkit.exporter import conditions, ownlimits
from toolkit.exporter.conditions import Condition, Evidence
from toolkit.exporter.ownlimits import OwnLimit
from toolkit.exporter.proof import ExportProof
from toolkit.exporter.tracing import Traced
from toolkit.feeds.sizes import Dims
from toolkit.sources.inputs import Dimension, Stated, dimensions
from toolkit.sources.lines import Line


class NarrowedError(ProofError):
    """A stated dimension came out narrower than stated: `dim` is its name, `other` a size that the
    module accepts and at which the graph does not hold, where one is known."""

    def __init__(self, dim: str, what: str, *cures: str, other: int | None = None) -> None:
        super().__init__(what, *cures)
        self.dim = dim
        self.other = other


@dataclass(frozen=True)
class Narrowed:
    """A dynamic dimension for which the exported graph may hold at fewer sizes than stated."""

    name: str
    holds: str
    """The sizes at which the graph holds: 'seq ≥ 13', 'seq = 16', 'seq = batch'."""
    size: int | None
    """A stated size that the module itself accepts and at which the graph does not hold; None where
    the module refuses all that were tried."""
    line: Line | None
    kind: Literal["fixed", "equal", "range", "guard"]
    cure: str
    limit: OwnLimit | None = None
    """The range up to a limit that the module itself states, where that is what `holds` says."""

    def dims(self, traced: Traced) -> Dims:
        """The sizes at which a proof can tell whether the graph is wrong."""
        size = traced.sizes[self.name] if self.size is None else self.size
        return {**traced.sizes, self.name: size}


def fixed(evidence: Evidence) -> Iterator[Narrowed]:
    """Dimensions that became a number, or another one's name: the file itself shows it."""
    seen = set()
    for stated, dim, shown in _dims_of_file(evidence):
        if shown != dim.name and dim.name not in seen:
            seen.add(dim.name)
            yield _fixed(evidence, stated, dim, shown)


def _fixed(evidence: Evidence, stated: Stated, dim: Dimension, shown: int | str) -> Narrowed:
    instead = f"'{stated.with_dim(dim.name, str(shown))}'"
    kind: Literal["fixed", "equal"] = "fixed" if isinstance(shown, int) else "equal"
    cure = {
        "fixed": "range(…), lists, NumPy and constants of that size make it a number;"
        f" torch.arange(…) counts in the graph. Or state it fixed: {instead}",
        "equal": f"Where they are always equal, state one name: {instead}",
    }[kind]
    # The whole dimension, as merged from all inputs: a range may stand at another one.
    whole = dimensions(evidence.inputs)[dim.name]
    other = evidence.accepted(dim.name, _others(evidence, whole))
    holds = f"{dim.name} = {shown}"
    return Narrowed(dim.name, holds, other, _line(evidence, whole), kind, cure)


def possible(evidence: Evidence) -> tuple[Narrowed, ...]:
    """The conditions that torch took for granted, each with a size that the module accepts and that
    breaks it.

    Whether the graph is really wrong there, only a proof at that size can tell.
    """
    narrowed = []
    for name, dim in dimensions(evidence.inputs).items():
        stated = next(i for i in evidence.inputs if any(_is_called(d, name) for d in i.dims))
        for condition in conditions.of(evidence, dim):
            size = evidence.accepted(name, condition.breaking)
            if size is not None:
                kind: Literal["range", "guard"] = "range" if condition.span else "guard"
                limit = _limit(evidence, dim, condition)
                cure = _cure(stated, condition.span, limit)
                narrowed.append(
                    Narrowed(name, condition.text, size, condition.line, kind, cure, limit)
                )
    return tuple(narrowed)


def _limit(evidence: Evidence, dim: Dimension, condition: Condition) -> OwnLimit | None:
    """The range up to a limit of the module's own, where a condition leaves out nothing below."""
    span = condition.span
    if span is None or span.most is None or span.least > dim.least:
        return None
    origin = ownlimits.origin(evidence.module, span.most, condition.line, evidence.grown())
    return OwnLimit(replace(dim, most=span.most), origin) if origin else None


def blamed(
    suspects: Iterable[Narrowed], traced: Traced, proof: ExportProof
) -> tuple[Narrowed, ...]:
    """The suspected dimensions at whose sizes the file is wrong, those first that no limit of the
    module's explains; none where a proof fails for another reason, as one does that fails at the
    traced sizes."""
    wrong = [compared.dims for compared in proof.wrong()]
    if traced.sizes in wrong:
        return ()
    culprits = (suspect for suspect in suspects if suspect.dims(traced) in wrong)
    return tuple(sorted(culprits, key=lambda culprit: culprit.limit is not None))


def taken(
    suspects: Iterable[Narrowed], inputs: Iterable[Stated], proof: ExportProof
) -> tuple[OwnLimit, ...]:
    """The limits of the module's own that a file may be held to: the user stated no upper end, and
    all sizes at which the file is wrong lie beyond them. None where some do not.

    A suspect counts though the file was right at its own sizes: positions that are counted without
    padding go less far with some values than with others.
    """
    stated = dimensions(inputs)
    lowest: dict[str, OwnLimit] = {}
    for suspect in suspects:
        limit, name = suspect.limit, suspect.name
        if limit is None or stated[name].most is not None:
            continue
        if any(compared.dims[name] not in limit.dim for compared in proof.wrong()):
            lowest[name] = min((lowest.get(name, limit), limit), key=lambda own: own.end[name])
    beyond = all(
        any(compared.dims[name] not in limit.dim for name, limit in lowest.items())
        for compared in proof.wrong()
    )
    return tuple(lowest.values()) if beyond else ()


def error(
    narrowed: Narrowed, traced: Traced, right: Iterable[Mapping[str, int]] = ()
) -> NarrowedError:
    """The fault in words: where the graph holds, where it was seen right and wrong, the line.

    `right` are sizes at which the file was seen to be the module's function.
    """
    name = narrowed.name
    at = traced.sizes[name]
    # A set would forget their order: the first other size is the one that is told.
    others = dict.fromkeys(sizes[name] for sizes in right if sizes.get(name, at) != at)
    also = "".join(f" and at {size}" for size in itertools.islice(others, 1))
    if narrowed.kind in ("range", "guard"):
        seen = f": right at the traced {at}{also}, wrong at {narrowed.size}"
    elif narrowed.size is not None:
        seen = f": the module itself accepts {name} {narrowed.size}"
    else:
        seen = f", and so does the module: it refuses every other {name} that was tried"
    line = [str(narrowed.line)] if narrowed.line else []
    # Where the range is the module's own, no line is to be changed: what to paste comes first.
    cures = [*line, narrowed.cure] if narrowed.limit is None else [narrowed.cure, *line]
    return NarrowedError(
        name,
        f"the exported graph holds for {narrowed.holds} only{seen}.",
        *cures,
        "No file was written.",
        other=narrowed.size,
    )


def elsewhere(culprits: Iterable[Narrowed]) -> dict[str, int]:
    """Sizes to trace with in place of those at which a condition was met that is false elsewhere.

    Where a condition comes and goes from size to size, one side of it is often a short cut, as that
    without padding where a window fits, and the other one holds for all. No size is 1, which torch
    takes for a fixed one.
    """
    sizes: dict[str, int] = {}
    for culprit in culprits:
        if culprit.kind == "guard" and culprit.size is not None and culprit.size > 1:
            sizes.setdefault(culprit.name, culprit.size)
    return sizes


def ranges(inputs: Sequence[Stated], proof: ExportProof) -> Iterator[str]:
    """The inputs to state where all that is wrong has a dimension at its least size: with ranges
    that leave these out. What is wrong between other sizes may be so at many more."""
    wrong, right = proof.failing()
    dims = dimensions(inputs)
    never = {
        name: dim
        for name, dim in dims.items()
        if _at_least(dim, wrong) and not _at_least(dim, right)
    }
    if not wrong or not all(any(_at_least(dim, [at]) for dim in never.values()) for at in wrong):
        return
    for stated in inputs:
        left_out = [never.pop(dim.name) for dim in _dynamic(stated) if dim.name in never]
        if left_out:
            texts = {
                dim.name: f"{dim.name}={replace(dim, least=dim.least + 1).range}"
                for dim in left_out
            }
            sizes = " and ".join(f"{dim.name} {dim.least}" for dim in left_out)
            yield f"--input '{stated.with_dims(texts)}'    leaves out {sizes}"


def _at_least(dim: Dimension, seen: Iterable[Dims]) -> bool:
    """Says whether a dimension has its least size somewhere."""
    return any(sizes[dim.name] == dim.least for sizes in seen)


def _dynamic(stated: Stated) -> list[Dimension]:
    named = {dim.name: dim for dim in stated.dims if isinstance(dim, Dimension)}
    return [*named.values()]


def _line(evidence: Evidence, dim: Dimension) -> Line | None:
    """The line of the guard on a dimension that is false at most other sizes of it, the first of
    such: one that is false at a few, as that a picture is large enough, fixes nothing."""
    lined = [guard for guard in evidence.about(dim.name) if guard.line]
    at = [{**evidence.traced.sizes, dim.name: size} for size in _others(evidence, dim)]
    fixing = max(lined, key=lambda guard: sum(not guard.holds(sizes) for sizes in at), default=None)
    return None if fixing is None else fixing.line


def _dims_of_file(evidence: Evidence) -> Iterator[tuple[Stated, Dimension, int | str]]:
    """Each stated dynamic dimension with the size or the name that the file has in its place."""
    shapes = {value.name: value.shape for value in evidence.converted.model.graph.inputs}
    for stated in evidence.inputs:
        shape = shapes.get(stated.name)
        for axis, dim in enumerate(stated.dims):
            if isinstance(dim, Dimension) and shape is not None:
                shown = shape[axis]
                yield stated, dim, shown if isinstance(shown, int) else str(shown.value)


def _others(evidence: Evidence, dim: Dimension) -> list[int]:
    """Stated sizes of one dimension beside the traced one, the nearest first."""
    at = evidence.traced.sizes[dim.name]
    sizes = (at + 1, at - 1, 2 * at, at // 2, 1, 2, 3, 4 * at)
    return [size for size in dict.fromkeys(sizes) if size != at and size > 0 and size in dim]


def _cure(stated: Stated, span: Dimension | None, limit: OwnLimit | None) -> str:
    if span is None:
        return "Write the branch with torch.cond, or as arithmetic that holds for every size."
    text = stated.with_dim(span.name, f"{span.name}={span.range}")
    if limit is not None:
        text = stated.with_dim(span.name, f"{span.name}={limit.dim.range}")
        return f"--input '{text}'    the limit that the module itself states: {limit.origin}"
    return f"Write the branch with torch.cond, or state a range: '{text}'"


def _is_called(dim: int | Dimension, name: str) -> bool:
    return isinstance(dim, Dimension) and dim.name == name
