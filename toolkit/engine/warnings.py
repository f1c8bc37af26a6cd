"""Finds in the record of a finished run what its reader must know besides the numbers."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np

from toolkit.measure import disturbance, steady
from toolkit.measure.disturbance import Observed, Rounds
from toolkit.records.schema import (
    Generation,
    Run,
    Series,
    TargetRecord,
    Timing,
    Warning,
    WarningKind,
)
from toolkit.units import Seconds, duration, percent

TIMER_SHARE = 0.02
"""The share of a latency that an empty interval may take without a word: 50 ns of 2.5 µs."""
BINDING: Seconds = 100e-6
"""Below it the Python bindings' own 1.4 to 4 µs a call are 1.4 to 4 % and more."""
LONG_CALL: Seconds = 1e-3
"""The latency from which on the hint to try more threads is given."""


def with_warnings(run: Run) -> Run:
    """The run with its warnings and those of every target."""
    records = [_with_own(run, record) for record in run.records]
    return msgspec.structs.replace(
        run, records=records, warnings=[*run.warnings, *_of_the_run(run)]
    )


def _with_own(run: Run, record: TargetRecord) -> TargetRecord:
    own = [warning for timing in record.timings for warning in _of_a_timing(run, timing)]
    return msgspec.structs.replace(record, warnings=[*record.warnings, *own])


def _of_a_timing(run: Run, timing: Timing) -> Iterator[Warning]:
    case = run.plan.cases[timing.case].name
    latency = _latency(timing)
    if latency and timing.empty / latency > TIMER_SHARE:
        share = percent(timing.empty / latency)
        yield Warning(
            kind=WarningKind.TIMER_SHARE,
            detail=f"at {case} {timing.empty:.0f} ns of each call are the clock's, {share}",
        )
    slower = steady.slower_at_first([series.medians for series in timing.series])
    if slower is not None:
        yield Warning(
            kind=WarningKind.LATE_WARM_UP,
            detail=f"at {case} the first third of each process start was "
            f"{percent(slower.estimate - 1)} slower than the last",
        )


def _of_the_run(run: Run) -> Iterator[Warning]:
    if made_up := [t.label for t in run.plan.targets if t.runtime == "fake"]:
        yield Warning(kind=WarningKind.MADE_UP, detail=", ".join(made_up))
    yield from _versions(run)
    yield from _bindings(run)
    if any(set(g.cores) & set(g.driver) for g in run.generations):
        yield Warning(
            kind=WarningKind.ONE_CORE,
            detail=f"the targets' threads have all of the {len(run.machine.allowed)} cores that "
            "this process may use, and the parent is on one of them",
        )
    if all(target.threads == 1 for target in run.plan.targets) and _longest(run) > LONG_CALL * 1e9:
        yield Warning(
            kind=WarningKind.TRY_THREADS,
            detail=f"a call takes up to {duration(_longest(run) / 1e9)} on one thread",
        )
    for line in disturbance.verdict(_observed(run)) if run.generations else []:
        yield Warning(kind=WarningKind.NOISY, detail=line)


def _versions(run: Run) -> Iterator[Warning]:
    """Warns of a runtime in two versions that nobody asked for: a ratio of its rows mixes them."""
    versions: dict[str, set[str]] = {}
    for record in run.records:
        is_asked = "@" in run.plan.targets[record.target].name.partition(":")[0]
        if record.library is not None and not is_asked:
            versions.setdefault(record.library.runtime, set()).add(record.library.version)
    for runtime, several in versions.items():
        if len(several) > 1:
            detail = f"{runtime} {' and '.join(sorted(several))}"
            yield Warning(kind=WarningKind.MIXED_VERSIONS, detail=detail)


def _bindings(run: Run) -> Iterator[Warning]:
    """Warns where calls are so short that the microseconds of two bindings tell in their ratio."""
    ways = {
        (target.runtime, target.options.get("io", ""))
        for record in run.records
        if record.timings
        for target in [run.plan.targets[record.target]]
    }
    latencies = [_latency(t) for record in run.records for t in record.timings if t.series]
    if len(ways) > 1 and latencies and min(latencies) < BINDING * 1e9:
        yield Warning(
            kind=WarningKind.BINDING_SHARE,
            detail=f"calls of {duration(min(latencies) / 1e9)} through {len(ways)} bindings",
        )


def _latency(timing: Timing) -> float:
    """The median of the blocks' medians in nanoseconds; 0 where nothing was measured."""
    medians = [median for series in timing.series for median in series.medians]
    return float(np.median(medians)) if medians else 0.0


def _longest(run: Run) -> float:
    """The longest latency of a target, in nanoseconds."""
    return max((_latency(t) for record in run.records for t in record.timings), default=0.0)


def _observed(run: Run) -> Observed:
    frequencies = [float(np.mean(g.frequency)) for g in run.generations if g.frequency]
    workers = max(len(g.cores) for g in run.generations)
    spare = len(run.machine.allowed) - workers - 1
    return Observed(
        steal=[float(g.steal) for g in run.generations],
        others=[float(g.others) for g in run.generations],
        frequency=frequencies,
        spare=max(0, spare),
        seconds=run.generations[-1].ended,
        busy=[g.busy for g in run.generations],
        rounds=_rounds(run),
        devices=[[*_throttled(g)] for g in run.generations] if _on_gpu(run) else (),
    )


def _rounds(run: Run) -> Rounds:
    """Counts the rounds in which a target's threads waited for their core, and all rounds."""
    seen: set[tuple[int, int]] = set()
    disturbed: set[tuple[int, int]] = set()
    for record in run.records:
        for timing in record.timings:
            for series in timing.series:
                rounds = _waits(series, timing.calls)
                seen |= {(series.generation, number) for number in rounds}
                disturbed |= {
                    (series.generation, number) for number, held in rounds.items() if held
                }
    return Rounds(len(disturbed), len(seen))


def _waits(series: Series, calls: int) -> dict[int, bool]:
    """Round → whether the threads waited for a telling share of its block."""
    blocks = zip(series.waited, series.means, strict=False)  # Older records have no waits.
    return {
        number: wait > disturbance.WAITED * calls * mean / 1e9
        for number, (wait, mean) in enumerate(blocks)
    }


def _on_gpu(run: Run) -> bool:
    return any(g.devices for g in run.generations)


def _throttled(generation: Generation) -> dict[str, None]:
    """The reasons why its GPUs' clocks were held down, each once."""
    return dict.fromkeys(reason for device in generation.devices for reason in device.throttled)
