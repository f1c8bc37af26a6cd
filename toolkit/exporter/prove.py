"""Proves an exported file in three steps. A step that fails is a value: nothing is raised.

form       the file on disk is well formed, with the inputs, outputs and operators that were asked
structure  its graph, in float64, is the module's function at the traced sizes and at others
numbers    its untouched float32 numbers are right where ONNX Runtime computes them
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from toolkit.answers.verdict import Verdict
from toolkit.errors import ToolkitError, demand_room
from toolkit.exporter import form, structure
from toolkit.exporter.proof import Contract, ExportProof, Outcome, Step
from toolkit.feeds.feed import Draws
from toolkit.onnxfiles.modelfile import Opened
from toolkit.oracle.oracles import Expected, Oracle, enough, smallest
from toolkit.oracle.sizesweep import Sizes, SizeSweep, sweep
from toolkit.tensors import Array, Feed

UNPROVEN = "--no-proof    writes the file as it is, for another runtime, and marks it as unproven"

Answers: TypeAlias = Sequence[Mapping[str, Array]]
"""Named outputs, one mapping for each feed."""


@dataclass(frozen=True)
class CannotRun:
    """There is a runtime, and it has no operator of this file for these types."""

    what: str
    cures: tuple[str, ...] = ()


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
    numbers: Callable[[], Numbers | CannotRun | str],
) -> ExportProof:
    """The proof of a file. `numbers` gives the way to run it, says that its runtime cannot, or why
    there is none; it is asked for when all that needs no run holds.

    Steps that a failed one makes meaningless are not taken. Raises only what `draws` raises.
    """
    limit = structure.EXACT if contract.reference else max(structure.CONSTANTS, contract.rounding)
    clock = _Clock()
    first = clock.timed(form.check(opened, contract))
    if first.outcome == "fails":
        return ExportProof((first,), limit)
    swept = sweep(oracle, draws, at)
    second, compared = structure.check(opened, oracle, swept, limit)
    second = clock.timed(second)
    if second.outcome == "fails":
        return ExportProof((first, second), limit, tuple(compared), tuple(swept.expected))
    # Where no structure was shown, the numbers are all that the proof rests on.
    few = swept.at.dear and second.outcome == "holds"
    is_shown = second.outcome == "holds"
    third, expected = _numbers(opened, oracle, draws, swept, numbers(), few=few, is_shown=is_shown)
    steps = (first, second, clock.timed(third))
    return ExportProof(steps, limit, tuple(compared), tuple(expected))


class _Clock:
    """Gives each step the time since the one before it."""

    def __init__(self) -> None:
        self._last = time.perf_counter()

    def timed(self, step: Step) -> Step:
        """The step with its time."""
        before, self._last = self._last, time.perf_counter()
        return replace(step, seconds=self._last - before)


def _numbers(
    opened: Opened,
    oracle: Oracle,
    draws: Draws,
    swept: SizeSweep,
    numbers: Numbers | CannotRun | str,
    *,
    few: bool,
    is_shown: bool,
) -> tuple[Step, Sequence[Expected]]:
    """The third step, with the feeds of the sweep and as many more as a verdict needs.

    `few` judges the smallest feeds alone that are enough for a verdict: what float32 does to the
    weights and constants of a file shows at any size, and its graph was held to at all of them.
    `is_shown`: the graph is the module's in float64. Then answers that are coarser than float32,
    and not wrong, are the runtime's affair: what float32 does to this very graph is the measure,
    and a coarse kernel (onnxruntime's DFT errs 33 times as much) is no fault of the file.
    """
    if isinstance(numbers, str):
        return Step("numbers", "in float32", "not shown", numbers), swept.expected
    if isinstance(numbers, CannotRun):
        step = Step(
            "numbers", "in float32", "fails", numbers.what, cures=(*numbers.cures, UNPROVEN)
        )
        return step, swept.expected
    chosen = smallest(swept.expected) if few else swept.expected
    judged = enough(oracle, chosen, draws)
    expected = [*swept.expected, *judged[len(chosen) :]]
    seen = structure.summary([each.feed.dims for each in chosen], swept.at.traced, wrong=False)
    what = f"{numbers.by} at {seen if len(chosen) < len(swept.expected) else 'the same'}"
    try:
        answers = numbers.run([each.feed.arrays for each in judged])
    except ToolkitError as error:
        demand_room(error)
        return Step("numbers", what, "fails", error.what), expected
    verdict = numbers.judge(judged, answers)
    if not verdict.right:
        read = [
            replace(each, unread=structure.unread_positions(opened, oracle, each))
            for each in judged
        ]
        verdict = numbers.judge(read, answers) if any(e.unread for e in read) else verdict
    figure = max((float(output.max_abs) for output in verdict.outputs), default=None)
    is_coarse = is_shown and bool(verdict.outputs) and not (verdict.right or verdict.wrong)
    outcome: Outcome = "holds" if verdict.right or is_coarse else "fails"
    details = (verdict.reason,) if verdict.reason else ()
    if is_coarse:
        details = (f"{numbers.by} is coarser than float32, the file is not: {verdict.reason}",)
    return Step("numbers", what, outcome, verdict.text, figure, details), expected
