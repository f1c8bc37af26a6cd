"""The pairs of a record: what is right, what it is compared with, and its log ratios."""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec
import pytest

from tests.report import runs
from tests.report.runs import Row, Shape
from toolkit.records import pairing
from toolkit.records.schema import Failure, Run, TargetRecord

FAILED = Failure(verb="load", what="it failed", cures=[])
ROWS = [
    Row("right", 1e-3),
    Row("coarse", 2e-3, verdict="bfloat16", right=False),
    Row("wrong", 2e-3, verdict="wrong", right=False),
    Row("failed", 1e-3, failure=FAILED),
    Row("not judged", 1e-3, judged=False),
    Row("right too", 3e-3),
]


def made(baseline: int = 0, starts: int = 3) -> Run:
    run, _ = runs.make(ROWS, Shape(starts=starts, batches=(1, 8), baseline=baseline))
    return run


def which(run: Run, holds: Callable[[TargetRecord], bool]) -> list[str]:
    return [ROWS[record.target].label for record in run.records if holds(record)]


def test_right_is_what_ran_and_has_a_right_verdict() -> None:
    run = made()

    assert which(run, lambda record: record.right) == ["right", "right too"]
    assert pairing.right_targets(run) == [0, 5]


def test_coarse_answers_may_be_timed_and_wrong_ones_may_not() -> None:
    assert which(made(), lambda record: record.may_be_timed) == ["right", "coarse", "right too"]


def test_a_target_that_failed_after_its_verdict_is_not_right_any_more() -> None:
    record = msgspec.structs.replace(made().records[0], failure=FAILED)

    assert (record.right, record.may_be_timed) == (False, False)


@pytest.mark.parametrize(
    ("planned", "able", "chosen"), [(5, [0, 5], 5), (1, [0, 5], 0), (0, [], None)]
)
def test_the_baseline_is_the_planned_one_or_the_first_that_is_able(
    planned: int, able: list[int], chosen: int | None
) -> None:
    assert pairing.baseline(made(planned), able) == chosen


def test_there_is_one_effect_for_each_process_start_of_both_that_counts() -> None:
    run = made(starts=4)
    run = msgspec.structs.replace(
        run,
        generations=[
            msgspec.structs.replace(generation, counted=generation.number != 1)
            for generation in run.generations
        ],
    )

    effects = pairing.effects(run, 0, 0, 5)

    assert run.counted_starts == [0, 2, 3]
    assert len(effects) == 3
    assert all(math.exp(effect) == pytest.approx(3, rel=0.1) for effect in effects)
    assert pairing.effects(run, 0, 0, 3) == []
    assert len(pairing.effects_between(run, (0, 0), (0, 1))) == 3


def test_every_right_target_is_held_against_the_baseline_at_every_case() -> None:
    run = made(baseline=5)

    assert pairing.against_baseline(run) == [pairing.effects(run, case, 5, 0) for case in (0, 1)]
    assert pairing.against_baseline(msgspec.structs.replace(run, records=[])) == []
