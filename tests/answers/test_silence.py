"""Why outputs cannot tell float32 from less."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from toolkit.answers.silence import cause, is_constant
from toolkit.tensors import Array

INFINITE = np.array([[1.0, np.inf], [1.0, np.inf]])
ROWS = np.arange(6.0).reshape(3, 2)


@pytest.mark.parametrize(
    ("arrays", "constant"),
    [
        ([np.full((3, 2), 0.5)], True),
        ([np.tile([0.1, 0.9], (3, 1)), np.tile([0.1, 0.9], (1, 1))], True),
        ([np.full((1, 5), 0.2)], True),
        ([INFINITE], True),
        ([np.full((2, 2), np.nan)], True),
        ([ROWS], False),
        ([np.array([[0.1, 0.9]])], False),
        ([np.array([[1.0, np.inf], [np.inf, 1.0]])], False),
        ([np.array([[1.0, np.inf], [1.0, -np.inf]])], False),
        ([np.array(1.0)], False),
        ([np.zeros((0, 3))], False),
    ],
    ids=[
        *("one value", "one row", "one row of one value", "infinities", "no numbers"),
        *("rows", "one row of two values", "infinities elsewhere", "of another sign"),
        *("one number", "nothing"),
    ],
)
def test_what_is_the_same_whatever_is_fed(arrays: list[Array], constant: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert is_constant(arrays) is constant


def test_the_cause_is_told_as_far_as_it_shows() -> None:
    saturated = np.array([0.0, 1.0] * 50 + [0.3])

    assert cause([saturated], saturating=True) == "its activation is saturated; "
    assert cause([saturated], saturating=False) == ""
    assert cause([np.linspace(0, 1, 20)], saturating=True) == "only 20 elements; "
    assert cause([INFINITE * np.inf], saturating=True) == "only 4 elements; "
