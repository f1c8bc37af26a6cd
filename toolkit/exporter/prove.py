"""The proof of an exported file, in three steps. A step that fails is a value: nothing is raised.

form       the file on disk is well formed, with the inputs, outputs and operators that were asked
structure  its graph, in float64, is the module's function at the traced sizes and at others
numbers    its untouched float32 numbers are right where ONNX Runtime computes them

Why structure is judged in float64: in float32 a fault as small as rounding hides behind it.
Why by the largest error over the largest value: element by element the quotient of two small
numbers refuses right graphs (1.2e-6 for a transformer layer that shows 4e-8 as a whole).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import onnx

from toolkit.answers.verdict import Verdict
from toolkit.errors import ToolkitError, first_line
from toolkit.feeds import sizes
from toolkit.feeds.feed import Draws
from toolkit.feeds.sizes import Dims
from toolkit.onnxfiles import modelfile, referencefile
from toolkit.oracle.evaluator import Evaluator
from toolkit.oracle.oracles import Expected, Oracle, enough
from toolkit.oracle.portable import Unsupported
from toolkit.oracle.sizesweep import Sizes, SizeSweep, sweep
from toolkit.tensors import Array, Feed, TensorSpec

Outcome: TypeAlias = Literal["holds", "fails", "not shown"]
Answers: TypeAlias = Sequence[Mapping[str, Array]]
"""Named outputs, one mapping for each feed."""

REFERENCE_SIZES = (1, 2, 7, 32, 257)
EXACT = 1e-12
"""The reference model: no constants of Python stand in its graph. 2e-16 is what it shows."""
CONSTANTS = 1e-6
"""Other models: torch.onnx.export writes Python's constants (1/√d, ε) into the file as float32,
with a relative error of up to 6e-8 that a graph may amplify. A transformer layer shows 2e-9."""


@dataclass(frozen=True)
class Contract:
    """What the file should be."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[str, ...]
    """Names, in order; their shapes are the graph's own."""
    reference: bool = False
    """It is the reference model: operators, names and shapes are given."""


@dataclass(frozen=True)
class Step:
    """One line of the proof."""

    name: Literal["form", "structure", "numbers"]
    what: str
    """What was done: 'in float64 at batch 1, 2, 7, 32, 257'."""
    outcome: Outcome
    says: str
    """In a few words: 'same function', 'float32'; where it is not shown, why."""
    figure: float | None = None
    """structure: largest error over the output's largest value. numbers: largest error."""
    details: tuple[str, ...] = ()
    """A line each: what failed, what was left out."""


@dataclass(frozen=True)
class ComparedSizes:
    """The file's graph and the module at one set of sizes."""

    dims: Dims
    error: float
    """Largest error over the output's largest value; infinite where the file does not run, or gives
    another shape or type."""
    reason: str = ""
    """What the file does, where that is no question of size."""

    def wrong(self, limit: float) -> bool:
        return not self.error <= limit


@dataclass(frozen=True)
class ExportProof:
    """All steps, and what was seen on the way."""

    steps: tuple[Step, ...]
    compared: tuple[ComparedSizes, ...] = ()
    expected: tuple[Expected, ...] = ()
    """Feeds with their float64 outputs, to judge by and to write as test data."""
    limit: float = CONSTANTS
    """What the error of the structure may be."""

    @property
    def holds(self) -> bool:
        """No step fails. What is not shown is said, and fails nothing."""
        return all(step.outcome != "fails" for step in self.steps)

    def wrong(self) -> tuple[ComparedSizes, ...]:
        """Where the file is not the module's function though the module runs."""
        return tuple(each for each in self.compared if each.wrong(self.limit))

    def right(self) -> tuple[Dims, ...]:
        """The sizes at which it was seen to be the module's function."""
        return tuple(each.dims for each in self.compared if not each.wrong(self.limit))


@dataclass(frozen=True)
class Numbers:
    """How the untouched file is run and judged; the pipeline brings both."""

    run: Callable[[Sequence[Feed]], Answers]
    """Its float32 outputs, from a worker. Raises ToolkitError."""
    judge: Callable[[Sequence[Expected], Answers], Verdict]
    by: str = "onnxruntime cpu"


def prove(
    path: Path,
    contract: Contract,
    oracle: Oracle,
    draws: Draws,
    at: Sizes,
    *,
    numbers: Numbers | str,
) -> ExportProof:
    """The proof of a file. `numbers` is how to run it, or why it cannot be run here.

    Steps that a failed one makes meaningless are not taken. Raises only what `draws` raises.
    """
    limit = EXACT if contract.reference else CONSTANTS
    first = form(path, contract)
    if first.outcome == "fails":
        return ExportProof((first,), limit=limit)
    found = sweep(oracle, draws, at)
    second, compared = structure(path, oracle, found, limit)
    if second.outcome == "fails":
        return ExportProof((first, second), tuple(compared), tuple(found.expected), limit)
    third, expected = _numbers(oracle, draws, found.expected, numbers)
    return ExportProof((first, second, third), tuple(compared), tuple(expected), limit)


def form(path: Path, contract: Contract) -> Step:
    """The file as it stands on disk: readable, checked in full, and as the contract says."""
    what = "checker, contract, names" if contract.reference else "checker, inputs, dimensions"
    try:
        facts = modelfile.read(path)
        onnx.checker.check_model(str(path), full_check=True)
        differences = _differences(facts, contract)
    except ToolkitError as error:
        return Step("form", what, "fails", error.what)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        line = first_line(error)
        return Step("form", what, "fails", f"the ONNX checker refuses it: {line}")
    if differences:
        return Step("form", what, "fails", differences[0], details=tuple(differences[1:]))
    return Step("form", what, "holds", "")


def structure(
    path: Path, oracle: Oracle, found: SizeSweep, limit: float
) -> tuple[Step, list[ComparedSizes]]:
    """The graph in float64 against the module, at all sizes that the module takes."""
    notes = (*_left_out(found), *_too_few(found))
    try:
        evaluator = _evaluator(path, oracle, found)
    except Unsupported as error:
        says = f"{error.what}; the proof rests on the numbers"
        return Step("structure", "in float64", "not shown", says, details=notes), []
    compared = [_at(evaluator, each) for each in found.expected]
    wrong = [each for each in compared if each.wrong(limit)]
    step = Step(
        "structure",
        f"in float64 at {summary([each.dims for each in wrong or compared], found.at.traced)}",
        "fails" if wrong else "holds",
        "another function" if wrong else "same function",
        max((each.error for each in compared), default=0.0),
        (*map(_wrong_line, wrong), *notes),
    )
    return step, compared


def _evaluator(path: Path, oracle: Oracle, found: SizeSweep) -> Evaluator:
    """The graph in float64. Raises Unsupported where there is nothing to compare: no oracle in
    float64, or the evaluator cannot do the graph even at the first sizes, the traced ones."""
    if not oracle.exact:
        raise Unsupported(oracle.name)
    evaluator = Evaluator(modelfile.load(path))
    for each in found.expected[:1]:
        evaluator.run(each.feed.arrays)
    return evaluator


def _at(evaluator: Evaluator, expected: Expected) -> ComparedSizes:
    try:
        got = evaluator.run(expected.feed.arrays)
    except Unsupported as error:  # it ran at the traced sizes, so it is the graph that fails
        reason = f"the file does not run: {error.what}"
        return ComparedSizes(expected.feed.dims, math.inf, reason)
    return ComparedSizes(expected.feed.dims, *difference(got, expected.outputs))


def _left_out(found: SizeSweep) -> list[str]:
    """A line for each dimension, with the first reason."""
    lines: dict[str, tuple[list[str], str]] = {}
    for left in found.left_out:
        changed = {n: s for n, s in left.dims.items() if s != found.at.traced[n]} or left.dims
        name = ", ".join(changed)
        where, _ = lines.setdefault(name, ([], left.reason))
        where.append(sizes.text(changed).removeprefix(f"{name} "))
    return [
        f"left out: {name + ' ' if len(where) > 1 or ' ' not in where[0] else ''}"
        f"{', '.join(where)}: {reason}"
        for name, (where, reason) in lines.items()
    ]


def _too_few(found: SizeSweep) -> list[str]:
    lines = []
    for name in found.too_few():
        traced = found.at.traced[name]
        seen = ", ".join(map(str, sorted([traced, *found.others(name)])))
        lines.append(
            f"{name}: of the sizes that were tried the module takes {seen} only;"
            f" a range says where to look: {name}={traced}..{4 * traced}"
        )
    return lines


def _wrong_line(compared: ComparedSizes) -> str:
    what = compared.reason or f"error {compared.error:.2g} of the largest value"
    return f"wrong at {sizes.text(compared.dims)}: {what}"


def summary(seen: Sequence[Dims], traced: Dims) -> str:
    """Sizes for one line: 'batch 1, 2, 7 and seq 1, 7, 16'; of sizes that are all unlike the traced
    ones in one dimension, that dimension: 'seq 7, 9'."""
    values = {name: sorted({dims[name] for dims in seen}) for name in traced}
    telling = [name for name in traced if seen and traced[name] not in values[name]]
    shown = telling or list(traced)
    parts = [f"{name} {', '.join(map(str, values[name]))}" for name in shown]
    return " and ".join(parts) or "the fixed shape"


def difference(got: Mapping[str, Array], right: Mapping[str, Array]) -> tuple[float, str]:
    """The largest error over the largest value, the worst of all outputs, with what is not a
    question of size. Outputs are matched by their place: a file renames those that collide."""
    if len(got) != len(right):
        return math.inf, f"the file has {len(got)} outputs, the module {len(right)}"
    worst = 0.0
    for (name, mine), theirs in zip(got.items(), right.values(), strict=True):
        if mine.shape != theirs.shape:
            return math.inf, (
                f"{name} has the shape {list(mine.shape)}, the module's {list(theirs.shape)}"
            )
        if (mine.dtype.kind == "f") != (theirs.dtype.kind == "f"):
            return math.inf, f"{name} is {mine.dtype}, the module's {theirs.dtype}"
        worst = max(worst, _error(mine, theirs))
    return worst, ""


def _error(got: Array, right: Array) -> float:
    if got.dtype.kind != "f":
        return 0.0 if np.array_equal(got, right) else math.inf
    finite = np.isfinite(right)
    if not np.array_equal(got[~finite], right[~finite], equal_nan=True):
        return math.inf
    if not np.isfinite(got[finite]).all():
        return math.inf
    if not finite.any():
        return 0.0
    largest = float(np.abs(right[finite]).max())
    return float(np.abs(got[finite] - right[finite]).max()) / (largest or 1.0)


def _differences(facts: modelfile.ModelFile, contract: Contract) -> list[str]:
    if contract.reference:
        return list(referencefile.differences(facts.path))
    found = [
        f"the input {wanted.name} is {there}, stated was {wanted}"
        for wanted, there in zip(contract.inputs, facts.inputs, strict=False)
        if wanted != there
    ]
    if len(facts.inputs) != len(contract.inputs):
        names = ", ".join(spec.name for spec in facts.inputs)
        found.append(f"its inputs are {names}, {len(contract.inputs)} were stated")
    outputs = tuple(spec.name for spec in facts.outputs)
    if outputs != contract.outputs:
        found.append(f"its outputs are {', '.join(outputs)}, not {', '.join(contract.outputs)}")
    return found


def _numbers(
    oracle: Oracle, draws: Draws, found: Sequence[Expected], numbers: Numbers | str
) -> tuple[Step, Sequence[Expected]]:
    if isinstance(numbers, str):
        return Step("numbers", "in float32", "not shown", numbers), found
    expected = enough(oracle, found, draws)
    what = f"{numbers.by} at the same"
    try:
        answers = numbers.run([each.feed.arrays for each in expected])
    except ToolkitError as error:
        return Step("numbers", what, "fails", error.what), expected
    verdict = numbers.judge(expected, answers)
    figure = max((float(each.max_abs) for each in verdict.outputs), default=None)
    outcome: Outcome = "holds" if verdict.right else "fails"
    details = (verdict.reason,) if verdict.reason else ()
    return Step("numbers", what, outcome, verdict.text, figure, details), expected
