"""Computes how fast one target was at one case, from the blocks and samples of its record."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from toolkit.measure.stats import Missing, median_interval, percentile, samples_needed
from toolkit.records.schema import Case, Run, Series, TargetRecord
from toolkit.report.view import Quantiles, Samples, Speed, Trace, spread
from toolkit.tensors import Array

NS = 1e-9
"""Seconds in a nanosecond: the unit of a record's blocks and samples."""
# Beyond p50, which any number of calls carries; p99.9 needs 6,636 calls (stats.samples_needed).
PERCENTILES = {"p90": 0.9, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}
POINTS = 160
"""The most points that a curve over time may have."""
ALL_POINTS = 2400
"""The most points that all curves of one kind may have: a page stays under 2 MB for any run."""
CURVE = 80
"""Points of a quantile curve: one half for the calls up to p90, one for the tail."""
BATCHES = ("batch", "batch_size", "N", "n")
"""Names that exporters give to the dimension of the rows."""


def speed(run: Run, record: TargetRecord, case: int, samples: Samples | None) -> Speed | None:
    """Sums up a target at one case, over the process starts that count; None where none does.

    Without samples there are no quantiles.
    """
    times = record.timing(case)
    series = _counted(run, times.series) if times else []
    medians = [float(np.median(start.medians)) * NS for start in series]
    p50 = spread(medians)
    if times is None or p50 is None:
        return None
    # From means, not medians: who makes many calls pays for the slow ones too.
    rates = [1 / (float(np.mean(start.means)) * NS) for start in series]
    most = min(CURVE, points(run))
    return Speed(
        p50=p50,
        starts=len(series),
        rounds=max(len(start.medians) for start in series),
        calls=times.calls,
        empty=times.empty * NS,
        within=median_interval(medians, run.plan.alpha),
        rate=float(np.median(rates)),
        rates=median_interval(rates, run.plan.alpha),
        rows=batch(run.plan.cases[case]),
        quantiles=quantiles(gathered(samples, record.target, case, series), most)
        if samples
        else None,
        trace=trace(series, points(run)),
        into=spread([copied * NS for copied in times.into]),
        out=spread([copied * NS for copied in times.out]),
    )


def _counted(run: Run, series: Sequence[Series]) -> list[Series]:
    """The series with blocks, of the process starts that count."""
    known = set(run.counted_starts)
    return [start for start in series if start.generation in known and start.medians]


def batch(case: Case) -> int:
    """The rows that one call works on: the size of the dimension named in BATCHES, else 1."""
    # A record is untrusted, and no call works on less than a row.
    return max(1, next((case.dims[name] for name in BATCHES if name in case.dims), 1))


def gathered(samples: Samples, target: int, case: int, series: Sequence[Series]) -> Array:
    """All calls of a target at a case: int64 nanoseconds, (calls,)."""
    keys = [f"{target}/{case}/{start.generation}" for start in series]
    blocks = [np.ravel(samples[key]) for key in keys if key in samples]
    return np.concatenate(blocks) if blocks else np.zeros(0, np.int64)


def quantiles(calls: Array, most: int = CURVE) -> Quantiles | None:
    """The distribution up to the last percentile that so many calls carry; None without calls.

    `calls`: nanoseconds, (calls,). The curve has at most `most` points.
    """
    if not calls.size:
        return None
    latencies = {name: percentile(calls, share) for name, share in PERCENTILES.items()}
    carried = {
        name: latency * NS
        for name, latency in latencies.items()
        if not isinstance(latency, Missing)
    }
    # The median is carried by any number of calls.
    last = max((PERCENTILES[name] for name in carried), default=0.5)
    shares = shares_up_to(last, most)
    curve = np.quantile(calls, shares) * NS
    return Quantiles(
        calls=int(calls.size),
        curve=tuple(zip(shares.tolist(), curve.tolist(), strict=True)),
        percentiles=carried,
        missing={
            name: samples_needed(share)
            for name, share in PERCENTILES.items()
            if name not in carried
        },
    )


def shares_up_to(last: float, most: int) -> Array:
    """The shares at which a curve is drawn: even up to p90, from there closer and closer to 1.

    (points,), float64, ascending, at most `most` of them.
    """
    body = np.linspace(0, min(last, 0.9), most - most // 2)
    # Even in the number of nines, which is the plot's axis: 1 is p90, 2 is p99.
    tail = 1 - 10.0 ** -np.linspace(1, max(1.0, -np.log10(1 - last)), most // 2)
    return np.unique(np.concatenate([body, tail]).clip(0, last))


def points(run: Run) -> int:
    """The number of points that a curve may have in this run; at least 2."""
    curves = len(run.plan.targets) * len(run.plan.cases)
    return max(2, min(POINTS, ALL_POINTS // max(1, curves)))


def trace(series: Sequence[Series], most: int) -> Trace:
    """Thins block medians over time to about `most` points.

    Neighbours within one process start become one point, by their medians: a point of two process
    starts would hide that each has its own speed.
    """
    # -(-a // b) rounds up.
    step = max(1, -(-len(series) // most))  # More starts than points: every so-many-th.
    kept = series[::step]
    groups = max(1, most // len(kept))
    at: list[float] = []
    latency: list[float] = []
    generation: list[int] = []
    for start in kept:
        parts = min(groups, len(start.medians))
        for times, medians in zip(
            np.array_split(start.starts, parts), np.array_split(start.medians, parts), strict=True
        ):
            at.append(float(np.median(times)))
            latency.append(float(np.median(medians)) * NS)
            generation.append(start.generation)
    return Trace(tuple(at), tuple(latency), tuple(generation))
