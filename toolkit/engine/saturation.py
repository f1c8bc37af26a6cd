"""Tells why an int8 file may be wrong or coarse on this processor and right on another."""

from __future__ import annotations

from collections.abc import Collection

from toolkit.answers.verdict import Verdict
from toolkit.engine.assignment import Assignment
from toolkit.engine.setup import ReadyTarget
from toolkit.machine.features import saturates
from toolkit.records.schema import TargetRecord, Warning, WarningKind

PROVIDER = "cpu"
"""The provider that computes on the processor; others have instructions of their own."""


def warnings(
    target: ReadyTarget,
    record: TargetRecord,
    assignment: Assignment,
    features: Collection[str] | None,
) -> list[Warning]:
    """Warns of a target whose products of bytes may have saturated (answers/saturation.py).

    It says so where three things meet: the processor, of which `features` are known, lacks VNNI;
    the file has weights that are large enough; and the answers are not as precise as they are on a
    processor that has it. That is: they are refuted, or, of a file that is judged by its own
    oracle, coarser than float32, since the oracle holds the rounding to int8 already.
    """
    file = target.variant or assignment
    if target.spec.provider != PROVIDER or not file.saturable or record.verdict is None:
        return []
    if not saturates(features or ()) or not _coarse(record.verdict, own=target.variant is None):
        return []
    counts = ", ".join(f"{count} {name}" for name, count in sorted(file.saturable.items()))
    weights = "with weights of more than 7 bits, on a processor without VNNI"
    detail = f"{target.label}: {counts} {weights}"
    return [Warning(kind=WarningKind.SATURATES, detail=detail)]


def _coarse(verdict: Verdict, *, own: bool) -> bool:
    finest = {output.names[0] for output in verdict.outputs}
    return verdict.refuted or (own and finest != {"float32"})
