from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from toolkit.measure import stats
from toolkit.measure.stats import Missing, Outcome, median_interval
from toolkit.units import THIN


def plain(text: str) -> str:
    return text.replace(THIN, " ")


@pytest.mark.parametrize("n", [1, 2, 5, 8, 12])
def test_the_tail_is_that_of_all_sign_assignments(n: int) -> None:
    sums = [
        sum(rank for rank, sign in enumerate(signs, 1) if sign)
        for signs in itertools.product([0, 1], repeat=n)
    ]
    counts = np.bincount(sums, minlength=n * (n + 1) // 2 + 1)
    assert stats.signed_rank_tail(n) == pytest.approx(np.cumsum(counts) / 2**n, abs=1e-14)


@pytest.mark.parametrize(
    ("n", "alpha", "expected"),
    # Hollander and Wolfe, table A.4: P(T ≤ 8) = 0.0244 and P(T ≤ 9) = 0.0322 for n = 10.
    [
        (10, 0.05, 8),
        (10, 0.04, 7),
        (6, 0.05, 0),
        (6, 2 / 64, 0),
        (5, 0.05, None),
        (20, 0.05, 52),
        (0, 0.05, None),
    ],
)
def test_the_critical_value_is_the_one_in_the_tables(
    n: int, alpha: float, expected: int | None
) -> None:
    assert stats.critical_value(n, alpha) == expected


def test_the_interval_is_made_of_walsh_averages() -> None:
    effects = [0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09, 0.10]
    walsh = sorted((a + b) / 2 for i, a in enumerate(effects) for b in effects[i:])
    interval = stats.hodges_lehmann(effects, 0.05)
    assert interval is not None
    assert math.log(interval.estimate) == pytest.approx(0.055)
    assert math.log(interval.low) == pytest.approx(walsh[8])
    assert math.log(interval.high) == pytest.approx(walsh[-9])
    assert interval.n == 10


def test_a_negative_effect_is_a_faster_target() -> None:
    interval = stats.hodges_lehmann([-math.log(2)] * 10, 0.05)
    assert interval is not None
    assert interval.estimate == pytest.approx(0.5)
    assert interval.excludes_one


@pytest.mark.parametrize("n", [0, 1, 5])
def test_fewer_than_six_generations_have_no_interval(n: int) -> None:
    assert stats.hodges_lehmann([0.1] * n, 0.05) is None
    # A generous alpha would allow five.
    assert stats.hodges_lehmann([0.1] * n, 0.5) is None


def test_an_alpha_out_of_reach_has_no_interval() -> None:
    assert stats.hodges_lehmann([0.1] * 6, 0.01) is None


def test_the_interval_covers_as_often_as_it_says() -> None:
    from scipy.stats import binom

    random = np.random.default_rng(1)
    runs = random.normal(0, 0.012, size=(2000, 10))
    intervals = [stats.hodges_lehmann(list(run), 0.05) for run in runs]
    false = sum(interval is not None and interval.excludes_one for interval in intervals)
    # Exact level at n = 10: 2 · 25 / 1024 = 4.9 %.
    assert binom.ppf(0.0005, 2000, 0.0488) <= false <= binom.ppf(0.9995, 2000, 0.0488)


def test_an_outlier_moves_the_estimate_little() -> None:
    effects = [0.01, 0.011, 0.009, 0.0105, 0.0095, 0.01, 0.0102, 0.0098, 0.01, 0.6]
    interval = stats.hodges_lehmann(effects, 0.05)
    assert interval is not None
    assert interval.estimate == pytest.approx(math.exp(0.01), abs=5e-4)


def test_the_p_value_is_the_exact_one() -> None:
    from scipy.stats import wilcoxon

    random = np.random.default_rng(2)
    for n in (6, 9, 14, 25):
        effects = list(random.normal(0.004, 0.012, n))
        expected = wilcoxon(effects, method="exact").pvalue
        assert stats.signed_rank_p(effects) == pytest.approx(expected)


@pytest.mark.parametrize("ties", [False, True], ids=["no ties", "ties and zeros"])
def test_the_p_value_and_the_interval_never_contradict_each_other(ties: bool) -> None:
    random = np.random.default_rng(3)
    for _ in range(400):
        effects = list(random.normal(0.008, 0.012, 12))
        effects = [round(e, 2) for e in effects] if ties else effects
        interval = stats.hodges_lehmann(effects, 0.05)
        assert interval is not None
        assert (stats.signed_rank_p(effects) <= 0.05) == interval.excludes_one


def test_no_difference_at_all_is_no_evidence() -> None:
    assert stats.signed_rank_p([0.0] * 10) == 1.0


def test_holm_multiplies_by_what_is_left_and_never_falls() -> None:
    assert stats.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert stats.holm([0.9, 0.8]) == [1.0, 1.0]
    assert stats.holm([]) == []


def test_each_word_for_a_pair() -> None:
    steady = [0.0001 * i for i in range(-5, 6)]
    pairs = [
        [0.05 + e for e in steady],
        [0.004 + e for e in steady],
        [10 * e for e in steady],
        steady[:5],
    ]
    assert [plain(c.words) for c in stats.compare(pairs, 0.05)] == [
        "different",
        "different, by less than 1 %",
        "no difference found; one of up to 0.25 % could be hidden",
        "not enough process starts: no interval",
    ]


def test_a_target_without_an_interval_still_has_a_ratio() -> None:
    (pair,) = stats.compare([[math.log(2)] * 3], 0.05)
    assert pair.ratio == pytest.approx(2.0)
    assert (pair.interval, pair.p) == (None, None)


def test_one_of_many_pairs_needs_more_evidence_than_one_alone() -> None:
    random = np.random.default_rng(0)
    same = [list(random.normal(0, 0.012, 10)) for _ in range(15)]
    shifted = [-0.001, 0.002, 0.012, 0.01, 0.009, 0.011, 0.013, 0.008, 0.014, 0.007]
    (alone,) = stats.compare([shifted], 0.05)
    assert alone.outcome is Outcome.DIFFERENT
    among = stats.compare([shifted, *same], 0.05)[0]
    assert among.interval == alone.interval
    assert plain(among.words) == (
        "no difference found among 16 pairs; one of up to 1.2 % could be hidden"
    )


def test_so_few_process_starts_that_no_pair_could_be_told_apart_are_said_to_be_too_few() -> None:
    """Seven give a p of 1/64 at best, which four pairs together do not stand."""
    far = [math.log(0.1) + 0.01 * step for step in range(8)]
    same = [0.01, -0.02, 0.03, -0.01, 0.02, -0.03, 0.015, -0.015]
    seven = stats.compare([far[:7]] * 3 + [same[:7]], 0.05)
    assert [one.outcome for one in seven] == [Outcome.UNDECIDABLE] * 3 + [Outcome.NOT_SHOWN]
    assert plain(seven[0].words) == "not decided: 7 process starts are too few for 4 pairs"
    eight = stats.compare([far] * 3 + [same], 0.05)
    assert [one.outcome for one in eight] == [Outcome.DIFFERENT] * 3 + [Outcome.NOT_SHOWN]
    assert stats.starts_needed(4, 0.05) == 8


def test_holm_keeps_false_differences_of_a_whole_run_under_alpha() -> None:
    from scipy.stats import binom

    random = np.random.default_rng(4)
    runs = [[list(random.normal(0, 0.012, 10)) for _ in range(8)] for _ in range(300)]
    wrong = sum(
        any(c.outcome is Outcome.DIFFERENT for c in stats.compare(run, 0.05)) for run in runs
    )
    assert wrong <= binom.ppf(0.999, 300, 0.05)


def test_the_effect_is_the_median_of_paired_ratios() -> None:
    # The machine is twice as slow in the second half: the pairs do not see it.
    base = [4.0, 4.0, 4.0, 8.0, 8.0]
    target = [5.0, 5.0, 5.0, 10.0, 80.0]
    assert stats.effect(base, target) == pytest.approx(math.log(1.25))


@pytest.mark.parametrize(("base", "target"), [([1.0], [1.0, 2.0]), ([], [])])
def test_blocks_without_a_partner_are_refused(base: list[float], target: list[float]) -> None:
    with pytest.raises(ValueError, match=r"blocks of the baseline, \d of the target"):
        stats.effect(base, target)


@pytest.mark.parametrize(
    ("q", "confidence", "needed"),
    # MLPerf's early stopping; 662 is the number in MLCommons' inference rules.
    [
        (0.9, 0.95, 46),
        (0.9, 0.99, 64),
        (0.95, 0.95, 93),
        (0.95, 0.99, 130),
        (0.99, 0.95, 473),
        (0.99, 0.99, 662),
        (0.999, 0.95, 4742),
        (0.999, 0.99, 6636),
    ],
)
def test_the_samples_that_a_percentile_needs(q: float, confidence: float, needed: int) -> None:
    from scipy.stats import binom

    assert stats.samples_needed(q, confidence) == needed
    assert binom.cdf(1, needed, 1 - q) <= 1 - confidence
    assert binom.cdf(1, needed - 1, 1 - q) > 1 - confidence


def test_a_percentile_that_is_not_carried_says_how_many_are_missing() -> None:
    assert stats.percentile(list(range(600)), 0.99) == Missing(62)
    assert stats.percentile(list(range(662)), 0.99) == pytest.approx(0.99 * 661)
    assert stats.percentile([], 0.5) == Missing(1)
    assert stats.percentile(np.array([3, 1, 2]), 0.5) == 2


def test_the_shift_of_two_samples_has_the_exact_rank_sum_interval() -> None:
    """Against scipy's exact test: 0 lies outside the interval exactly where p is below alpha."""
    from scipy.stats import mannwhitneyu

    draw = np.random.default_rng(8)
    for _ in range(300):
        first = draw.normal(size=9).tolist()
        second = (draw.normal(size=9) + draw.normal()).tolist()
        found = stats.shift(first, second, 0.05)
        p = mannwhitneyu(first, second, method="exact").pvalue
        assert found is not None
        assert found.excludes_one == (p <= 0.05)


def test_a_shift_needs_six_process_starts_of_both() -> None:
    assert stats.shift([0.0] * 5, [0.1] * 40, 0.05) is None
    found = stats.shift([0.0] * 6, [0.1] * 6, 0.05)
    assert found is not None
    assert found.estimate == pytest.approx(math.exp(0.1))


@pytest.mark.parametrize(("count", "alpha"), [(6, 0.05), (10, 0.05), (14, 0.04), (80, 0.04)])
def test_the_interval_of_a_median_covers_it_for_a_skewed_distribution(
    count: int, alpha: float
) -> None:
    """Slow and fast states: exponential times, of which the median is log 2."""
    drawn = np.random.default_rng(5).exponential(size=(2000, count))
    intervals = [median_interval(row.tolist(), alpha) for row in drawn]
    covered = [low <= math.log(2) <= high for low, high in filter(None, intervals)]
    assert len(covered) == len(drawn)
    assert np.mean(covered) >= 1 - alpha - 0.012  # Three standard errors of 2,000 draws.
    # It is no wider than it has to be: the next pair of values inside would cover too little.
    narrower = [np.sort(row)[1:-1] for row in drawn] if count == 6 else []
    assert not narrower or np.mean([row[0] <= math.log(2) <= row[-1] for row in narrower]) < 0.95


def test_too_few_values_have_no_interval_of_their_median() -> None:
    assert median_interval([1.0] * 5, 0.05) is None
    assert median_interval([1.0] * 7, 0.001) is None
    # Nor does a record of more process starts than a float holds cases end in an overflow.
    assert median_interval([float(n) for n in range(2000)], 0.05) == (955.0, 1044.0)
