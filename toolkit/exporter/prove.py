"""Proves an exported file in three steps. A step that fails is a value: nothing is raised.

form       the file on disk is well formed, with the inputs, outputs and operators that were asked
structure  its graph, in float64, is the module's function at the traced sizes and at others
numbers    its untouched float32 numbers are right where ONNX Runtime computes them
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from toolkit.answers.verdict import Verdict
from toolkit.errors import ToolkitError
from toolkit.exporter import form, structure
from toolkit.exporter.proof import Contract, ExportProof, Outcome, Step
from toolkit.feeds.feed import Draws
from toolkit.onnxfiles.modelfile import Opened
from toolkit.oracle.oracles import Expected, Oracle, enough
from toolkit.oracle.sizesweep import Sizes, sweep
from toolkit.tensors import Array, Feed

Answers: TypeAlias = Sequence[Mapping[str, Array]]
"""Named outputs, one mapping for each feed."""


@dataclass(frozen=True)
class Numbers:
    """The way to run and to judge the untouched file; the pipeline brings both."""

    run: Callable[[Sequence[Feed]], Answers]
    """Gives the file's float32 outputs, from a worker. Raises ToolkitError."""
    judge: Callable[[Sequence[Expected], Answers], Verdict]
    by: str = "onnxruntime cpu"


def prove(
    opened: Opened,
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
    limit = structure.EXACT if contract.reference else structure.CONSTANTS
    first = form.check(opened, contract)
    if first.outcome == "fails":
        return ExportProof((first,), limit)
    swept = sweep(oracle, draws, at)
    second, compared = structure.check(opened, oracle, swept, limit)
    if second.outcome == "fails":
        return ExportProof((first, second), limit, tuple(compared), tuple(swept.expected))
    third, expected = _numbers(oracle, draws, swept.expected, numbers)
    return ExportProof((first, second, third), limit, tuple(compared), tuple(expected))


def _numbers(
    oracle: Oracle, draws: Draws, swept: Sequence[Expected], numbers: Numbers | str
) -> tuple[Step, Sequence[Expected]]:
    """The third step, with all feeds that it judged: those of the sweep and as many more as a
    verdict needs."""
    if isinstance(numbers, str):
        return Step("numbers", "in float32", "not shown", numbers), swept
    expected = enough(oracle, swept, draws)
    what = f"{numbers.by} at the same"
    try:
        answers = numbers.run([each.feed.arrays for each in expected])
    except ToolkitError as error:
        return Step("numbers", what, "fails", error.what), expected
    verdict = numbers.judge(expected, answers)
    figure = max((float(output.max_abs) for output in verdict.outputs), default=None)
    outcome: Outcome = "holds" if verdict.right else "fails"
    details = (verdict.reason,) if verdict.reason else ()
    return Step("numbers", what, outcome, verdict.text, figure, details), expected
