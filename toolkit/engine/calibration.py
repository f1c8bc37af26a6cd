"""Fixes the lengths of blocks and warm-ups by the first generation, for the whole run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from toolkit.engine.setup import Calibration, Calibrations, ReadyTarget
from toolkit.measure import steady
from toolkit.measure.schedule import Length
from toolkit.records.parts import GenerationPart
from toolkit.runtimes import listing
from toolkit.units import Seconds


def of_parts(parts: Sequence[GenerationPart]) -> Calibrations:
    """The calibrations of a run that goes on, from the generations that it has."""
    return {
        (target.target, case.case): Calibration(
            Length(case.calls, case.discarded), steady.later_span(target.steady_after or 0.0)
        )
        for part in reversed(parts)  # The first one counts: it looked longest.
        for target in part.targets
        for case in target.cases
    }


def levelled(calibrations: Calibrations, targets: Sequence[ReadyTarget]) -> Calibrations:
    """The calibrations of these targets, with one span for all of a runtime on a provider.

    They warm up as long as the one that needed longest: else the one whose first start happened to
    be slow would be the warmer one in all others, and of two equal targets one came out faster. A
    target that compiles while it runs may do so at any moment: it is looked at as long as in its
    first start. A target that failed starts in no other generation and is left out.
    """
    still = {target.index: target for target in targets}
    left = {place: known for place, known in calibrations.items() if place[0] in still}
    spans: dict[tuple[str, str, int], Seconds] = {}
    for (index, case), calibration in left.items():
        kind = _kind(still[index], case)
        spans[kind] = max(spans.get(kind, _shortest(still[index])), calibration.span)
    return {
        (index, case): replace(calibration, span=spans[_kind(still[index], case)])
        for (index, case), calibration in left.items()
    }


def _kind(target: ReadyTarget, case: int) -> tuple[str, str, int]:
    """The targets that warm up alike: (runtime, provider, case)."""
    return target.spec.entry.name, target.spec.provider, case


def _shortest(target: ReadyTarget) -> Seconds:
    """The shortest span of a target's later warm-ups."""
    provider = listing.provider(target.spec.entry, target.spec.provider)
    return steady.SPAN if provider.compiles_while_running else 0.0
