"""Tests what the runs on planted truths are summed up to."""

from __future__ import annotations

import math
from typing import Any

import pytest

from benchmarks import trust


def line(kind: str, ratio: float, half_width: float = 0.005, starts: int = 10) -> dict[str, Any]:
    """The line of a run that came out so. Its starts lie evenly about its ratio."""
    middle = math.log(ratio)
    low, high = math.exp(middle - half_width), math.exp(middle + half_width)
    return {
        "kind": kind,
        "planted": trust.KINDS[kind].slower,
        "effects": [middle + 0.001 * (start - (starts - 1) / 2) for start in range(starts)],
        "ratio": ratio,
        "low": low,
        "high": high,
        "different": low > 1 or high < 1,
    }


def test_a_false_difference_counts_on_either_side() -> None:
    row = trust.row("A/A", [line("A/A", ratio) for ratio in (1.0, 1.001, 1.01, 0.99)])
    assert (row.different.count, row.different.of) == (2, 4)
    assert row.covered.count == 2
    assert row.half_width == pytest.approx(0.005)
    assert row.starts == 10


def test_a_planted_difference_counts_on_its_side_only() -> None:
    row = trust.row("2 %", [line("2 %", ratio) for ratio in (1.02, 1.002, 0.98)])
    assert (row.different.count, row.different.of) == (1, 3)


def test_the_spread_is_that_of_the_log_ratio() -> None:
    row = trust.row("A/A", [line("A/A", math.exp(log)) for log in (-0.01, 0.0, 0.01)])
    assert row.spread == pytest.approx(0.01)


def test_planted_runs_are_held_against_the_ratio_of_all_their_starts() -> None:
    row = trust.row("2 %", [line("2 %", ratio) for ratio in (1.018, 1.02, 1.022, 1.05)])
    assert row.truth is not None
    assert row.truth.estimate == pytest.approx(1.0225, abs=0.003)
    assert row.covered.count == 3


def test_a_large_shift_of_resampled_runs_is_always_found() -> None:
    same = [line("A/A", ratio) for ratio in (0.999, 1.0, 1.001)]
    assert trust.drawn("5 %", same, 0.05).found == 1.0


def test_resampled_runs_find_little_of_a_shift_below_their_interval() -> None:
    same = [line("A/A", ratio) for ratio in (0.999, 1.0, 1.001)]
    drawn = trust.drawn("tiny", same, 0.0005)
    assert 0.02 < drawn.found < 0.5
    assert drawn.half_width > 0.0005


def test_a_goal_is_missed_where_the_rate_excludes_it() -> None:
    same = trust.row("A/A", [line("A/A", ratio) for ratio in [1.0] * 10 + [1.02] * 10])
    planted = trust.row("3 %", [line("3 %", 1.03), line("3 %", 1.031)])
    reached = {goal.text: goal.reached for goal in trust.goals([same, planted])}
    assert reached == {
        "false differences ≤ 5 %: 10 of 20 (27.2 to 72.8 %)": False,
        "standard deviation of the A/A ratio ≤ 0.5 %: 1.02%": False,
        "half-width ≤ 1 %: ±0.50%": True,
        "3 % found in ≥ 100 %: 2 of 2 (15.8 to 100.0 %)": True,
    }


def test_the_text_has_a_line_for_each_kind_and_says_what_was_refused() -> None:
    lines = [line(kind, 1 + trust.KINDS[kind].slower) for kind in ("A/A", "2 %") for _ in range(2)]
    text = trust.markdown([*lines, {"kind": "2 %", "refused": "too short"}])
    heads = [row.split(" | ")[0] for row in text.splitlines() if row.startswith("|")]
    assert heads[2:] == ["| A/A", "| 2 %"]
    assert "5 % found in 100.0%" in text
    assert "tried again later: 1 of 2 %." in text
