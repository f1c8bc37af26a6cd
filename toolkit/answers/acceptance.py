"""Holds a finding against what its target promised, and against the user's own limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from toolkit.answers.formats import RANK, Precision
from toolkit.answers.rule import Fault, Finding, joined
from toolkit.answers.verdict import Answer, Limits, Name, OutputVerdict
from toolkit.tensors import BITS, Array, TensorSpec

FLOATS = ("float16", "bfloat16", "float32", "float64", "complex64", "complex128")
"""ONNX types of outputs that have a precision to judge; all others must be equal."""


@dataclass(frozen=True)
class Acceptance:
    """The promise that one target is held to."""

    declared: Precision
    limits: Limits
    types: Mapping[str, str]
    """ONNX types of answers whose numpy type does not tell."""

    def limit(self) -> Precision:
        """Gives the coarsest class that is right."""
        accept = self.limits.accept or self.declared
        return max(self.declared, accept, key=lambda c: RANK[c])

    def claim(self) -> str:
        """Begins a sentence with the promise: 'declares float32', 'accepts bfloat16'."""
        limit = self.limit()
        return f"declares {limit}" if limit == self.declared else f"accepts {limit}"


@dataclass(frozen=True)
class Held:
    """What a finding comes to."""

    answer: Answer
    reason: str = ""
    """The reason why it is not right; empty: it is."""


def misfit(
    spec: TensorSpec,
    arrays: Sequence[Array | None],
    oracle: Sequence[Array],
    acceptance: Acceptance,
) -> str:
    """Says why the arrays of one output cannot be compared with the oracle's: one is missing, or
    has another type or shape. Empty: they can be.

    `arrays` and `oracle` hold one array for each feed. A float output may have the type that the
    target declares.
    """
    allowed = {spec.type, acceptance.declared} if spec.type in FLOATS else {spec.type}
    for feed, (array, wanted) in enumerate(zip(arrays, oracle, strict=True)):
        if array is None:
            return f"it is missing for feed {feed}"
        if type_of(spec, array, acceptance) not in allowed:
            return f"its type is {type_of(spec, array, acceptance)}, the file says {spec.type}"
        if np.iscomplexobj(array) != np.iscomplexobj(wanted):
            return f"it is {array.dtype} for feed {feed}, the oracle's is {wanted.dtype}"
        if array.shape != wanted.shape:
            return f"its shape for feed {feed} is {array.shape}, the oracle's is {wanted.shape}"
    return ""


def type_of(spec: TensorSpec, array: Array, acceptance: Acceptance) -> str:
    """Finds the ONNX type of an answer; types that numpy lacks may travel as their bits."""
    if spec.name in acceptance.types:
        return acceptance.types[spec.name]
    if spec.type in BITS and array.dtype == BITS[spec.type]:
        return spec.type
    return "string" if array.dtype.kind in "UO" else array.dtype.name


def names_of(finding: Finding) -> tuple[Name, ...]:
    """Gives the names of a finding as a verdict holds them."""
    return (cast(Name, finding.name),) if isinstance(finding, Fault) else finding.names


def with_moved(finding: Finding, moved: int) -> Finding:
    """Adds how many slices were gathered by another choice."""
    words = f"; {moved:,} gathered by another choice among equals" if moved else ""
    return replace(finding, evidence=finding.evidence + words)


def text(verdict: OutputVerdict) -> str:
    """Puts the verdict on an output into a few words.

    'float32', 'tf32 or float16', 'between', 'wrong'; 'exact' for what agrees and has no precision,
    'exact but for ties' for indices that differ among equals; 'not shown' where several classes are
    possible of which one is too coarse.
    """
    if verdict.answer == "not shown":
        return "not shown"
    if verdict.exact:
        return "exact but for ties" if verdict.top1_changes else "exact"
    # Every class is possible, and that was taken as right.
    if len(verdict.names) > 1 and "float32" in verdict.names:
        return f"{verdict.names[-1]} or finer"
    return joined(verdict.names)


def held(finding: Finding, acceptance: Acceptance, coarsest: Precision | None) -> Held:
    """Holds the class of a finding against what was promised.

    Of several names the finest counts for `less precise`, since it was not shown to be coarser, and
    the coarsest for `right`, since it was not shown to be finer. `coarsest` is the finest class
    that is not more precise than an unnamed finding (between, less than float32); None: there is no
    such class.
    """
    limit = RANK[acceptance.limit()]
    if isinstance(finding, Fault):
        if coarsest is not None and RANK[coarsest] <= limit:
            return Held("right")
        if finding.name == "wrong":
            return Held("wrong", f"wrong: {finding.evidence}")
        claim = f"{acceptance.claim()}, is {finding.name}: {finding.evidence}"
        return Held("less precise", claim)
    if finding.exact:
        return Held("right")
    if min(RANK[c] for c in finding.names) > limit:
        verb = "computes" if finding.proven else "is as imprecise as"
        return Held("less precise", f"{acceptance.claim()}, {verb} {joined(finding.names)}")
    if not finding.silent and max(RANK[c] for c in finding.names) <= limit:
        return Held("right")
    return Held("right") if acceptance.limits.undecided else Held("not shown", finding.evidence)


def measured(finding: Finding, reason: str) -> Answer:
    """Gives the answer where a number of the user's decides. `reason`: why it does not hold; empty:
    it does."""
    if not reason:
        return "right"
    return "wrong" if isinstance(finding, Fault) and finding.name == "wrong" else "less precise"


def top1_reason(verdict: OutputVerdict, asked: float) -> str:
    """Says why the top class does not agree often enough; empty: it does.

    `asked` is the share of rows in which it must, 0 to 1.
    """
    if verdict.top1_changes is None or not verdict.rows:
        return "it has no classes whose order could agree"
    agrees = 1 - verdict.top1_changes / verdict.rows
    if agrees >= asked:
        return ""
    rows = f"{verdict.rows - verdict.top1_changes:,} of {verdict.rows:,} rows"
    return f"the top class agrees in {rows}, {asked:.4%} is asked for"
