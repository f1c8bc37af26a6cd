"""Proves an exported file in three steps. A step that fails is a value: nothing is raised.

form       the file on disk is well formed, with the inputs, outputs and operators that were asked
structure  its graph, in float64, is the module's function at the traced sizes and at others; where
           that takes too long, at the least sizes, and in float32 at others
numbers    its untouched float32 numbers are right where ONNX Runtime computes them
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TypeAlias

import numpy as np

from toolkit.answers.verdict import Verdict
from toolkit.errors import ToolkitError, demand_room
from toolkit.exporter import form, plainsizes, structure
from toolkit.exporter.proof import Contract, ExportProof, Outcome, Step
from toolkit.feeds import sizes
from toolkit.feeds.feed import Draws
from toolkit.feeds.sizes import Dims
from toolkit.onnxfiles.modelfile import Opened
from toolkit.oracle.oracles import Expected, Oracle, RefusedFeed, enough, smallest
from toolkit.oracle.sizesweep import Sizes, SizeSweep, sweep
from toolkit.oracle.unread import zeroed
from toolkit.tensors import Array, Feed

UNPROVEN = "--no-proof    writes the file as it is, for another runtime, and marks it as unproven"

SLIGHT = 1e-4
"""The share of an output's largest value up to which the error of a runtime is no fault of a file
whose graph is right, whatever class it looks like. Beyond it a class explains nothing: where a
position lies between two pixels, every simulation moves whole rows. PyTorch's own float32 is as far
off where coordinates are multiplied by a width (1e-5 for a picture of 37 columns); half a step of
tf32 is 5e-4."""

FAR, MANY = 0.05, 0.02
"""The share of an output's largest value that no float32 is off by, and of its elements that are no
chance. Where a position lies between two pixels, every simulation moves whole rows, and float32's
own band holds such an error: a row is one of at most fifty. Of a detector's boxes, which lie in
another order where scores are equal, a hundredth did."""

UNLIKE = "there it is far from the module's own float32, as people run it"
UNTOLD = "float32 or less, which these feeds cannot tell"

Answers: TypeAlias = Sequence[Mapping[str, Array]]
"""Named outputs, one mapping for each feed."""
Agrees: TypeAlias = Callable[[Mapping[str, Array], Mapping[str, Array]], bool]
"""Says whether two answers of the same names agree."""


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
    numbers = cache(numbers)
    held = _held_in_float32(oracle, draws, swept, numbers)
    second, compared = structure.check(opened, oracle, swept, limit)
    if second.outcome == "holds":
        second = replace(second, details=(*held, *second.details))
    elif second.outcome == "not shown":
        for dims in [*swept.plainly]:  # The numbers are all that the proof rests on.
            swept.look_after_all(dims)
    second = clock.timed(second)
    if second.outcome == "fails":
        return ExportProof((first, second), limit, tuple(compared), tuple(swept.expected))
    # Where no structure was shown, the numbers are all that the proof rests on.
    few = swept.at.dear and second.outcome == "holds"
    is_shown = second.outcome == "holds"
    third, expected, off = _numbers(
        opened, oracle, draws, swept, numbers(), few=few, is_shown=is_shown
    )
    steps = (first, second, clock.timed(third))
    return ExportProof(steps, limit, tuple(compared), tuple(expected), off)


def _held_in_float32(
    oracle: Oracle,
    draws: Draws,
    swept: SizeSweep,
    numbers: Callable[[], Numbers | CannotRun | str],
) -> tuple[str, ...]:
    """A line for the sizes at which the file was seen to be the module in float32 alone; where it
    was not, or nothing can run it, they are looked at in float64."""
    if not swept.plainly:
        return ()
    by = numbers()
    for dims in [*swept.plainly]:
        if not (
            isinstance(by, Numbers)
            and oracle.exact
            and plainsizes.holds(oracle, swept.expected, draws, dims, by.run)
        ):
            swept.look_after_all(dims)
    if isinstance(by, str | CannotRun) or not swept.plainly:
        return ()
    seen = "; ".join(map(sizes.text, swept.plainly))
    return (f"in float32 alone, as the module's own: {by.by} at {seen}",)


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
) -> tuple[Step, Sequence[Expected], tuple[Dims, ...]]:
    """The third step, with the feeds of the sweep and as many more as a verdict needs, and the
    sizes at which the numbers are off, where it fails.

    `few` judges the smallest feeds alone that are enough for a verdict: what float32 does to the
    weights and constants of a file shows at any size, and its graph was held to at all of them.
    `is_shown`: the graph is the module's in float64. Then answers that are coarser than float32 by
    no more than SLIGHT are the runtime's affair: what float32 does to this very graph is the
    measure, and a coarse kernel (onnxruntime's DFT errs 33 times as much, its GridSample in a few
    elements) is no fault of the file.
    """
    if isinstance(numbers, str):
        return Step("numbers", "in float32", "not shown", numbers), swept.expected, ()
    if isinstance(numbers, CannotRun):
        step = Step(
            "numbers", "in float32", "fails", numbers.what, cures=(*numbers.cures, UNPROVEN)
        )
        return step, swept.expected, ()
    chosen = smallest(swept.expected) if few else swept.expected
    judged = enough(oracle, chosen, draws)
    expected = [*swept.expected, *judged[len(chosen) :]]
    seen = structure.summary([each.feed.dims for each in chosen], swept.at.traced, wrong=False)
    what = f"{numbers.by} at {seen if len(chosen) < len(swept.expected) else 'the same'}"
    try:
        answers = numbers.run([each.feed.arrays for each in judged])
    except ToolkitError as error:
        demand_room(error)
        return Step("numbers", what, "fails", error.what), expected, ()
    verdict = numbers.judge(judged, answers)
    if verdict.refuted:
        read = [
            replace(each, unread=structure.unread_positions(opened, oracle, each))
            for each in judged
        ]
        if any(each.unread for each in read):
            judged, verdict = read, numbers.judge(read, answers)
    figure = max((float(output.max_abs) for output in verdict.outputs), default=None)
    off = _off(oracle, judged, answers, near=verdict.refuted)
    is_coarse = is_shown and bool(verdict.outputs) and verdict.refuted and not off
    outcome: Outcome = "fails"
    if is_coarse or not (verdict.refuted or off):
        # That a precision does not show leaves the graph what it was shown to be.
        outcome = "holds" if verdict.right or is_shown else "not shown"
    details: tuple[str, ...] = (verdict.reason,) if verdict.reason else ()
    says = verdict.text
    if is_coarse and verdict.answer == "wrong":
        says = "float32 but for a few elements"
    elif verdict.answer == "not shown":
        says, details = (UNTOLD, details) if is_shown else (verdict.reason, ())
    if is_coarse:
        details = (f"{numbers.by} is coarser than float32, the file is not: {verdict.reason}",)
    elif off and len(off) < len({sizes.text(each.feed.dims) for each in judged}):
        details += tuple(f"wrong at {sizes.text(dims)}" for dims in off)
    if off and not verdict.refuted:
        says, details = "another function", (*details, UNLIKE)
    return Step("numbers", what, outcome, says, figure, details), expected, off


def _off(
    oracle: Oracle, judged: Sequence[Expected], answers: Answers, *, near: bool
) -> tuple[Dims, ...]:
    """The sizes, each once, at which answers are unlike the module's own float32, as people run it,
    which may round a position otherwise than float64 does. They have to be `near` that, or near
    what is right, too, where no verdict says that they are.
    """
    off = {}
    for each, answer in zip(judged, answers, strict=True):
        own = [plain for plain in [_plain(oracle, each)] if plain is not None]
        held = all(_agree(each, answer, plain, _is_like) for plain in own or [each.outputs])
        if near:
            held &= any(_agree(each, answer, known, _is_near) for known in (each.outputs, *own))
        if not held:
            off[sizes.text(each.feed.dims)] = each.feed.dims
    return tuple(off.values())


def _agree(
    each: Expected,
    answer: Mapping[str, Array],
    wanted: Mapping[str, Array],
    agrees: Agrees,
) -> bool:
    """Says whether an answer agrees with another one at all positions that are read."""
    if len(wanted) != len(answer):
        return False
    wanted = dict(zip(answer, wanted.values(), strict=True))
    if each.unread:
        wanted, answer = zeroed(wanted, each.unread), zeroed(answer, each.unread)
    return agrees(answer, wanted)


def _is_near(answer: Mapping[str, Array], wanted: Mapping[str, Array]) -> bool:
    return structure.difference(answer, wanted)[0] <= SLIGHT


def _is_like(answer: Mapping[str, Array], wanted: Mapping[str, Array]) -> bool:
    """Says whether no output has MANY elements that are FAR from another answer's."""
    pairs = ((mine, wanted[name]) for name, mine in answer.items())
    return not any(
        mine.dtype.kind == "f" and mine.shape == theirs.shape and _share_far(mine, theirs) > MANY
        for mine, theirs in pairs
    )


def _share_far(mine: Array, theirs: Array) -> float:
    finite = np.isfinite(mine) & np.isfinite(theirs)
    if not finite.any():
        return 0.0
    off = np.abs(mine[finite].astype(np.float64) - theirs[finite])
    return float(np.mean(off > FAR * float(np.abs(theirs[finite]).max())))


def _plain(oracle: Oracle, each: Expected) -> Mapping[str, Array] | None:
    try:
        return oracle.in_float32(each.feed.arrays)
    except RefusedFeed:
        return None
