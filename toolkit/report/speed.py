"""How fast one target was at one case, from the blocks and the samples of its record."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from toolkit.measure.stats import Missing, percentile, samples_needed
from toolkit.records.schema import Case, Run, Series, TargetRecord
from toolkit.report.view import Quantiles, Samples, Speed, Trace, spread
from toolkit.tensors import Array

NS = 1e-9
PERCENTILES = {"p90": 0.9, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}
POINTS = 160
"""The most that a curve may have."""
ALL_POINTS = 2400
"""The most that all curves of one kind may have, so that a page stays small for any run."""
CURVE = 80
"""Points of a quantile curve: one half for the calls up to p90, one for the tail."""
BATCHES = ("batch", "batch_size", "N", "n")


def speed(run: Run, record: TargetRecord, case: int, samples: Samples | None) -> Speed | None:
    """None where no process start counts."""
    found = record.timing(case)
    known = set(run.counted_starts)
    series = [one for one in found.series if one.generation in known] if found else []
    series = [one for one in series if one.medians]
    p50 = spread([float(np.median(one.medians)) * NS for one in series])
    if found is None or p50 is None:
        return None
    return Speed(
        p50=p50,
        starts=len(series),
        rounds=max(len(one.medians) for one in series),
        calls=found.calls,
        empty=found.empty * NS,
        rate=1 / (float(np.mean([mean for one in series for mean in one.means])) * NS),
        rows=batch(run.plan.cases[case]),
        quantiles=quantiles(gathered(samples, record.target, case, series), min(CURVE, points(run)))
        if samples
        else None,
        trace=trace(series, points(run)),
        into=spread([one * NS for one in found.into]),
        out=spread([one * NS for one in found.out]),
    )


def batch(case: Case) -> int:
    """Rows that one call works on: the size of the dimension that is called so, else 1."""
    return next((case.dims[name] for name in BATCHES if name in case.dims), 1)


def gathered(samples: Samples, target: int, case: int, series: Sequence[Series]) -> Array:
    """All calls of a target at a case; nanoseconds, in one row."""
    keys = [f"{target}/{case}/{one.generation}" for one in series]
    blocks = [np.ravel(samples[key]) for key in keys if key in samples]
    return np.concatenate(blocks) if blocks else np.zeros(0, np.int64)


def quantiles(calls: Array, most: int = CURVE) -> Quantiles | None:
    """The distribution up to the last percentile that so many calls carry; None without calls."""
    if not calls.size:
        return None
    found = {name: percentile(calls, share) for name, share in PERCENTILES.items()}
    carried = {name: one * NS for name, one in found.items() if not isinstance(one, Missing)}
    last = max((PERCENTILES[name] for name in carried), default=0.5)
    shares = shares_up_to(last, most)
    latency = np.quantile(calls, shares) * NS
    return Quantiles(
        calls=int(calls.size),
        curve=tuple(zip(shares.tolist(), latency.tolist(), strict=True)),
        percentiles=carried,
        missing={
            name: samples_needed(share)
            for name, share in PERCENTILES.items()
            if name not in carried
        },
    )


def shares_up_to(last: float, most: int) -> Array:
    """Shares at which a curve is drawn: even up to p90, from there closer and closer."""
    body = np.linspace(0, min(last, 0.9), most - most // 2)
    tail = 1 - 10.0 ** -np.linspace(1, max(1.0, -np.log10(1 - last)), most // 2)
    return np.unique(np.concatenate([body, tail]).clip(0, last))


def points(run: Run) -> int:
    """How many points a curve over time may have in this run."""
    curves = len(run.plan.targets) * len(run.plan.cases)
    return max(2, min(POINTS, ALL_POINTS // max(1, curves)))


def trace(series: Sequence[Series], most: int) -> Trace:
    """Block medians over time, neighbours of one process start drawn together by their median."""
    step = max(1, -(-len(series) // most))  # more starts than points: every so-many-th
    shown = series[::step]
    groups = max(1, most // len(shown))
    at: list[float] = []
    latency: list[float] = []
    generation: list[int] = []
    for one in shown:
        many = min(groups, len(one.medians))
        for times, medians in zip(
            np.array_split(one.starts, many), np.array_split(one.medians, many), strict=True
        ):
            at.append(float(np.median(times)))
            latency.append(float(np.median(medians)) * NS)
            generation.append(one.generation)
    return Trace(tuple(at), tuple(latency), tuple(generation))
