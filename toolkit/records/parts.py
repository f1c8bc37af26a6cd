"""The parts of a record: each generation writes one, and all of them become the whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from toolkit.records.schema import (
    ColdStart,
    Failure,
    Generation,
    Memory,
    Run,
    Series,
    TargetRecord,
    Timing,
    Warning,
)
from toolkit.strict import Strict
from toolkit.units import Bytes, Seconds

T = TypeVar("T")


class CasePart(Strict, frozen=True, kw_only=True):
    """The measurements of one target at one case in one generation."""

    case: int
    calls: int
    """The calls of a block that count."""
    discarded: int
    """The calls before them, which do not."""
    series: Series
    into: float | None = None
    """Nanoseconds of the copies of the inputs, made alone; None: they cannot be."""
    out: float | None = None
    """Nanoseconds of the copies of the outputs, likewise."""


class TargetPart(Strict, frozen=True, kw_only=True):
    """All that one generation gave for one target.

    Its fields are those of `schema.ColdStart`, `schema.Memory` and `schema.Timing`, each with the
    one value of this process start; None where it did not get so far.
    """

    target: int
    """The index into the plan's targets."""
    cases: list[CasePart] = msgspec.field(default_factory=list)
    empty: float = 0.0
    imported: Seconds | None = None
    loaded: Seconds | None = None
    first_call: Seconds | None = None
    new_shape: Seconds | None = None
    steady_after: Seconds | None = None
    idle: Bytes | None = None
    resident: Bytes | None = None
    peak: Bytes | None = None
    warnings: list[Warning] = msgspec.field(default_factory=list)
    failure: Failure | None = None


class GenerationPart(Strict, frozen=True, kw_only=True):
    """All that one generation gave."""

    generation: Generation
    targets: list[TargetPart]
    seconds: Seconds = 0.0
    """Wall time of the whole run until it was kept; 0 where an older toolkit did not tell."""


def assemble(run: Run, parts: Sequence[GenerationPart]) -> Run:
    """The record with the parts of the generations joined to it.

    A generation that the record has already counts once.
    """
    known = {generation.number for generation in run.generations}
    parts = [part for part in parts if part.generation.number not in known]
    records = {record.target: record for record in run.records}
    for part in parts:
        for target_part in part.targets:
            index = target_part.target
            record = records.get(index, TargetRecord(target=index))
            records[index] = _joined(record, target_part)
    return msgspec.structs.replace(
        run,
        records=[records[index] for index in sorted(records)],
        generations=[*run.generations, *(part.generation for part in parts)],
    )


def _joined(record: TargetRecord, part: TargetPart) -> TargetRecord:
    timings = {timing.case: timing for timing in record.timings}
    for case in part.cases:
        before = timings.get(case.case)
        timings[case.case] = Timing(
            case=case.case,
            calls=case.calls,
            discarded=case.discarded,
            empty=part.empty,
            series=[*(before.series if before else []), case.series],
            into=_and(before.into if before else [], case.into),
            out=_and(before.out if before else [], case.out),
        )
    fresh = [warning for warning in part.warnings if warning not in record.warnings]
    return msgspec.structs.replace(
        record,
        timings=[timings[case] for case in sorted(timings)],
        cold=_cold(record.cold, part),
        memory=_memory(record.memory, part),
        warnings=[*record.warnings, *fresh],
        failure=record.failure or part.failure,
    )


def _cold(cold: ColdStart, part: TargetPart) -> ColdStart:
    return ColdStart(
        imported=_and(cold.imported, part.imported),
        loaded=_and(cold.loaded, part.loaded),
        first_call=_and(cold.first_call, part.first_call),
        new_shape=_and(cold.new_shape, part.new_shape),
        steady_after=_and(cold.steady_after, part.steady_after),
    )


def _memory(memory: Memory, part: TargetPart) -> Memory:
    return Memory(
        idle=_and(memory.idle, part.idle),
        resident=_and(memory.resident, part.resident),
        peak=_and(memory.peak, part.peak),
    )


def _and(values: list[T], value: T | None) -> list[T]:
    return values if value is None else [*values, value]
