"""The second step of the proof: the file's graph, in float64, is the module's function.

Why it is judged in float64: in float32 a fault as small as rounding hides behind it.
Why by the largest error over the largest value: element by element the quotient of two small
numbers refuses right graphs (1.2e-6 for a transformer layer that shows 4e-8 as a whole).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from toolkit.exporter import ties
from toolkit.exporter.proof import ComparedSizes, Step
from toolkit.exporter.ties import FileChoice, FileChoices
from toolkit.feeds import sizes
from toolkit.feeds.sizes import Dims
from toolkit.onnxfiles import masks
from toolkit.onnxfiles.modelfile import Opened
from toolkit.oracle import unread
from toolkit.oracle.evaluator import Evaluator
from toolkit.oracle.oracles import Expected, Oracle, RefusedFeed
from toolkit.oracle.portable import Unsupported
from toolkit.oracle.sizesweep import SizeSweep
from toolkit.oracle.unread import zeroed
from toolkit.tensors import Array

EXACT = 1e-12
"""The limit for the reference model: no constants of Python stand in its graph. It shows 2e-16."""
CONSTANTS = 1e-6
"""The limit for other models: torch.onnx.export writes Python's constants (1/√d, ε) into the file
as float32, with a relative error of up to 6e-8 that a graph may amplify. A transformer layer shows
2e-9, ResNet-50 1e-7; where normalizations are folded into the weights of a deep net, more than the
limit. Then the measure is the module's own float32, whose rounding the net amplifies likewise. A
module in float16 or bfloat16 has its constants in that type, and half a step of it as its limit
(`Contract.rounding`): an attention in float16 shows 5e-5."""


def check(
    opened: Opened, oracle: Oracle, swept: SizeSweep, limit: float
) -> tuple[Step, list[ComparedSizes]]:
    """Compares the graph in float64 with the module, at all sizes that the module takes.

    `limit` is the largest error over the largest value that counts as the same function. The step
    is not shown where there is no float64 oracle, or where the evaluator cannot do the graph.
    """
    notes = (*_left_out(swept), *_unaffordable(swept), *_too_few(swept))
    try:
        answers = _answers(opened, oracle, swept)
    except Unsupported as error:
        says = f"{error.what}; the proof rests on the numbers"
        return Step("structure", "in float64", "not shown", says, details=notes), []
    choices = ties.of_file(opened)
    compared = [
        compare(
            choices,
            expected,
            answer,
            limit,
            partial(_plain, oracle, expected),
            partial(unread_positions, opened, oracle, expected),
        )
        for expected, answer in zip(swept.expected, answers, strict=True)
    ]
    wrong = [each for each in compared if each.wrong(limit)]
    seen = summary([e.dims for e in wrong or compared], swept.at.traced, wrong=bool(wrong))
    step = Step(
        "structure",
        f"in float64 at {seen}",
        "fails" if wrong else "holds",
        "another function" if wrong else f"same function{_moved(compared)}",
        max((each.error for each in compared), default=0.0),
        (*map(_wrong_line, wrong), *_switched_off(compared), *notes),
    )
    return step, compared


def compare(
    choices: FileChoices | None,
    expected: Expected,
    answer: dict[str, Array] | Unsupported,
    limit: float,
    plain: Callable[[], Mapping[str, Array] | None],
    switched_off: Callable[[], Mapping[str, Array]] = dict,
) -> ComparedSizes:
    """Compares what the file gives in float64 for one feed with what is expected.

    `choices` are those of the file. `plain` gives the module's outputs in float32, None where it
    has none, and `switched_off` the positions of each output that a mask switches off; both are
    asked where the error is above the limit.
    """
    dims = expected.feed.dims
    if isinstance(answer, Unsupported):  # It ran at the traced sizes: it is the graph that fails.
        return ComparedSizes(dims, math.inf, f"the file does not run: {answer.what}")
    error, reason = difference(answer, expected.outputs)
    if error <= limit or len(answer) != len(expected.outputs):
        return ComparedSizes(dims, error, reason)
    right = dict(zip(answer, expected.outputs.values(), strict=True))
    if not reason and (off := switched_off()):
        # What stands there nobody reads; at all others the file is held to the module.
        compared = compare(
            choices,
            replace(expected, outputs=zeroed(right, off)),
            zeroed(answer, off),
            limit,
            lambda: _zeroed_plain(plain(), list(right), off),
        )
        return replace(compared, unread=error)
    tied = () if choices is None else choices.on(expected.feed.arrays)
    moved = 0
    for tie in tied:
        again, count = tie.as_in(right)
        answer, moved = {**answer, **again}, moved + count
    error, reason = difference(answer, right)
    amplified = limit >= CONSTANTS and limit < error < math.inf
    within = amplified and _within_noise(tied, right, answer, limit, plain())
    return ComparedSizes(dims, error, reason, within, moved)


def unread_positions(opened: Opened, oracle: Oracle, expected: Expected) -> dict[str, Array]:
    """Gives the positions that a mask among the file's inputs switches off, for each output that
    has its axes. Only a module says so: the graph itself may be what is wrong."""
    facts = opened.facts
    return unread.positions(
        oracle,
        facts.inputs,
        facts.outputs,
        masks.inputs(opened.model),
        expected.feed.arrays,
        expected.outputs,
    )


def _zeroed_plain(
    plain: Mapping[str, Array] | None, names: Sequence[str], off: Mapping[str, Array]
) -> Mapping[str, Array] | None:
    if plain is None or len(plain) != len(names):
        return plain
    return zeroed(dict(zip(names, plain.values(), strict=True)), off)


def difference(got: Mapping[str, Array], right: Mapping[str, Array]) -> tuple[float, str]:
    """The largest error over the largest value, the worst of all outputs; or infinity, with the
    reason, where count, shape or type differ.

    Outputs are matched by their place: a file renames those that collide.
    """
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


def summary(seen: Sequence[Dims], traced: Dims, *, wrong: bool) -> str:
    """Sizes for one line: 'batch 1, 2, 7 and seq 1, 7, 16'. Of those that are `wrong` only the
    dimensions in which all are unlike the traced ones, if there are such: 'seq 7, 9'."""
    values = {name: sorted({dims[name] for dims in seen}) for name in traced}
    telling = [name for name in traced if wrong and traced[name] not in values[name]]
    shown = telling or list(traced)
    parts = [f"{name} {', '.join(map(str, values[name]))}" for name in shown]
    return " and ".join(parts) or "the fixed shape"


def _answers(
    opened: Opened, oracle: Oracle, swept: SizeSweep
) -> list[dict[str, Array] | Unsupported]:
    """The outputs of the graph in float64. Raises Unsupported where there is nothing to compare: no
    oracle in float64, or the evaluator cannot do the graph even at the first sizes, the traced."""
    if not oracle.exact:
        raise Unsupported(oracle.name)
    evaluator = Evaluator(opened.model, folder=opened.folder)
    answers = evaluator.run_all([expected.feed.arrays for expected in swept.expected])
    for first in answers[:1]:
        if isinstance(first, Unsupported):
            raise first
    return answers


def _plain(oracle: Oracle, expected: Expected) -> Mapping[str, Array] | None:
    try:
        return oracle.in_float32(expected.feed.arrays)
    except RefusedFeed:
        return None


def _within_noise(
    tied: Sequence[FileChoice],
    right: Mapping[str, Array],
    answer: Mapping[str, Array],
    limit: float,
    plain: Mapping[str, Array] | None,
) -> bool:
    """Says whether in each output the error is below the limit, or no larger than that of the
    module's own float32. Where that chose otherwise among equals, only slices that it and the
    module in float64 both hold show its error."""
    if plain is None or len(plain) != len(answer):
        return False
    theirs = dict(zip(answer, plain.values(), strict=True))
    pairs = {name: (theirs[name], right[name]) for name in answer}
    for tie in tied:
        pairs |= tie.in_both(theirs, right)
    if any(own.shape != wanted.shape for own, wanted in pairs.values()):
        return False
    noises = {name: _error(*pair) for name, pair in pairs.items()}
    # An output that float32 has wrong altogether shows no noise.
    return all(
        _error(mine, right[name]) <= max(limit, noises[name] if math.isfinite(noises[name]) else 0)
        for name, mine in answer.items()
    )


def _error(got: Array, right: Array) -> float:
    """The largest error of one output over its largest value."""
    if got.dtype.kind != "f":
        return 0.0 if np.array_equal(got, right) else math.inf
    # Infinities and NaN have no distance: they must stand at the same elements.
    finite = np.isfinite(right)
    if not np.array_equal(got[~finite], right[~finite], equal_nan=True):
        return math.inf
    if not np.isfinite(got[finite]).all():
        return math.inf
    if not finite.any():
        return 0.0
    largest = float(np.abs(right[finite]).max())
    # An output of zeros has no largest value to hold an error against: then the error itself.
    return float(np.abs(got[finite] - right[finite]).max()) / (largest or 1.0)


def _left_out(swept: SizeSweep) -> list[str]:
    """A line for each dimension of which sizes were left out, with the first reason."""
    lines: dict[str, tuple[list[str], str]] = {}
    for left in swept.left_out:
        # Only what differs from the traced sizes; all of them, where it is those that were refused.
        changed = {n: s for n, s in left.dims.items() if s != swept.at.traced[n]} or left.dims
        name = ", ".join(changed)
        where, _ = lines.setdefault(name, ([], left.reason))
        # 'height 1' and 'height 7' become 'height 1, 7'.
        where.append(sizes.text(changed).removeprefix(f"{name} "))
    return [
        f"left out: {name + ' ' if len(where) > 1 or ' ' not in where[0] else ''}"
        f"{', '.join(where)}: {reason}"
        for name, (where, reason) in lines.items()
    ]


def _unaffordable(swept: SizeSweep) -> list[str]:
    """One line with the sizes that were left out for their time, if any were."""
    changed = [
        {name: size for name, size in dims.items() if size != swept.at.traced[name]}
        for dims in swept.unaffordable
    ]
    return [f"left out for time: {'; '.join(map(sizes.text, changed))}"] if changed else []


def _too_few(swept: SizeSweep) -> list[str]:
    """A line for each dimension of which few sizes were seen, with the way to state a range."""
    lines = []
    for name in swept.too_few():
        traced = swept.at.traced[name]
        seen = ", ".join(map(str, sorted([traced, *swept.others(name)])))
        lines.append(
            f"{name}: of the sizes that were tried the module takes {seen} only;"
            f" a range says where to look: {name}={traced}..{4 * traced}"
        )
    return lines


def _moved(compared: Sequence[ComparedSizes]) -> str:
    """Says how many slices the file's outputs hold by another choice; empty: none."""
    count = sum(each.moved for each in compared)
    return f"; {count} gathered by another choice among equals" if count else ""


def _switched_off(compared: Sequence[ComparedSizes]) -> list[str]:
    """One line where the file differs at positions that a mask switches off, and there alone."""
    there = [each for each in compared if each.unread is not None]
    if not there:
        return []
    worst = max(each.unread or 0.0 for each in there)
    how = f"by {worst:.2g} of the largest value" if math.isfinite(worst) else "by no number"
    return [f"differs {how} where a mask switches positions off, which nobody reads"]


def _wrong_line(compared: ComparedSizes) -> str:
    what = compared.reason or f"error {compared.error:.2g} of the largest value"
    return f"wrong at {sizes.text(compared.dims)}: {what}"
