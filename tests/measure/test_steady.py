from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from toolkit.measure import steady
from toolkit.measure.steady import WarmUp

Level = Callable[[float], float]
"""From the time since the warm-up began to the seconds that a call takes."""


def warm_up(
    level: Level, calls: int, *, noise: float = 0.01, seed: int = 0, limit: float = 20.0
) -> tuple[steady.State, float, WarmUp]:
    """Feeds a trace until it is decided: the state, when, and the warm-up."""
    random = np.random.default_rng(seed)
    warm, now = WarmUp(limit=limit), 0.0
    state: steady.State = "not yet"
    while state == "not yet":
        call = level(now)
        now += calls * call
        state = warm.add(call * math.exp(noise * random.standard_normal()), now)
    return state, now, warm


def flips(mean: float, seed: int) -> Level:
    """A machine with a fast and a slow state, each lasting `mean` seconds on average."""
    random = np.random.default_rng(seed)
    ends = np.cumsum(random.exponential(mean, size=int(100 / mean)))
    return lambda now: 3.7e-6 if np.searchsorted(ends, now) % 2 else 5.7e-6


def decay(call: float, tau: float) -> Level:
    """Twice as slow at first."""
    return lambda now: call * (1 + math.exp(-now / tau))


@pytest.mark.parametrize(
    ("call", "calls", "within"), [(4e-6, 250, 0.6), (0.1, 1, 0.7)], ids=["4 µs", "100 ms"]
)
def test_a_latency_that_is_steady_from_the_start_is_found_soon(
    call: float, calls: int, within: float
) -> None:
    state, when, warm = warm_up(lambda now: call, calls, noise=0.003)
    assert state == "steady"
    assert when < within
    assert warm.after == 0.0


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("mean", [0.002, 0.02, 0.2, 2.0])
def test_a_machine_with_two_states_is_steady(mean: float, seed: int) -> None:
    state, when, _ = warm_up(flips(mean, seed), 250, seed=seed)
    assert state == "steady"
    assert when < 2.0


@pytest.mark.parametrize("tau", [0.02, 0.1, 0.3, 1.0, 2.0])
def test_a_decay_has_ended_when_it_is_called_steady(tau: float) -> None:
    level = decay(4e-6, tau)
    state, when, warm = warm_up(level, 250, noise=0.003)
    assert state == "steady"
    assert level(when) / 4e-6 < 1.015
    # Near its level: between the times at which a decay from twice the latency is at 5 and at 3 %.
    assert 2.9 * tau < warm.after + 0.01
    assert warm.after < 4 * tau


def test_a_decay_of_slow_calls_has_ended_too() -> None:
    level = decay(0.1, 0.5)
    state, when, _ = warm_up(level, 1, noise=0.003)
    assert state == "steady"
    assert level(when) / 0.1 < 1.05


@pytest.mark.parametrize("at", [0.01, 0.1, 0.4])
def test_a_step_down_is_waited_for(at: float) -> None:
    state, when, warm = warm_up(lambda now: 20e-6 if now < at else 4e-6, 250)
    assert state == "steady"
    assert when > at
    assert warm.after == pytest.approx(at, abs=0.006)


def test_a_first_call_that_compiles_for_seconds_is_not_the_measure_of_the_rest() -> None:
    state, when, warm = warm_up(lambda now: 2.0 / 250 if now == 0 else 4e-6, 250)
    assert state == "steady"
    assert when < 2.6
    assert warm.after == pytest.approx(2.0)


@pytest.mark.parametrize("rate", [0.5, 2.0])
def test_a_latency_that_keeps_rising_is_never_steady(rate: float) -> None:
    state, when, _ = warm_up(lambda now: 4e-6 * (1 + rate * now), 250, limit=5.0)
    assert state == "never"
    assert when >= 5.0


def test_a_latency_that_keeps_falling_is_never_steady() -> None:
    state, _, _ = warm_up(lambda now: 4e-6 / (0.1 + now), 250, limit=5.0)
    assert state == "never"


def test_later_generations_warm_up_as_long_as_the_first_took() -> None:
    assert steady.later_span(0.0) == 0.025
    assert steady.later_span(1.5) == 1.5
    warm = WarmUp(span=steady.later_span(0.0))
    states = [warm.add(1.0, 0.001 * block) for block in range(1, 60)]
    assert states.index("steady") < 55


def generations(first: float, seed: int = 0, count: int = 10) -> list[list[float]]:
    """Blocks in a machine with two states; the first third is slower by `first`."""
    random = np.random.default_rng(seed)
    level = flips(0.3, seed)
    slow = [first] * 7 + [1.0] * 13
    return [
        [
            level(g + 0.02 * r) * slow[r] * math.exp(0.003 * random.standard_normal())
            for r in range(20)
        ]
        for g in range(count)
    ]


def test_a_warm_up_that_went_on_is_found_in_what_was_measured() -> None:
    steps = [[1.04] * 7 + [1.0] * 13] * 10
    found = steady.slower_at_first(steps)
    assert found is not None
    assert found.estimate == pytest.approx(1.04)
    assert steady.slower_at_first(generations(2.0)) is not None


@pytest.mark.parametrize("seed", range(8))
def test_the_states_of_the_machine_are_no_warm_up(seed: int) -> None:
    assert steady.slower_at_first(generations(1.0, seed)) is None


def test_a_few_generations_show_no_late_warm_up() -> None:
    assert steady.slower_at_first([[1.04] * 7 + [1.0] * 13] * 5) is None
    assert steady.slower_at_first([[1.0, 1.0]] * 10) is None
