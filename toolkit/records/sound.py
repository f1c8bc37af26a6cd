"""A record whose parts fit together: every index names something, and no number is absurd.

The schema says the type of each field. What it cannot say is held here, as soon as a record is
read, so that nothing behind it has to ask again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import msgspec
import numpy as np

from toolkit.answers.verdict import Verdict
from toolkit.records.metrics import (
    LARGEST_PICTURE,
    LONGEST_TEXT,
    MOST_SHOWN,
    LabelledData,
)
from toolkit.records.parts import GenerationPart
from toolkit.records.schema import Plan, Run, Series, Timing
from toolkit.tensors import Array

LARGEST = 2**63
"""Beyond it nothing has a size in bytes or in nanoseconds, and numpy has no integer."""

PNG = b"\x89PNG\r\n\x1a\n"
"""The beginning of every PNG."""

LEAST_ALPHA = 1e-12
"""The share of false findings of a run of ours is 0.05; far below this its intervals overflow."""


def fault(run: Run) -> str:
    """Says what does not fit in a record; empty: all does."""
    return next(_faults(run), "")


def part_fault(part: GenerationPart, plan: Plan) -> str:
    """Says what does not fit in the record of a generation; empty: all does."""
    return next(_part_faults(part, plan), "")


def samples_fault(samples: Mapping[str, Array]) -> str:
    """Says what is no time in the samples of a run, int64 nanoseconds; empty: all are."""
    for array in samples.values():
        if array.dtype != np.int64:
            return f"it has samples of the type {array.dtype.name}"
        if array.size and array.min() < 0:  # 0 is one: a coarse clock may not move in a call.
            return "it has a sample that lasted less than no time"
    return ""


def _faults(run: Run) -> Iterator[str]:
    plan = run.plan
    yield from _numbers(run)
    if not 0 <= plan.baseline < len(plan.targets):
        yield f"its baseline is {plan.baseline}, and it has {_count(plan.targets, 'target')}"
    if not LEAST_ALPHA < plan.alpha < 1:
        yield f"its alpha is {plan.alpha}"
    for what, number in (("limit of latency", plan.latency_limit), ("price", plan.price)):
        if number is not None and number <= 0:
            yield f"its {what} is {number}"
    yield from _each_once("generation", [generation.number for generation in run.generations])
    yield from _each_once("target", [record.target for record in run.records])
    if run.data is not None:
        yield from _data(run.data, plan)
    for record in run.records:
        yield from _index("target", record.target, plan.targets)
        yield from _each_once("case", [timing.case for timing in record.timings])
        if record.verdict is not None:
            yield from _verdict(record.verdict)
        for timing in record.timings:
            yield from _index("case", timing.case, plan.cases)
            yield from _timing(timing)


def _data(data: LabelledData, plan: Plan) -> Iterator[str]:
    for drop in data.drops:
        yield from _index("target", drop.old, plan.targets)
        yield from _index("target", drop.new, plan.targets)
        if len(drop.flips) > MOST_SHOWN:
            yield f"it shows {len(drop.flips)} flipped examples, {MOST_SHOWN} are the most"
        for flip in drop.flips:
            is_png = not flip.picture or flip.picture.startswith(PNG)
            if not is_png or len(flip.picture) > LARGEST_PICTURE or len(flip.text) > LONGEST_TEXT:
                yield f"its example {flip.example} is no small PNG and no short text"


def _part_faults(part: GenerationPart, plan: Plan) -> Iterator[str]:
    yield from _numbers(part)
    yield from _each_once("target", [target.target for target in part.targets])
    for target in part.targets:
        yield from _index("target", target.target, plan.targets)
        yield from _each_once("case", [case.case for case in target.cases])
        for case in target.cases:
            yield from _index("case", case.case, plan.cases)
            yield from _series(case.series)


def _verdict(verdict: Verdict) -> Iterator[str]:
    if not verdict.outputs or not all(output.names for output in verdict.outputs):
        yield "a verdict judges no output"
    if verdict.right != (verdict.answer == "right"):
        yield f"a verdict is {verdict.answer}, and says otherwise of itself"


def _timing(timing: Timing) -> Iterator[str]:
    yield from _each_once("generation", [series.generation for series in timing.series])
    for series in timing.series:
        yield from _series(series)


def _series(series: Series) -> Iterator[str]:
    blocks = len(series.starts)
    others = (len(series.medians), len(series.means), len(series.switches))
    if {*others} != {blocks} or len(series.waited) not in (0, blocks):
        yield "the blocks of a process start are not equally many in all columns"
    times = (*series.medians, *series.means)
    if not all(0 < time < LARGEST for time in times):
        yield "a block has a time that no call takes"


def _index(noun: str, index: int, of: Sequence[object]) -> Iterator[str]:
    if not 0 <= index < len(of):
        yield f"it has results of {noun} {index}, and {_count(of, noun)}"


def _each_once(noun: str, numbers: Sequence[int]) -> Iterator[str]:
    if len(set(numbers)) < len(numbers):
        yield f"it has the results of one {noun} twice"


def _count(of: Sequence[object], noun: str) -> str:
    return f"{len(of)} {noun}{'' if len(of) == 1 else 's'}"


def _numbers(record: msgspec.Struct) -> Iterator[str]:
    """Looks at every number, however deep, but for the errors and limits of a verdict: those are
    floats of any size, in dataclasses."""
    left: list[object] = [record]
    while left:
        each = left.pop()
        if isinstance(each, msgspec.Struct):
            left += (getattr(each, name) for name in each.__struct_fields__)
        elif dataclasses.is_dataclass(each):
            left += (value for value in vars(each).values() if not isinstance(value, float))
        elif isinstance(each, dict):
            left += each.values()
        elif isinstance(each, list | tuple):
            left += each
        elif isinstance(each, int | float) and not -LARGEST <= each < LARGEST:
            yield "it has a number that is beyond all sizes"
