"""Outputs that are compared piece by piece have the figures that a comparison at once gives."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

from toolkit.answers import pieces
from toolkit.answers.pieces import PlainOutput, measure, rms_of
from toolkit.answers.rule import Scale
from toolkit.tensors import Array

DRAW = np.random.default_rng(3)


def output(*shapes: tuple[int, ...]) -> tuple[PlainOutput, list[Array]]:
    """An output of about 10, its float32 evaluation, and answers."""
    oracle = [DRAW.normal(0, 10, s) for s in shapes]
    plain, answers = (
        [(o + DRAW.normal(0, size, o.shape)).astype(np.float32) for o in oracle]
        for size in (1e-5, 3e-5)
    )
    return PlainOutput(tuple(oracle), (tuple(plain),)), answers


def joined(arrays: object) -> Array:
    return np.concatenate([np.ravel(a) for a in arrays]).astype(np.float64)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "shapes",
    [((7, 5, 30), (3, 5, 30)), ((40, 3), (9, 4)), ((), ()), ((0, 4), (6, 4))],
    ids=["one width", "two widths", "scalars", "an empty feed"],
)
def test_figures_are_those_of_all_elements_at_once(
    shapes: tuple[tuple[int, ...], ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "PIECE", 64)
    whole, answers = output(*shapes)
    wanted, plain, values = joined(whole.oracle), joined(whole.plain[0]), joined(answers)
    scale = Scale(wanted[:, None], [("float32", "plain", plain[:, None])])

    measures = measure(whole, answers)

    assert whole.noise.rms == pytest.approx(scale.noise)
    assert whole.noise.typical == scale.typical
    assert measures.size == pytest.approx(scale.rms((values - wanted)[:, None]))
    assert measures.rms == pytest.approx(np.sqrt(np.mean((values - wanted) ** 2)))
    assert measures.largest == np.abs(values - wanted).max()
    assert measures.worst == np.abs(values - wanted).argmax()
    assert rms_of(whole, answers) == pytest.approx(measures.size)
    assert measures.off.size == 0


def test_an_element_that_stands_out_is_seen_in_any_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PIECE", 64)
    whole, answers = output((50, 20), (30, 20))
    before = measure(whole, answers).stands_out
    answers[1][29, 19] += np.float32(0.01)

    after = measure(whole, answers)

    assert before < pieces.STANDS_OUT < after.stands_out
    assert whole.index(after.worst) == (1, 29, 19)


def test_what_is_not_finite_is_found_and_counts_nowhere_else() -> None:
    whole, answers = output((50, 20))
    whole.oracle[0][3, 4] = np.inf
    answers[0][3, 4] = np.inf
    right = measure(whole, answers)
    answers[0][7, 8] = np.nan

    wrong = measure(whole, answers)

    assert right.off.size == 0
    assert wrong.off.tolist() == [7 * 20 + 8]
    assert wrong.size == pytest.approx(right.size, rel=0.1)


def test_an_output_is_not_copied() -> None:
    """Four million elements are 32 MB in float64; pieces take a few MB each."""
    whole, answers = output((1000, 4000))
    tracemalloc.start()

    measure(whole, answers)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    # One byte an element is allowed for: the flat indices of what is off.
    assert peak < 0.8 * whole.oracle[0].nbytes


def behind_relu(bias: float = 0.0) -> tuple[PlainOutput, list[Array]]:
    """An output of which more than half are zeros, in float64, in float32 and as an answer."""
    random = np.random.default_rng(1)
    x, w = random.normal(size=(60, 300)), random.normal(size=(300, 40))

    def run(dtype: type[np.floating[Any]], order: int) -> Array:
        product = x.astype(dtype)[:, ::order] @ w.astype(dtype)[::order]
        output: Array = np.maximum(product + dtype(bias), dtype(0))
        return output

    given = run(np.float32, -1)
    return PlainOutput((run(np.float64, 1),), ((run(np.float32, 1),),)), [given]


@pytest.mark.parametrize("bias", [-3.0, 0.0])
def test_zeros_that_are_exactly_right_hide_no_fault_and_make_none(bias: float) -> None:
    whole, answers = behind_relu(bias)
    assert np.mean(whole.oracle[0] == 0) > 0.48

    before = measure(whole, answers).stands_out
    of_a_zero = [np.where(whole.oracle[0] == 0, np.float32(1e-2), answers[0])]
    one = answers[0].copy()
    one[tuple(np.argwhere(whole.oracle[0] > 0)[5])] += np.float32(1e-2)

    assert 1 < before < pieces.STANDS_OUT
    assert measure(whole, [one]).stands_out > pieces.STANDS_OUT
    assert measure(whole, of_a_zero).size > 10 * whole.noise.rms
