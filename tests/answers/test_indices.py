"""Flips among near ties are honest, others are not."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.answers.formats import ORDER
from toolkit.answers.indices import Choice, Logits, equal, judge
from toolkit.answers.rule import Fault, Named

LOGITS = np.array([[1.0, 1.0 + 1e-5, 0.0], [5.0, 2.0, 1.0]])
"""A near tie and a clear one."""


def logits() -> list[Logits]:
    """RMS errors of 1e-7 in float32 and 1e-2 in bfloat16."""
    noise = np.array([[1.0, -1.0, 1.0], [-1.0, 1.0, -1.0]])
    simulated = {
        "float32": [(LOGITS + 1e-7 * noise)],
        "bfloat16": [LOGITS + 1e-2 * noise],
    }
    return [Logits(LOGITS, simulated)]  # type: ignore[arg-type]


def test_agreement_names_every_class() -> None:
    best = LOGITS.argmax(1)

    finding, flips = judge([best], [best], logits(), Choice("ArgMax", "l", 1))

    assert isinstance(finding, Named)
    assert finding.evidence == "indices agree in all 2"
    assert finding.silent
    assert not flips.any()


def test_a_near_tie_may_flip_in_bfloat16_but_not_in_float32() -> None:
    finding, flips = judge(
        [np.array([0, 0])], [np.array([1, 0])], logits(), Choice("ArgMax", "l", 1)
    )

    assert finding == Named(
        ("bfloat16",), "1 of 2 indices differ, as near ties do in bfloat16", proven=False
    )
    assert flips.tolist() == [True, False]


def test_a_clear_winner_may_not_flip() -> None:
    finding, _ = judge([np.array([1, 1])], [np.array([1, 0])], logits(), Choice("ArgMax", "l", 1))

    assert isinstance(finding, Fault)
    assert finding.evidence == "1 of 2 indices differ, where the oracle's logits are up to 3 apart"


def test_an_exact_tie_may_go_either_way() -> None:
    tied = [Logits(np.zeros((1, 4)), {"float32": [np.zeros((1, 4))]})]

    finding, _ = judge([np.array([2])], [np.array([0])], tied, Choice("ArgMax", "l", 1))

    assert isinstance(finding, Named)
    assert finding.names == ORDER
    assert finding.evidence.endswith("a choice among equals within float32's noise")


def test_unsorted_topk_may_come_in_any_order() -> None:
    theirs, mine = np.array([[1, 0], [0, 1]]), np.array([[0, 1], [1, 0]])

    free, _ = judge([mine], [theirs], logits(), Choice("TopK", "l", -1, ordered=False))
    fixed, _ = judge([mine], [theirs], logits(), Choice("TopK", "l", -1))

    assert isinstance(free, Named)
    assert isinstance(fixed, Fault)


@pytest.mark.parametrize("mine", [[[0, 0], [0, 1]], [[1, 7], [0, 1]], [[1, -1], [0, 1]]])
def test_an_index_outside_or_twice_is_wrong(mine: list[list[int]]) -> None:
    theirs = np.array([[1, 0], [0, 1]])

    finding, _ = judge([np.array(mine)], [theirs], logits(), Choice("TopK", "l", -1))

    assert isinstance(finding, Fault)
    assert finding.evidence == "indices outside the tensor, or chosen twice"


def test_the_axis_may_stand_anywhere() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2, 5, 3))
    best = values.argmax(1)
    each = [Logits(values, {"float32": [values + 1e-7]})]

    right, _ = judge([best[:, None]], [best[:, None]], each, Choice("ArgMax", "l", 1))
    wrong, flips = judge([(best + 1) % 5], [best], each, Choice("ArgMax", "l", -2))

    assert isinstance(right, Named)
    assert isinstance(wrong, Fault)
    assert flips.sum() == 6


def test_other_integers_are_equal_or_wrong() -> None:
    shape = np.array([2, 3])

    same, _ = equal([shape], [shape])
    other, flips = equal([np.array([2, 4])], [shape])

    assert isinstance(same, Named)
    assert isinstance(other, Fault)
    assert other.evidence == "1 of 2 differ, which must be equal"
    assert other.few.tolist() == [1]
    assert flips.tolist() == [False, True]


SCORES = np.array([[[0.9, 0.8, 0.8 + 1e-9, 0.3], [0.1, 0.7, 0.2, 0.6]]])
BOXES = np.array([[0, 0, 0], [0, 0, 2], [0, 0, 1], [0, 1, 1]])


def selected(mine: list[list[int]]) -> Named | Fault:
    scored = [Logits(SCORES, {"float32": [SCORES + 1e-7]})]
    finding, _ = judge([np.array(mine)], [BOXES], scored, Choice("NonMaxSuppression", "scores", 2))
    return finding


def test_boxes_whose_scores_tie_may_stand_in_either_order() -> None:
    finding = selected([[0, 0, 0], [0, 0, 1], [0, 0, 2], [0, 1, 1]])

    assert isinstance(finding, Named)
    assert finding.evidence == (
        "2 of 4 indices differ, a choice among equals within float32's noise"
    )


@pytest.mark.parametrize(
    "mine",
    [
        [[0, 0, 0], [0, 0, 2], [0, 0, 3], [0, 1, 1]],
        [[0, 0, 0], [0, 0, 2], [0, 0, 2], [0, 1, 1]],
        [[0, 0, 0], [0, 0, 2], [0, 0, 1], [0, 0, 3]],
        [[0, 0, 0], [0, 0, 2], [0, 0, 1], [0, 1, 4]],
    ],
    ids=["a worse box", "a box twice", "another class", "outside"],
)
def test_other_boxes_are_wrong(mine: list[list[int]]) -> None:
    assert isinstance(selected(mine), Fault)
