"""The verdict: what a target's outputs are worth against the oracle.

How it is reached: rule.py for one float output, indices.py for integers, judge.py for a target.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from toolkit.answers.formats import Precision
from toolkit.units import Number, number

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
    """In words: 'all values lie on bfloat16's grid', 'by the direction of the error, 0.62' …"""
    elements: int
    factor: Number
    """RMS error divided by that of a plain float32 evaluation."""
    max_abs: Number
    rms: Number
    """RMS error, in the output's own unit."""
    worst: tuple[int, ...]
    """Of the largest error, or of the worst of `few`: the feed, then the index in its output."""
    got: Number
    expected: Number
    """The values at `worst`."""
    few: tuple[tuple[int, ...], ...] = ()
    """The elements at fault, as `worst`, where the fault lies in a few; the worst eight."""
    top1_changes: int | None = None
    """For classifiers: rows whose largest output is another one."""
    rows: int | None = None
    witness: str = ""
    """What the tensor before a saturating activation or an ArgMax shows, where it was looked at."""
    bands: dict[Precision, tuple[float, float]] = field(default_factory=dict)
    """Class → the least and the largest factor at which it may be named, on this model."""

    @property
    def exact(self) -> bool:
        """Nothing differs that could: equal integers, or floats without a finite element.

        Such an output shows no precision. Indices that flipped among near ties do not count.
        """
        every_class = len(self.names) > 1 and "float32" in self.names
        return every_class and self.factor == "nan" and not self.top1_changes


def unmeasured(output: str, evidence: str) -> OutputVerdict:
    """The verdict `wrong` on an output that has no errors to measure, with the reason."""
    none = number(float("nan"))
    return OutputVerdict(
        output=output,
        names=("wrong",),
        evidence=evidence,
        elements=0,
        factor=none,
        max_abs=none,
        rms=none,
        worst=(),
        got=none,
        expected=none,
    )


@dataclass(frozen=True)
class Verdict:
    """The verdict on a target: the worst of its outputs'."""

    text: str
    """In a few words: 'float32', 'tf32 or float16', 'wrong', 'these feeds cannot tell' …"""
    right: bool
    """At least as precise as declared, or within the user's own limit."""
    reason: str
    """Where it is not right, why: 'declares float32, computes bfloat16'. Else empty."""
    declared: Precision
    outputs: tuple[OutputVerdict, ...]
    feeds: int
    oracle: str
    """What it was judged against: 'torch in float64', 'reference evaluator in float64' …"""

    @property
    def wrong(self) -> bool:
        """Not only coarse: an output has no class at all."""
        return any("wrong" in output.names for output in self.outputs)


@dataclass(frozen=True)
class Limits:
    """How precise is right enough, where the user moved it. All that is given must hold."""

    accept: Precision | None = None
    """A class that is good enough."""
    atol: float | None = None
    rtol: float | None = None
    """|got - expected| ≤ atol + rtol·|expected| in every element; decides in place of the class."""
    top1: float | None = None
    """Share of rows whose largest output must be the same; decides in place of the class."""

    def measured(self) -> bool:
        """A number decides; the class only where `accept` is given too."""
        return not (self.atol is None and self.rtol is None and self.top1 is None)


@dataclass(frozen=True)
class Border:
    """What the cheap check of a generation says."""

    within: bool
    reason: str = ""
    """Why it is not."""
