"""Tests latencies, distributions and curves over time."""

from __future__ import annotations

import numpy as np

from tests.report import runs
from tests.report.runs import Shape, make
from toolkit.report.speed import POINTS, quantiles, speed, trace
from toolkit.report.view import Speed


def first_speed(shape: Shape, *, samples: bool = True) -> Speed:
    """The speed of the first of two targets."""
    run, kept = make(runs.TWO, shape)
    first = speed(run, run.records[0], 0, kept if samples else None)
    assert first is not None
    return first


def test_p50_is_the_median_over_process_starts_with_their_range() -> None:
    run, _ = make(runs.TWO)
    series = run.records[0].timings[0].series
    medians = [float(np.median(start.medians)) * 1e-9 for start in series]
    p50 = first_speed(Shape()).p50
    assert (p50.middle, p50.low, p50.high) == (np.median(medians), min(medians), max(medians))


def test_percentiles_end_where_the_calls_do() -> None:
    distribution = first_speed(Shape(starts=7, rounds=10, calls=10)).quantiles
    assert distribution is not None
    assert distribution.calls == 700
    assert list(distribution.percentiles) == ["p90", "p95", "p99"]
    assert distribution.missing == {"p99.9": 6636}
    assert distribution.curve[-1][0] <= 0.99 + 1e-12
    assert distribution.curve[-1][1] == distribution.percentiles["p99"]


def test_very_few_calls_carry_the_median_only() -> None:
    distribution = quantiles(np.arange(20))
    assert distribution is not None
    assert distribution.percentiles == {}
    assert distribution.curve[-1] == (0.5, 9.5e-9)


def test_without_samples_there_is_no_distribution() -> None:
    assert first_speed(Shape(), samples=False).quantiles is None


def test_the_rate_is_the_median_over_process_starts_of_that_of_the_mean_call() -> None:
    _, samples = make(runs.TWO)
    rates = sorted(1e9 / block.mean() for key, block in samples.items() if key[:2] == "0/")
    speed = first_speed(Shape())
    assert np.isclose(speed.rate, np.median(rates), rtol=1e-3)
    # Of 14 starts the third from each end, at 4 %: at most 2 lie above with a chance of 0.65 %.
    assert speed.rates is not None
    assert np.allclose(speed.rates, (rates[2], rates[-3]), rtol=1e-3)


def test_without_six_process_starts_neither_rate_nor_p50_has_an_interval() -> None:
    speed = first_speed(Shape(starts=5))
    assert (speed.rates, speed.within) == (None, None)


def test_a_curve_over_time_has_few_points_and_every_process_start() -> None:
    run, _ = make(runs.TWO, Shape(starts=80, rounds=50, calls=5))
    curve = trace(run.records[0].timings[0].series, POINTS)
    assert 80 <= len(curve.at) <= POINTS
    assert set(curve.generation) == set(range(80))
    assert list(curve.at) == sorted(curve.at)
