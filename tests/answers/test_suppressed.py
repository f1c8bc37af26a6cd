"""Boxes that NonMaxSuppression keeps by another choice among equals are right; by any other they
are wrong. A label that is not its box's is wrong in every case."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import pytest

from tests.answers import detectors
from tests.answers.detectors import AT_LIMIT, CLOSE, COVERED, GATHERS, RIVALS, TIED, Judged
from toolkit.answers.suppressed import Replay, Suppression
from toolkit.tensors import Array

Kept: TypeAlias = list[int]


@pytest.fixture(scope="module", params=GATHERS)
def detector(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Judged:
    folder = tmp_path_factory.mktemp("detector")
    return detectors.judged(detectors.detector(folder / "m.onnx", request.param))


def swapped(kept: Kept, pair: tuple[int, int]) -> Kept:
    """The boxes with the two of a pair in each other's places."""
    other = dict(zip(pair, reversed(pair), strict=True))
    return [other.get(box, box) for box in kept]


def without(kept: Kept, box: int) -> Kept:
    return [each for each in kept if each != box]


def test_the_detector_has_the_ties_that_it_should_have(detector: Judged) -> None:
    for feed in detector.every:
        kept = {*feed["kept"]}
        assert {*TIED, *AT_LIMIT, RIVALS[0], COVERED[0]} <= kept
        assert not {RIVALS[1], COVERED[1]} & kept


EQUAL: dict[str, Callable[[Kept], Kept]] = {
    "another order": lambda kept: swapped(kept, TIED),
    "another of two rivals": lambda kept: swapped(kept, RIVALS),
    "one less at the limit": lambda kept: without(kept, AT_LIMIT[1]),
    "all of these": lambda kept: swapped(swapped(without(kept, AT_LIMIT[1]), TIED), RIVALS),
}


@pytest.mark.parametrize("change", EQUAL.values(), ids=EQUAL)
def test_another_choice_among_equals_is_right(
    detector: Judged, change: Callable[[Kept], Kept]
) -> None:
    answers = detector.answers(change)

    verdict = detector.judge.verdict(answers)

    assert verdict.right, verdict.reason
    assert [output.names[0] for output in verdict.outputs] == ["float32"] * 3
    for output in verdict.outputs:
        assert "gathered by another choice among equals" in output.evidence
    whole = detector.judge.whole.verdict(answers)
    assert (whole.text, whole.reason) == (verdict.text, verdict.reason)
    assert detector.judge.border(answers, verdict).within
    assert detector.judge.border(answers[3:5], verdict, [3, 4]).within


def test_the_own_choice_is_right_and_nothing_is_said_of_another(detector: Judged) -> None:
    verdict = detector.judge.verdict(detector.answers())

    assert verdict.right, verdict.reason
    assert not any("another choice" in output.evidence for output in verdict.outputs)


def inserted(kept: Kept) -> Kept:
    """The covered box behind the one that covers it, at its place by its score."""
    return [*kept, COVERED[1]]


OTHERS: dict[str, Callable[[Kept], Kept]] = {
    "a worse one first": lambda kept: [kept[1], kept[0], *kept[2:]],
    "the last one first": lambda kept: [kept[-1], *kept[:-1]],
    "one less": lambda kept: kept[:-1],
    "the best one less": lambda kept: kept[1:],
    "one that is covered": inserted,
    "one that is hardly worse first": lambda kept: swapped(kept, CLOSE),
    "one at the limit behind worse ones": lambda kept: [
        *without(kept, AT_LIMIT[1]),
        AT_LIMIT[1],
    ],
    "one twice": lambda kept: [TIED[0] if box == TIED[1] else box for box in kept],
    "both rivals": lambda kept: [*kept, RIVALS[1]],
}


@pytest.mark.parametrize("change", OTHERS.values(), ids=OTHERS)
def test_another_choice_is_wrong(detector: Judged, change: Callable[[Kept], Kept]) -> None:
    answers = detector.answers(change)

    verdict = detector.judge.verdict(answers)

    assert verdict.answer == "wrong"
    assert not detector.judge.whole.verdict(answers).right
    right = detector.judge.verdict(detector.answers())
    assert not detector.judge.border(answers, right).within


def labels_alone(answer: dict[str, Array], right: dict[str, Array]) -> dict[str, Array]:
    return {**right, "labels": answer["labels"]}


def boxes_alone(answer: dict[str, Array], right: dict[str, Array]) -> dict[str, Array]:
    return {**answer, "labels": right["labels"]}


@pytest.mark.parametrize("mixed", [labels_alone, boxes_alone])
def test_labels_of_another_box_are_wrong_even_if_their_scores_are_equal(
    detector: Judged, mixed: Callable[..., dict[str, Array]]
) -> None:
    pairs = zip(detector.answers(EQUAL["another order"]), detector.answers(), strict=True)
    answers = [mixed(*pair) for pair in pairs]

    assert not detector.judge.verdict(answers).right
    assert not detector.judge.whole.verdict(answers).right


@pytest.mark.parametrize("output", ["boxes", "scores", "labels"])
def test_a_wrong_value_in_another_choice_is_wrong(detector: Judged, output: str) -> None:
    answers = detector.answers(EQUAL["all of these"])
    answers[7][output][2] += 1

    verdict = detector.judge.verdict(answers)

    assert not verdict.right
    assert verdict.reason.startswith(f"{output}: ")


def taken(boxes: Array, scores: Array, *wanted: int, least: float | None = None) -> Array | None:
    """The boxes that an answer of so many may hold, where it holds those that are wanted."""
    suppression = Suppression("boxes", most=9, overlap=0.5, least=least, centred=False)
    replay = Replay(suppression, boxes[None], scores, close=1e-6, close_overlap=1e-6)

    def nearest(place: int, candidates: Array) -> int | None:
        return wanted[place] if wanted[place] in candidates else None

    way = replay.follow(len(wanted), nearest)
    return None if way is None else way[0]


APART = np.array([[10.0 * n, 0, 10 * n + 2, 2] for n in range(4)])


def test_a_box_whose_score_is_the_least_one_may_be_there_or_not() -> None:
    scores = np.array([[[0.9, 0.8, 0.5, 0.5 - 1e-3]]])

    for wanted in ((0, 1), (0, 1, 2)):
        assert taken(APART, scores, *wanted, least=0.5) is not None
    assert taken(APART, scores, 0, 1, 2, 3, least=0.5) is None
    assert taken(APART, scores, 0, least=0.5) is None


def test_a_box_without_an_area_is_taken_once() -> None:
    points = np.zeros((2, 4))
    scores = np.array([[[0.9, 0.9]]])

    np.testing.assert_array_equal(taken(points, scores, 1, 0), [1, 0])
    np.testing.assert_array_equal(taken(points, scores, 1, 1), [1, 0])
    assert taken(points, scores, 0, 1, 0) is None


def test_classes_come_one_after_the_other() -> None:
    scores = np.array([[[0.9, 0.2, 0.7, 0.7], [0.1, 0.8, 0.5, 0.6]]])

    np.testing.assert_array_equal(
        taken(APART, scores, 0, 3, 2, 5, 7, 6, least=0.4), [0, 3, 2, 5, 7, 6]
    )
    assert taken(APART, scores, 0, 3, 5, 7, 6, least=0.4) is None
