"""Verdicts leave out what a mask with padding on the left switches off, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from tests.exporter.test_padding import Decoder, LeftPadded, exported
from toolkit.answers import simulate
from toolkit.answers.judge import Judge
from toolkit.engine import judges, padding
from toolkit.onnxfiles import modelfile
from toolkit.oracle import oracles, unread
from toolkit.oracle.oracles import Expected
from toolkit.tensors import Array

pytestmark = pytest.mark.export
SIZES = ({"batch": 9, "seq": 20}, {"batch": 2, "seq": 7})


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Judge, list[Expected]]:
    """The judge of a decoder on feeds with padding on the left, and what is right for them."""
    path = tmp_path_factory.mktemp("padding") / "m.onnx"
    path.write_bytes(exported(Decoder("int64"), "int64").SerializeToString())
    opened = modelfile.open_once(path)
    oracle = oracles.of_model(opened.model)
    feeds = [LeftPadded("int64").draw(dims) for dims in SIZES]
    answered = [Expected(feed, oracle.answer(feed.arrays)) for feed in feeds]
    expected = padding.left_out(opened, oracle, answered)
    built = judges.build(
        opened,
        judges.judged_feeds(opened.facts, oracle, expected),
        origin="a test",
        start=simulate.reference_runner,
        bare=True,
    )
    return built.judge, expected


def answers(expected: list[Expected]) -> list[dict[str, Array]]:
    return [
        {name: array.astype(np.float32) for name, array in each.outputs.items()}
        for each in expected
    ]


def test_the_positions_that_are_left_out_are_those_of_the_padding(
    judged: tuple[Judge, list[Expected]],
) -> None:
    _, expected = judged

    for each in expected:
        (off,) = each.unread.values()
        assert np.array_equal(off, each.feed.arrays["mask"] == 0)


@pytest.mark.parametrize("value", [7.0, np.nan])
def test_what_stands_there_does_not_count(
    judged: tuple[Judge, list[Expected]], value: float
) -> None:
    judge, expected = judged
    given = answers(expected)
    for each, answer in zip(expected, given, strict=True):
        for array in answer.values():
            array[each.feed.arrays["mask"] == 0] = value

    verdict = judge.verdict(given)

    assert verdict.right, verdict
    assert verdict.text == "float32"
    assert judge.border(given, verdict).within


def test_one_position_that_counts_is_enough_to_be_wrong(
    judged: tuple[Judge, list[Expected]],
) -> None:
    judge, expected = judged
    given = answers(expected)
    for array in given[0].values():
        array[0, 2] += 0.5  # The first that the mask leaves on.

    assert not judge.verdict(given).right


def test_padding_on_the_right_asks_nothing_of_the_oracle() -> None:
    assert unread.begins_off(np.array([[1, 1], [0, 1]]))
    assert unread.begins_off(np.array([[-1e9, 0.0]]))
    assert not unread.begins_off(np.array([[1, 1], [1, 0]]))
    assert not unread.begins_off(np.array([[True, False]]))
    assert not unread.begins_off(np.ones((2, 0)))
