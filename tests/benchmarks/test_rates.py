"""Tests the bounds of a rate."""

from __future__ import annotations

import pytest

from benchmarks.rates import rate


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    # Of no or all of ten: 1 - 0.025 ** (1 / 10) = 0.3085. The others are in every table.
    [
        (0, 10, 0.0, 0.3085),
        (10, 10, 0.6915, 1.0),
        (5, 10, 0.1871, 0.8129),
        (1, 20, 0.0013, 0.2487),
        (3, 100, 0.0062, 0.0852),
    ],
)
def test_the_bounds_are_clopper_and_pearsons(count: int, of: int, low: float, high: float) -> None:
    happened = rate(count, of)
    assert (happened.count, happened.of) == (count, of)
    assert happened.low == pytest.approx(low, abs=5e-5)
    assert happened.high == pytest.approx(high, abs=5e-5)


def test_a_goal_counts_as_reached_unless_the_interval_excludes_it() -> None:
    happened = rate(5, 10)
    assert happened.at_most(0.19)
    assert not happened.at_most(0.18)
    assert happened.at_least(0.81)
    assert not happened.at_least(0.82)


def test_a_rate_says_of_how_many() -> None:
    assert rate(3, 100).text == "3 of 100 (0.6 to 8.5 %)"


def test_no_runs_have_no_rate() -> None:
    with pytest.raises(ValueError, match="no runs: no rate"):
        rate(0, 0)
