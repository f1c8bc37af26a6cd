"""What a reader of a run must know besides its numbers: found from the record, at its end."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np

from toolkit.measure import disturbance, steady
from toolkit.measure.disturbance import Observed, Rounds
from toolkit.records.schema import Generation, Run, TargetRecord, Timing, Warning, WarningKind
from toolkit.units import Seconds, duration, percent

TIMER_SHARE = 0.02
"""Of the latency that an empty interval may take without a word."""
BINDING: Seconds = 100e-6
"""Below it the Python bindings' own 1.4 to 4 µs a call are 1.4 to 4 % and more."""
LONG_CALL: Seconds = 1e-3
"""From here on more threads may pay."""


def with_warnings(run: Run) -> Run:
    """The run with its warnings and those of every target."""
    records = [_with_own(run, record) for record in run.records]
    return msgspec.structs.replace(
        run, records=records, warnings=[*run.warnings, *_of_the_run(run)]
    )


def _with_own(run: Run, record: TargetRecord) -> TargetRecord:
    found = [w for timing in record.timings for w in _of_a_timing(run, timing)]
    return msgspec.structs.replace(record, warnings=[*record.warnings, *found])


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
    """One runtime in two versions, and nobody asked for that: a ratio of its rows mixes them."""
    found: dict[str, set[str]] = {}
    for record in run.records:
        named = "@" in run.plan.targets[record.target].name.partition(":")[0]
        if record.library is not None and not named:
            found.setdefault(record.library.runtime, set()).add(record.library.version)
    for runtime, versions in found.items():
        if len(versions) > 1:
            detail = f"{runtime} {' and '.join(sorted(versions))}"
            yield Warning(kind=WarningKind.MIXED_VERSIONS, detail=detail)


def _bindings(run: Run) -> Iterator[Warning]:
    """Two ways into a runtime differ by microseconds: said where a call is as short as that."""
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
    """Nanoseconds; 0 where nothing was measured."""
    medians = [median for series in timing.series for median in series.medians]
    return float(np.median(medians)) if medians else 0.0


def _longest(run: Run) -> float:
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
    """Those in which a target's threads waited for their core."""
    waited: dict[tuple[int, int], bool] = {}
    for record in run.records:
        for timing in record.timings:
            for one in timing.series:
                blocks = zip(one.waited, one.means, strict=False)  # Older records have no waits.
                for number, (wait, mean) in enumerate(blocks):
                    place = one.generation, number
                    held = wait > disturbance.WAITED * timing.calls * mean / 1e9
                    waited[place] = waited.get(place, False) or held
    return Rounds(sum(waited.values()), len(waited))


def _on_gpu(run: Run) -> bool:
    return any(g.devices for g in run.generations)


def _throttled(generation: Generation) -> dict[str, None]:
    """Each reason once."""
    return dict.fromkeys(reason for device in generation.devices for reason in device.throttled)
