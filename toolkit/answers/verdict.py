"""What a target's outputs are worth against the oracle: a precision class or `wrong`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from toolkit.units import Number

Name: TypeAlias = Literal[
    "float32", "tf32", "float16", "bfloat16", "int8", "between", "less than float32", "wrong"
]


@dataclass(frozen=True)
class OutputVerdict:
    """The verdict on one output tensor, all feeds pooled."""

    output: str
    names: tuple[Name, ...]
    """What it may be; several where the feeds cannot tell, coarsest last."""
    evidence: str
    """In words: 'within 10 times the plain float32 error', 'by its grid', 'direction 0.62' …"""
    elements: int
    factor: Number
    """RMS error divided by that of a plain float32 evaluation."""
    max_abs: Number
    rms: Number
    """RMS error, in the output's own unit."""
    worst: tuple[int, ...]
    """Index of the largest error, feeds joined on axis 0."""
    got: Number
    expected: Number
    """The values at `worst`."""
    few: tuple[tuple[int, ...], ...] = ()
    """Indices of the elements at fault, where the fault lies in a few."""
    top1_changes: int | None = None
    """For classifiers: rows whose largest output is another one."""
    rows: int | None = None


@dataclass(frozen=True)
class Verdict:
    """The verdict on a target: the worst of its outputs'."""

    text: str
    """In a few words: 'float32', 'tf32 or float16', 'wrong', 'these feeds cannot tell' …"""
    right: bool
    """At least as precise as declared, or within the user's own limit."""
    reason: str
    """Where it is not right, why: 'declares float32, computes bfloat16'. Else empty."""
    declared: str
    outputs: tuple[OutputVerdict, ...]
    feeds: int
    oracle: str
    """What it was judged against: 'torch in float64', 'reference evaluator in float64' …"""
