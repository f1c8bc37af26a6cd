from __future__ import annotations

import itertools
import random
from collections import Counter
from dataclasses import replace

import pytest

from toolkit.errors import InputError
from toolkit.measure import schedule
from toolkit.measure.cores import draw_cores
from toolkit.measure.schedule import First, Pace, Progress, Why
from toolkit.units import THIN

TIGHT = [[0.0001 * i for i in range(n)] for n in range(101)]
"""Effects of so many generations that leave a very narrow interval."""
LOOSE = [[0.1 * (7 * i % 11 - 5) for i in range(n)] for n in range(101)]


def after(generations: int, *effects: list[float], elapsed: float = 1.0) -> Progress:
    return Progress(generations, effects, elapsed=elapsed, next_one=0.5)


@pytest.mark.parametrize(
    ("call", "calls"),
    [
        (1e-7, 5000),
        (4e-6, 1000),
        (100e-6, 40),
        (200e-6, 20),
        (900e-6, 20),
        (1e-3, 20),
        (3e-3, 7),
        (5e-3, 4),
        (0.03, 1),
    ],
)
def test_a_block_lasts_four_milliseconds_or_has_enough_calls(call: float, calls: int) -> None:
    assert schedule.length(call).calls == calls


def test_the_calls_of_a_block_never_jump_with_their_length() -> None:
    """Two targets whose latencies are a hundredth apart have blocks alike: else the shorter block
    is the colder one."""
    calls = [1e-6 * 1.01**step for step in range(1200)]
    counts = [schedule.length(call).calls for call in calls]
    assert all(b >= a * 0.95 - 1 for a, b in itertools.pairwise(counts))


def test_a_clock_that_saw_no_time_asks_for_the_largest_block() -> None:
    assert schedule.length(0.0).calls == 5000


def test_the_first_twentieth_of_a_block_is_discarded_and_at_least_one_call() -> None:
    lengths = [schedule.length(call) for call in (4e-6, 900e-6, 5e-3, 0.05, 0.2)]
    assert [one.discard for one in lengths] == [50, 1, 1, 1, 0]


def test_a_worker_that_was_held_still_makes_a_quarter_of_a_block_first() -> None:
    lengths = [schedule.length(call) for call in (4e-6, 900e-6, 5e-3, 0.05, 0.2)]
    assert [schedule.waking(one) for one in lengths] == [250, 5, 1, 1, 0]


def test_the_calibration_lasts_twenty_milliseconds() -> None:
    assert [schedule.calibration_calls(call) for call in (4e-6, 1e-3, 0.1)] == [5000, 20, 5]


def test_the_same_seed_and_generation_draw_the_same() -> None:
    first, again, other = (schedule.stream(7, g) for g in (3, 3, 4))
    assert schedule.order(20, first) == schedule.order(20, again)
    assert schedule.order(20, first) != schedule.order(20, other)


def test_every_order_comes_equally_often() -> None:
    source = random.Random(1)
    seen = Counter(tuple(schedule.order(3, source)) for _ in range(6000))
    assert len(seen) == 6
    assert all(850 < count < 1150 for count in seen.values())


def test_the_padding_is_drawn_between_nothing_and_a_page() -> None:
    source = random.Random(1)
    sizes = {len(schedule.padding(source)) for _ in range(20_000)}
    assert min(sizes) <= 5
    assert 4090 <= max(sizes) <= 4096


def test_one_core_for_all_workers_and_another_for_the_parent() -> None:
    source = random.Random(1)
    drawn = [draw_cores([0, 1, 5], 1, source) for _ in range(200)]
    assert {cores.workers for cores in drawn} == {(0,), (1,), (5,)}
    assert all(len(cores.driver) == 1 for cores in drawn)
    assert not any(set(cores.driver) & set(cores.workers) or cores.shared for cores in drawn)


def test_the_only_core_is_shared_and_said_so() -> None:
    cores = draw_cores([3], 1, random.Random(1))
    assert (cores.workers, cores.driver, cores.shared) == ((3,), (3,), True)


def test_workers_of_several_threads_get_as_many_cores() -> None:
    cores = draw_cores(range(8), 4, random.Random(1))
    assert len(cores.workers) == 4
    assert not set(cores.driver) & set(cores.workers)


def test_more_threads_than_cores_get_all_of_them() -> None:
    cores = draw_cores([0, 1], 4, random.Random(1))
    assert (cores.workers, cores.shared) == ((0, 1), True)


def test_the_parent_stays_off_the_physical_core_of_the_workers() -> None:
    pairs = {core: frozenset({core % 4, core % 4 + 4}) for core in range(8)}
    source = random.Random(1)
    for _ in range(100):
        cores = draw_cores(range(8), 1, source, pairs)
        assert cores.driver[0] % 4 != cores.workers[0] % 4
    for _ in range(100):
        cores = draw_cores(range(8), 3, source, pairs)
        assert len({core % 4 for core in cores.workers}) == 3


def test_the_sibling_is_better_than_sharing_a_core() -> None:
    pairs = {core: frozenset({0, 1}) for core in range(2)}
    cores = draw_cores([0, 1], 1, random.Random(1), pairs)
    assert cores.driver != cores.workers
    assert not cores.shared


def test_without_switches_a_run_stops_at_one_percent_or_a_minute() -> None:
    paced = schedule.pace()
    assert (paced.precision, paced.time, paced.asked) == (0.01, 60.0, False)
    assert (paced.looks, paced.alpha) == ((10, 14, 20, 28, 40, 56, 80), 0.04)


def test_the_time_alone_means_one_look_at_the_end() -> None:
    paced = schedule.pace(time=20.0)
    assert (paced.precision, paced.looks, paced.alpha) == (None, (), 0.05)
    assert schedule.decide(paced, after(28, TIGHT[28], elapsed=5)) is None
    stop = schedule.decide(paced, after(28, TIGHT[28], elapsed=19.6))
    assert stop is not None
    assert (stop.why, stop.text.replace(THIN, " ")) == (Why.TIME, "the 20 s are used")


@pytest.mark.parametrize(
    ("precision", "time", "text"),
    [
        (1.5, None, "--precision 150 %: give a share such as 0.5%"),
        (0.0, None, "--precision 0 %: give a share such as 0.5%"),
        (None, -3.0, "--time -3s: give a time such as 20s"),
        (None, float("inf"), "--time infs: give a time such as 20s"),
    ],
)
def test_a_senseless_switch_is_refused(
    precision: float | None, time: float | None, text: str
) -> None:
    with pytest.raises(InputError) as refused:
        schedule.pace(precision, time)
    assert refused.value.what.replace(THIN, " ") == text


def test_a_run_stops_at_a_look_where_every_ratio_is_narrow() -> None:
    paced = schedule.pace(precision=0.01)
    stop = schedule.decide(paced, after(14, TIGHT[14], TIGHT[14]))
    assert stop is not None
    assert stop.why is Why.PRECISE
    assert stop.text.replace(THIN, " ") == "every ratio is known to ±1.0 % or better"


@pytest.mark.parametrize("generations", [6, 9, 11, 13, 27, 79])
def test_a_run_never_stops_between_the_looks(generations: int) -> None:
    assert schedule.decide(schedule.pace(0.01), after(generations, TIGHT[generations])) is None


def test_one_wide_ratio_keeps_the_run_going() -> None:
    assert schedule.decide(schedule.pace(0.01), after(20, TIGHT[20], LOOSE[20])) is None


def test_a_ratio_without_an_interval_keeps_the_run_going() -> None:
    assert schedule.decide(schedule.pace(0.01), after(20, TIGHT[20], TIGHT[5])) is None


def test_a_run_without_a_ceiling_ends_at_the_last_look() -> None:
    stop = schedule.decide(schedule.pace(0.01), after(80, LOOSE[80]))
    assert stop is not None
    assert (stop.why, stop.text) == (
        Why.LAST_LOOK,
        "80 process starts: more would show nothing new",
    )


def test_the_ceiling_ends_a_run_before_it_is_passed() -> None:
    paced = schedule.pace(0.01, 20.0)
    assert schedule.decide(paced, after(11, LOOSE[11], elapsed=19.4)) is None
    stop = schedule.decide(paced, after(12, LOOSE[12], elapsed=19.9))
    assert stop is not None
    assert stop.why is Why.TIME


def test_a_single_target_stops_at_ten() -> None:
    assert schedule.decide(schedule.pace(), after(9)) is None
    stop = schedule.decide(schedule.pace(), after(10))
    assert stop is not None
    assert stop.why is Why.ALONE


def test_a_time_too_short_for_ten_says_how_long_is_needed_and_who_is_slow() -> None:
    first = First(generation=2.0, so_far=3.0, starts={"onnxruntime:cpu": 0.2, "torch:cpu": 1.2})
    with pytest.raises(InputError) as refused:
        schedule.foresee(schedule.pace(time=10.0), first)
    assert refused.value.what.replace(THIN, " ") == (
        "--time 10s is too short for 10 process starts of each target: they take about 21 s. "
        "Slowest to start: torch:cpu (1.2 s)."
    )
    assert refused.value.cures == (
        "--time 24s    measures 10 of them",
        "--quick       goes on, without intervals",
    )


def test_the_time_that_is_told_is_enough() -> None:
    first = First(generation=2.0, so_far=3.0, starts={"torch:cpu": 1.2})
    paced = schedule.pace(time=24.0)
    assert schedule.foresee(paced, first) == paced
    elapsed, count = first.so_far, 1
    while schedule.decide(paced, Progress(count, [LOOSE[count]], elapsed, 2.0)) is None:
        elapsed, count = elapsed + 2.0, count + 1
    assert count >= 10


def test_quick_goes_on_with_too_short_a_time() -> None:
    first = First(generation=2.0, so_far=3.0, starts={"torch:cpu": 1.2})
    paced = schedule.pace(time=10.0, quick=True)
    assert schedule.foresee(paced, first) == paced


def test_the_time_that_nobody_asked_for_is_stretched_to_ten() -> None:
    first = First(generation=20.0, so_far=25.0, starts={"torch:cpu": 12.0})
    stretched = schedule.foresee(schedule.pace(), first)
    assert stretched.time == pytest.approx(1.1 * 205)
    assert stretched.precision == 0.01


def test_the_time_that_nobody_asked_for_does_not_end_a_run_before_ten() -> None:
    """Later generations may take longer than the first let foresee."""
    stretched = schedule.foresee(schedule.pace(), First(20.0, 25.0, {"torch:cpu": 12.0}))
    late = 1000.0
    assert schedule.decide(stretched, after(7, LOOSE[7], elapsed=late)) is None
    stop = schedule.decide(stretched, after(10, LOOSE[10], elapsed=late))
    assert stop is not None
    assert stop.why is Why.TIME
    assert schedule.decide(schedule.pace(time=60.0), after(7, LOOSE[7], elapsed=late)) is not None
    assert schedule.decide(schedule.pace(quick=True), after(1, LOOSE[1], elapsed=late)) is not None


def test_what_is_left_of_a_run_that_took_longer_than_foretold_is_what_ten_still_take() -> None:
    stretched = schedule.foresee(schedule.pace(), First(20.0, 25.0, {"torch:cpu": 12.0}))
    assert schedule.time_left(stretched, after(7, LOOSE[7], elapsed=1000.0)) == 3 * 0.5
    assert schedule.time_left(stretched, after(10, LOOSE[10], elapsed=1000.0)) == 0
    assert schedule.time_left(schedule.pace(time=60.0), after(7, elapsed=1000.0)) == 0


def test_no_look_is_foreseen_at_which_so_many_pairs_cannot_be_told_apart() -> None:
    progress = Progress(8, [TIGHT[8]] * 24, 5.0, 0.5, pairs=24)
    assert schedule.time_left(schedule.pace(0.01), progress) == (14 - 8) * 0.5


def test_many_pairs_need_more_process_starts_than_ten() -> None:
    """The smallest p of ten is 2 / 2¹⁰, which 24 pairs together do not stand at 0.04."""
    first = First(generation=2.0, so_far=2.0, starts={"torch:cpu": 1.2}, pairs=24)
    with pytest.raises(InputError) as refused:
        schedule.foresee(schedule.pace(time=20.0, precision=0.01), first)
    assert "for 11 process starts of each target, which 24 pairs need: they" in refused.value.what
    precise = Progress(10, [TIGHT[10]] * 24, 5.0, 0.5, pairs=24)
    assert schedule.decide(schedule.pace(0.01), precise) is None
    assert schedule.decide(schedule.pace(0.01), replace(precise, pairs=2)) is not None


def test_a_run_without_a_ceiling_is_never_too_long() -> None:
    first = First(generation=20.0, so_far=25.0, starts={"torch:cpu": 12.0})
    assert schedule.foresee(schedule.pace(0.01), first).time is None


def test_the_time_left_is_that_to_the_look_at_which_it_will_be_narrow() -> None:
    paced = Pace(precision=0.01, time=None)
    # Half-width at ten: about 0.1, so a hundred times ten generations, of which 80 is the last.
    assert schedule.time_left(paced, after(10, LOOSE[10])) == pytest.approx(35.0)
    assert schedule.time_left(paced, after(10, TIGHT[10])) == pytest.approx(2.0)
    assert schedule.time_left(paced, after(3, TIGHT[3])) is None
    assert schedule.time_left(schedule.pace(time=20.0), after(3, elapsed=4)) == 16.0


def test_a_generation_is_foretold_from_what_was_seen_while_judging() -> None:
    """Imports side by side on the cores; loads, first calls and blocks in turns."""
    quick = schedule.StartCost(imported=0.2, loaded=0.1, calls=[1e-3])
    slow = schedule.StartCost(imported=2.0, loaded=0.5, calls=[0.1, 0.2])

    seconds = schedule.foretold([quick, slow], rounds=20, cores=2)

    blocks = 20 * (21 * 1e-3 + 0.1 + 0.2)
    assert seconds == pytest.approx(2.0 + (0.1 + 1e-3) + (0.5 + 0.3) + blocks)
    # Alone on a core, imports too are made in turns.
    assert schedule.foretold([quick, slow], 20, 1) == pytest.approx(seconds + 0.2)


@pytest.mark.parametrize(
    ("generation", "time", "refused"),
    [(2.0, 10.0, True), (2.0, 15.0, False), (2.0, 21.0, False)],
    ids=["clearly too short", "perhaps", "enough"],
)
def test_a_time_that_is_clearly_too_short_is_told_before_the_first_start(
    generation: float, time: float, refused: bool
) -> None:
    asked = schedule.pace(time=time)
    first = First(
        generation, 0.0, {"slow": 1.2, "a": 0.2, "b": 0.1}, 2, seen=False, faster="--target a"
    )

    if not refused:
        assert schedule.foresee(asked, first) == asked
        return
    with pytest.raises(InputError, match="too short for 10 process starts") as raised:
        schedule.foresee(asked, first)
    assert raised.value.cures == (
        "--time 30s    measures 10 of them",
        "--target a    leaves out slow",
        "--quick       goes on, without intervals",
    )


def test_the_default_time_is_stretched_by_what_was_seen_alone() -> None:
    first = First(20.0, 0.0, {"torch:cpu": 12.0}, seen=False)
    assert schedule.foresee(schedule.pace(), first) == schedule.pace()
