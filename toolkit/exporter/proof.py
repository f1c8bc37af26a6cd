"""The proof of an exported file as a value: the contract, the steps, and all that was compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from toolkit.errors import ProofError
from toolkit.feeds.sizes import Dims
from toolkit.oracle.oracles import Expected
from toolkit.tensors import TensorSpec
from toolkit.units import Seconds

Outcome: TypeAlias = Literal["holds", "fails", "not shown"]


@dataclass(frozen=True)
class Contract:
    """The form that a file should have."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[str, ...]
    """Names, in order; their shapes are the graph's own."""
    reference: bool = False
    """It is the reference model: operators, names and shapes are given."""
    rounding: float = 0.0
    """Half a step of the narrowest type that the module has weights or inputs in, where that is
    below float32: torch writes Python's constants (1/√d, ε) in that type."""


@dataclass(frozen=True)
class Step:
    """One line of the proof."""

    name: Literal["form", "structure", "numbers"]
    what: str
    """The thing that was done: 'in float64 at batch 1, 2, 7, 32, 257'."""
    outcome: Outcome
    says: str
    """The outcome in a few words: 'same function', 'float32'; where it is not shown, why."""
    figure: float | None = None
    """The largest error; of the structure over the output's largest value."""
    details: tuple[str, ...] = ()
    """A line for each thing that failed, or was left out."""
    seconds: Seconds = 0.0
    """The time that the step took."""
    cures: tuple[str, ...] = ()
    """Ways out where no runtime here can take the step; empty where the file itself is at fault."""


@dataclass(frozen=True)
class ComparedSizes:
    """The file's graph and the module at one set of sizes."""

    dims: Dims
    error: float
    """Largest error over the output's largest value; infinite where the file does not run, or gives
    another shape or type."""
    reason: str = ""
    """The thing that the file does wrong, where no error can be given."""
    within_noise: bool = False
    """In each output the error is no larger than that of the module's own float32; looked for where
    it is above the limit."""
    moved: int = 0
    """Slices that the file gathers by another choice among equals than the module; the error is
    that of the others, and of these as the module's choice gathers them."""
    unread: float | None = None
    """The error with the positions that a mask switches off, which `error` leaves out; None: none
    were left out."""

    def wrong(self, limit: float) -> bool:
        """Says whether the error is above the limit, and above float32's noise; one that is no
        number is."""
        return not (self.error <= limit or self.within_noise)


@dataclass(frozen=True)
class ExportProof:
    """All steps that were taken, and all that was seen on the way."""

    steps: tuple[Step, ...]
    limit: float
    """The largest error of the structure that counts as the same function."""
    compared: tuple[ComparedSizes, ...] = ()
    expected: tuple[Expected, ...] = ()
    """Feeds with their float64 outputs, to judge by and to write as test data."""
    off: tuple[Dims, ...] = ()
    """The sizes at which its float32 numbers are off, where they are not right."""

    @property
    def fails(self) -> bool:
        """A step fails: the file is not the module's function, or nothing here can run it."""
        return any(step.outcome == "fails" for step in self.steps)

    @property
    def holds(self) -> bool:
        """The numbers were shown to be right, and no step fails. Where the structure could not be
        shown the numbers carry the proof; what has no numbers is not proven."""
        shown = any(step.name == "numbers" and step.outcome == "holds" for step in self.steps)
        return shown and not self.fails

    def wrong(self) -> tuple[ComparedSizes, ...]:
        """The sizes at which the file is not the module's function though the module runs."""
        return tuple(each for each in self.compared if each.wrong(self.limit))

    def right(self) -> tuple[Dims, ...]:
        """The sizes at which it was seen to be the module's function."""
        return tuple(each.dims for each in self.compared if not each.wrong(self.limit))

    def failing(self) -> tuple[tuple[Dims, ...], tuple[Dims, ...]]:
        """The sizes at which it is wrong, in its graph or its numbers, and the others."""
        wrong = tuple(each.dims for each in self.wrong()) or self.off
        seen = [each.dims for each in self.compared] or [e.feed.dims for e in self.expected]
        return wrong, tuple(dims for dims in seen if dims not in wrong)

    def error(self) -> ProofError:
        """The first step that fails, in words. Raises StopIteration where none does."""
        step = next(step for step in self.steps if step.outcome == "fails")
        if step.cures:
            return ProofError(
                f"the exported file was not shown to be right: {step.says}",
                *step.cures,
                "No file was written.",
            )
        return ProofError(
            f"the exported file is not what the module is: {step.name} {step.what}: {step.says}",
            *step.details,
            "No file was written.",
        )
