"""What one generation of a run gave, and how the generations become the record of the whole."""

from __future__ import annotations

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
    """What one generation gave for one target and one case."""

    case: int
    calls: int
    discarded: int
    series: Series
    into: float | None = None
    out: float | None = None


class TargetPart(Strict, frozen=True, kw_only=True):
    """What one generation gave for one target."""

    target: int
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


def assemble(run: Run, parts: list[GenerationPart]) -> Run:
    """The record with what the generations gave. Pure; a generation that it has counts once."""
    known = {generation.number for generation in run.generations}
    parts = [part for part in parts if part.generation.number not in known]
    records = {record.target: record for record in run.records}
    for part in parts:
        for piece in part.targets:
            old = records.get(piece.target, TargetRecord(target=piece.target))
            records[piece.target] = _joined(old, piece)
    return msgspec.structs.replace(
        run,
        records=[records[index] for index in sorted(records)],
        generations=[*run.generations, *(part.generation for part in parts)],
    )


def _joined(record: TargetRecord, piece: TargetPart) -> TargetRecord:
    timings = {timing.case: timing for timing in record.timings}
    for part in piece.cases:
        old = timings.get(part.case)
        series = [*(old.series if old else []), part.series]
        timings[part.case] = Timing(
            case=part.case,
            calls=part.calls,
            discarded=part.discarded,
            empty=piece.empty,
            series=series,
            into=_and(old.into if old else [], part.into),
            out=_and(old.out if old else [], part.out),
        )
    kinds = {(warning.kind, warning.detail) for warning in record.warnings}
    fresh = [warning for warning in piece.warnings if (warning.kind, warning.detail) not in kinds]
    return msgspec.structs.replace(
        record,
        timings=[timings[case] for case in sorted(timings)],
        cold=_cold(record.cold, piece),
        memory=_memory(record.memory, piece),
        warnings=[*record.warnings, *fresh],
        failure=record.failure or piece.failure,
    )


def _cold(cold: ColdStart, piece: TargetPart) -> ColdStart:
    return ColdStart(
        imported=_and(cold.imported, piece.imported),
        loaded=_and(cold.loaded, piece.loaded),
        first_call=_and(cold.first_call, piece.first_call),
        new_shape=_and(cold.new_shape, piece.new_shape),
        steady_after=_and(cold.steady_after, piece.steady_after),
    )


def _memory(memory: Memory, piece: TargetPart) -> Memory:
    return Memory(
        idle=_and(memory.idle, piece.idle),
        resident=_and(memory.resident, piece.resident),
        peak=_and(memory.peak, piece.peak),
    )


def _and(values: list[T], value: T | None) -> list[T]:
    return values if value is None else [*values, value]
