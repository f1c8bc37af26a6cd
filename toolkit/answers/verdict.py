"""The verdict on a target's outputs, held against the oracle, as a record keeps it.

It is reached by rule.py for one float output, by indices.py for integers, by judge.py for a target.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

from toolkit.answers.formats import Precision
from toolkit.units import Number, number

Name: TypeAlias = Literal[
    "float32", "tf32", "float16", "bfloat16", "int8", "between", "less than float32", "wrong"
]
"""A precision class, or one of the three findings that are none; severity.py has their order."""

Answer: TypeAlias = Literal["right", "not shown", "less precise", "wrong"]
"""The end of a verdict. `right`: it was shown to be as precise as it has to be. `not shown`: these
feeds cannot tell it from less. `less precise`: it was shown to be coarser than it has to be.
`wrong`: no format explains it."""
ANSWERS: tuple[Answer, ...] = get_args(Answer)
"""The mildest first."""


@dataclass(frozen=True)
class OutputVerdict:
    """The verdict on one output tensor, all feeds pooled."""

    output: str
    names: tuple[Name, ...]
    """Classes that it may have been computed in; several where the feeds cannot tell, finest first.
    Or a single name that is no class."""
    answer: Answer
    reason: str
    """The reason why it is not right: 'declares float32, computes bfloat16'. Empty: it is."""
    evidence: str
    """The reason in words: 'all values lie on bfloat16's grid', 'by the direction of the error,
    0.62' …"""
    elements: int
    """Elements that were compared; 0 where none could be."""
    factor: Number
    """RMS error divided by that of a plain float32 evaluation; NaN for what is no float."""
    max_abs: Number
    """The largest absolute error, in the output's own unit."""
    rms: Number
    """RMS error, in the output's own unit."""
    worst: tuple[int, ...]
    """The element of the largest error, or the worst of `few`: its feed, then its index in that
    feed's output. Empty where nothing was compared."""
    got: Number
    """The target's value at `worst`."""
    expected: Number
    """The oracle's value at `worst`."""
    few: tuple[tuple[int, ...], ...] = ()
    """Elements at fault, indexed like `worst`, where a few alone are; the eight worst at most."""
    top1_changes: int | None = None
    """Rows of a classifier in which another class is the largest; None where there are no rows."""
    rows: int | None = None
    """Rows of a classifier over all feeds."""
    witness: str = ""
    """The finding on the tensor before a saturating activation or an ArgMax; empty: none."""
    bands: dict[Precision, tuple[float, float]] = field(default_factory=dict)
    """Class → the least and the largest factor at which it may be named, on this model."""
    exact: bool = False
    """Nothing differs where nothing may: integers, booleans and strings, or floats that the file
    only moves from one place to another; indices, but for ties, whose scores are right. Such an
    output has no precision."""


def unmeasured(output: str, evidence: str) -> OutputVerdict:
    """Gives the verdict `wrong` on an output that has no errors to measure, with the reason."""
    none = number(float("nan"))
    return OutputVerdict(
        output=output,
        names=("wrong",),
        answer="wrong",
        reason=f"wrong: {evidence}",
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
    """The verdict on a target: that of its worst output (severity.py)."""

    text: str
    """The names in a few words: 'float32', 'tf32 or float16', 'wrong', 'not shown' …"""
    answer: Answer
    """What the verdict comes to, by what the target declares or by the user's own limits."""
    right: bool
    """The answer is `right`. False for what is not shown, too."""
    reason: str
    """The reason of the output that stands for the target, by its name where there are several.
    Empty: it is right."""
    declared: Precision
    """The class that the target's options and the file's own types ask for."""
    outputs: tuple[OutputVerdict, ...]
    feeds: int
    """Feeds that were judged."""
    oracle: str
    """The oracle's name: 'torch in float64', 'reference evaluator in float64' …"""

    @property
    def refuted(self) -> bool:
        """Says that it was shown not to be right: it is less precise, or wrong."""
        return self.answer in ("less precise", "wrong")


@dataclass(frozen=True)
class Limits:
    """The user's own limits of what is right enough. All that are given must hold."""

    accept: Precision | None = None
    """A class that is good enough."""
    atol: float | None = None
    """Absolute tolerance; missing beside `rtol`, it is 0."""
    rtol: float | None = None
    """Relative tolerance: |got - expected| ≤ atol + rtol·|expected| must hold in every element.
    Decides in place of the class."""
    top1: float | None = None
    """Share of rows, 0 to 1, whose largest output must be the same. Decides in place of the
    class."""
    undecided: bool = False
    """What is not shown is taken as right."""

    def measured(self) -> bool:
        """Says whether a number decides; the class then counts only where `accept` is given too."""
        return not (self.atol is None and self.rtol is None and self.top1 is None)


@dataclass(frozen=True)
class Border:
    """The outcome of the cheap check in each later generation (judge.py, step d)."""

    within: bool
    """The answers are no worse than those that the first verdict was on."""
    reason: str = ""
    """The reason why they are worse; empty where `within`."""
