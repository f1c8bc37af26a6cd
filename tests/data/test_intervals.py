"""Intervals: held against definitions that are computed otherwise."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from toolkit.data import intervals
from toolkit.data.intervals import Estimate


def likelihood(lost: int, won: int, count: int, drop: float) -> float:
    """The largest log-likelihood of the counts where the drop is given, by trying all chances of
    `won`: what Tango's formula solves."""
    chances = np.linspace(max(0.0, -drop), (1 - drop) / 2, 200_001)[1:-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = (
            lost * np.log(chances + drop)
            + won * np.log(chances)
            + (count - lost - won) * np.log(1 - 2 * chances - drop)
        )
    return float(chances[np.nanargmax(logs)])


@pytest.mark.parametrize(
    ("lost", "won", "count"), [(3, 1, 44), (40, 12, 1000), (0, 6, 200), (25, 25, 100)]
)
def test_both_ends_of_tangos_interval_are_where_its_score_test_ends(
    lost: int, won: int, count: int
) -> None:
    found = intervals.tango(lost, won, count, 0.05)

    for drop in (found.low, found.high):
        chance = likelihood(lost, won, count, drop)
        variance = count * (2 * chance + drop * (1 - drop))
        score = abs(lost - won - count * drop) / math.sqrt(variance)
        assert score == pytest.approx(1.959964, rel=2e-3)


def test_where_no_example_differs_the_interval_is_as_wide_as_so_many_can_tell() -> None:
    found, p = intervals.of_shares(0, 0, 1000, 0.05)

    assert p == 1.0
    assert found.middle == 0
    assert found.high == pytest.approx(1.96**2 / (1000 + 1.96**2), rel=1e-3)
    assert found.low == -found.high


def test_a_drop_is_there_only_where_mcnemars_exact_test_says_so() -> None:
    """Five of five are 6 %: the score interval alone would leave out 0."""
    alone = intervals.tango(5, 0, 1000, 0.05)
    both, p = intervals.of_shares(5, 0, 1000, 0.05)

    assert alone.low > 0
    assert p == 0.0625
    assert both.low == 0
    assert not both.excludes_zero


def test_mcnemar_is_the_chance_of_so_uneven_tosses_of_a_coin() -> None:
    tosses = list(itertools.product((0, 1), repeat=8))
    as_uneven = [each for each in tosses if abs(2 * sum(each) - 8) >= abs(2 * 1 - 8)]

    assert intervals.mcnemar(1, 7) == pytest.approx(len(as_uneven) / len(tosses))


def mean(rows: np.ndarray, weights: np.ndarray | None) -> float:
    return float(np.average(rows[:, 0], weights=weights))


def difference(old: np.ndarray, new: np.ndarray) -> Estimate:
    changes = np.abs(new - old)[:, 0]
    return intervals.of_difference(old, new, lambda a, b: a - b, mean, changes, 0.05, 0)


def test_the_bootstrap_of_a_mean_is_as_wide_as_its_standard_error() -> None:
    rows = np.random.default_rng(0).normal(size=(400, 1))

    found = intervals.of_statistic(rows, mean, 0.05, 0)

    half = 1.966 * rows.std(ddof=1) / math.sqrt(400)
    assert found.high - found.middle == pytest.approx(half, rel=0.1)


@pytest.mark.parametrize(("count", "shown"), [(3, False), (5, False), (12, True)])
def test_a_few_examples_that_differ_alike_show_no_difference(count: int, shown: bool) -> None:
    """Three of one sign are a coin that fell thrice on one side: 25 %."""
    old = np.zeros((5000, 1))
    new = old.copy()
    new[:count] = 1

    assert difference(old, new).excludes_zero is shown


def test_examples_that_are_all_the_same_have_no_difference_and_no_width() -> None:
    rows = np.random.default_rng(0).normal(size=(50, 1))

    assert difference(rows, rows.copy()) == Estimate(0.0, 0.0, 0.0)


def test_one_example_that_differs_more_than_all_others_is_no_interval() -> None:
    old = np.random.default_rng(0).normal(size=(100, 1))
    new = old + 1e-12
    new[0] += 5

    assert difference(old, new).high == math.inf
