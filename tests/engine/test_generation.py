"""One generation: blocks of all targets in turns, and what becomes of one that fails."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests import command
from tests.engine.conftest import ROUNDS, MakeSetup, bound
from toolkit.engine import generation
from toolkit.engine.setup import Calibration, GenerationResult, RunSetup
from toolkit.measure import steady
from toolkit.measure.schedule import Length
from toolkit.records.parts import TargetPart
from toolkit.records.schema import Failure
from toolkit.workers.jobs import Block, Patience
from toolkit.workers.launch import Worker

pytestmark = pytest.mark.process

Watch = Callable[[float], None]


def short(
    run_setup: RunSetup, number: int = 0, watch: Watch = lambda share: None
) -> GenerationResult:
    """A generation of short blocks and warm-ups, as those after the first."""
    places = [
        (ready_target.index, case)
        for ready_target in run_setup.targets
        for case in range(len(run_setup.cases))
    ]
    calibrations = {place: Calibration(Length(20, 1), steady.LATER_SPAN) for place in places}
    return generation.run(run_setup, number, calibrations, watch)


def part(result: GenerationResult, target: int) -> TargetPart:
    return next(found for found in result.part.targets if found.target == target)


def failure(result: GenerationResult, target: int) -> Failure:
    failed = part(result, target).failure
    assert failed is not None
    return failed


def starts(result: GenerationResult, target: int) -> list[float]:
    return [start for case in part(result, target).cases for start in case.series.starts]


def test_every_target_has_one_block_a_round_before_the_next_round_begins(
    setup: MakeSetup,
) -> None:
    result = short(setup("fake,us=10", "fake,us=20", "fake,us=30"))

    rows = np.array([starts(result, target) for target in range(3)])  # (targets, rounds)
    assert rows.shape == (3, ROUNDS)
    assert (rows.max(axis=0)[:-1] < rows.min(axis=0)[1:]).all()


def test_the_order_within_a_round_is_drawn_anew_and_is_that_of_the_seed(
    setup: MakeSetup,
) -> None:
    run_setup = setup("fake,us=10", "fake,us=20", "fake,us=30", rounds=12)

    orders = [order_of(short(run_setup, number)) for number in (0, 0, 1)]

    assert len(set(orders[0])) > 1
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]


def order_of(result: GenerationResult) -> list[tuple[int, ...]]:
    rows = np.array([starts(result, target) for target in range(3)])
    return [tuple(np.argsort(turn)) for turn in rows.T]


def test_who_starts_first_is_drawn_anew_and_is_that_of_the_seed(setup: MakeSetup) -> None:
    came: list[int] = []

    def look(target: int, *given: object) -> str:
        came.append(target)
        return ""

    run_setup = setup("fake,us=10", "fake,us=20", "fake,us=30", check=look)

    orders = []
    for number in (0, 0, 1, 2, 3):
        came.clear()
        short(run_setup, number)
        orders.append(tuple(came[:3]))  # Each is judged when it has loaded.

    assert orders[0] == orders[1]
    assert len(set(orders)) > 1
    assert {*orders[0]} == {0, 1, 2}


def test_the_samples_are_the_times_of_the_calls_in_rounds(setup: MakeSetup) -> None:
    result = generation.run(setup("fake,us=10", "fake,us=25", batches=(1, 8)), 3, {})

    assert sorted(result.samples) == ["0/0/3", "0/1/3", "1/0/3", "1/1/3"]
    for key, latency in (("0/0/3", 10_000), ("0/1/3", 10_000), ("1/0/3", 25_000)):
        assert result.samples[key].dtype == np.int64
        assert result.samples[key].shape == (ROUNDS, 4_000_000 // latency)
        assert (result.samples[key] == latency).all()
    assert [case.series.medians for case in part(result, 1).cases] == [[25_000.0] * ROUNDS] * 2


def test_a_later_generation_takes_the_block_lengths_of_the_first(setup: MakeSetup) -> None:
    run_setup = setup("fake,us=10")
    first = generation.run(run_setup, 0, {})
    calibrations = {
        place: Calibration(Length(7, 1), known.span) for place, known in first.calibrations.items()
    }

    later = generation.run(run_setup, 1, calibrations)

    assert later.samples["0/0/1"].shape == (ROUNDS, 7)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("fault=crash", "crashed with SIGSEGV while being timed"),
        ("fault=kill", "crashed with SIGKILL while being timed"),
        ("fault=exit", "ended by itself with exit code 0 while being timed"),
        ("fault=nonsense", "answered nonsense: '\\x00 not a message'"),
        ("fault=error", "this runtime was told to fail"),
        ("fault=hang", "no answer to sample within 5 s"),
    ],
)
def test_a_target_that_fails_while_it_is_timed_costs_no_other_a_block(
    setup: MakeSetup, tmp_path: Path, fault: str, said: str
) -> None:
    run_setup = setup(
        "fake,us=10", f"fake,{fault},at=sample", "fake,us=30", patience=Patience(verb=5)
    )

    result = short(run_setup)

    assert failure(result, 1).what == said
    assert failure(result, 1).verb == "sample"
    assert len(starts(result, 0)) == len(starts(result, 2)) == ROUNDS
    assert sorted(result.samples) == ["0/0/0", "2/0/0"]
    assert not command.workers(tmp_path)


def test_a_target_that_is_killed_between_two_blocks_leaves_and_its_times_do_not_count(
    setup: MakeSetup, tmp_path: Path
) -> None:
    run_setup = setup("fake,us=10", "fake,us=20")

    def watch(share: float) -> None:
        if share == 1 / ROUNDS:
            command.kept()[0].send_signal(signal.SIGKILL)

    result = short(run_setup, 0, watch)

    failed = [found.target for found in result.part.targets if found.failure is not None]
    assert len(failed) == 1
    assert failure(result, failed[0]).what == "crashed with SIGKILL while being timed"
    assert [len(found.cases) for found in result.part.targets if found.failure is None] == [1]
    assert len(result.samples) == 1
    assert not command.workers(tmp_path)


def test_a_timed_call_that_computes_something_else_is_found_and_its_times_do_not_count(
    setup: MakeSetup,
) -> None:
    result = short(setup("fake,us=10", "fake,turns=later"))

    assert failure(result, 1).what == "its answers changed after the verdict: another answer"
    assert part(result, 1).cases == []
    assert sorted(result.samples) == ["0/0/0"]


def test_an_answer_that_is_wrong_before_the_rounds_costs_no_block(setup: MakeSetup) -> None:
    asked = []

    def judge(target: int, case: int, outputs: object) -> str:
        asked.append((target, case))
        return "not that" if target == 1 else ""

    run_setup = setup("fake,us=10", "fake,us=20", batches=(1, 8), check=judge)

    result = short(run_setup)

    assert failure(result, 1).what == "its answers changed after the verdict: not that"
    # Target 0 before and after at both cases; target 1 at the first alone.
    assert sorted(asked) == [(0, 0)] * 2 + [(0, 1)] * 2 + [(1, 0)]


def test_the_workers_share_one_core_from_their_loads_on_and_the_parent_gets_its_own_back(
    setup: MakeSetup,
) -> None:
    free = os.sched_getaffinity(0)
    seen = []

    def look(*given: object) -> str:
        seen.append([process.cpu_affinity() for process in command.kept()])
        return ""

    result = short(setup("fake,us=10", "fake,us=20", check=look), 0, lambda share: None)

    cores = result.part.generation.cores
    assert len(cores) == 1
    # Both targets are judged before the rounds and after them.
    assert seen == [[cores] * 2] * 4
    assert os.sched_getaffinity(0) == free


def test_more_threads_have_all_their_cores_and_every_worker_goes_on_after_its_rest(
    setup: MakeSetup,
) -> None:
    result = short(setup("fake,us=10,threads=2", "fake,us=20,threads=2"))

    assert [found.failure for found in result.part.targets] == [None, None]
    assert len(result.part.generation.cores) == min(2, len(os.sched_getaffinity(0)))


@pytest.mark.parametrize(
    ("targets", "before"),
    [
        (("fake,us=10", "fake,us=20"), 0),
        (("fake,us=10,threads=2", "fake,us=20,threads=2"), 1),
        (("fake,us=10,threads=2",), 0),
    ],
    ids=["one thread", "two threads", "alone"],
)
def test_only_a_worker_that_was_held_still_makes_calls_before_its_block(
    setup: MakeSetup, monkeypatch: pytest.MonkeyPatch, targets: tuple[str, ...], before: int
) -> None:
    asked, sample = [], Worker.sample

    def spy(worker: Worker, name: str, calls: int, discard: int = 0) -> Block:
        asked.append((worker.pid, calls, discard))
        return sample(worker, name, calls, discard)

    monkeypatch.setattr(Worker, "sample", spy)
    result = short(setup(*targets))

    case = result.part.targets[0].cases[0]
    blocks = [i for i, (_, calls, out) in enumerate(asked) if out and calls == case.calls]
    woken = [i for i in blocks if asked[i - 1] == (asked[i][0], case.calls // 4, 0)]
    assert len(blocks) == len(targets) * len(case.series.medians)
    assert len(woken) == before * len(blocks)


def test_a_worker_of_one_thread_has_one_of_the_cores_of_one_of_two(setup: MakeSetup) -> None:
    seen = []

    def look(*given: object) -> str:
        seen.append([frozenset(process.cpu_affinity() or ()) for process in command.kept()])
        return ""

    run_setup = setup("fake,us=10", "fake,us=20,threads=2", "fake,us=30", check=look)
    cores = frozenset(short(run_setup).part.generation.cores)

    first, second, third = seen[0]
    assert first == third
    assert second == cores
    assert len(first) == 1
    assert first <= second
    assert all(look == seen[0] for look in seen)


def test_a_target_that_leaves_no_memory_is_a_row_and_the_others_go_on(
    setup: MakeSetup,
) -> None:
    left = iter([10**9, 10**6, 10**9])

    result = short(setup("fake,us=10", "fake,us=20", "fake,us=30", memory=lambda: next(left)))

    assert (
        failure(result, 1).what
        == "only 1.00\u2009MB of memory are left with it alive beside the others"
    )
    assert [len(part(result, target).cases) for target in range(3)] == [1, 0, 1]


def test_a_generation_whose_time_is_over_has_a_few_rounds_and_short_warm_ups(
    setup: MakeSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What --quick asks for is not to outlast the time: a sweep of slow calls took three times as
    long."""
    monkeypatch.setattr(generation, "GRACE", 0.0)
    over = replace(setup("fake,us=10", "fake,us=20", batches=(1, 8)), ends=time.monotonic())

    result = generation.run(over, 0, {})

    shapes = {samples.shape[0] for samples in result.samples.values()}
    assert shapes == {generation.FEWEST_ROUNDS}
    assert generation.FEWEST_ROUNDS < ROUNDS
    assert result.warm_up < 4 * 20  # Never near the limit of a warm-up with all the time.


def test_an_interrupt_in_the_rounds_leaves_no_process_and_no_pin(
    setup: MakeSetup, tmp_path: Path
) -> None:
    free = os.sched_getaffinity(0)

    def watch(share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        short(setup("fake,us=10", "fake,us=20"), 0, watch)

    assert not command.workers(tmp_path)
    assert os.sched_getaffinity(0) == free


def test_all_targets_may_fail_at_once(setup: MakeSetup, tmp_path: Path) -> None:
    run_setup = setup("fake,fault=crash,at=hello", "fake,fault=exit,at=load")

    result = short(run_setup)

    assert failure(result, 0).what == "crashed with SIGSEGV while importing its library"
    assert failure(result, 1).what == "ended by itself with exit code 0 while loading the model"
    assert not result.samples
    assert not command.workers(tmp_path)


def test_cold_start_and_memory_of_a_target_stand_beside_its_times(setup: MakeSetup) -> None:
    run_setup: RunSetup = setup("fake,us=10", other=bound(3))

    shown = part(short(run_setup), 0)

    for value in (shown.imported, shown.loaded, shown.first_call, shown.new_shape, shown.empty):
        assert value is not None
        assert value >= 0
    for size in (shown.idle, shown.resident, shown.peak):
        assert size is not None
        assert size > 1_000_000
