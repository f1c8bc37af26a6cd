"""Outputs that must be equal, in types that numpy lacks too."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from toolkit.answers.acceptance import Acceptance
from toolkit.answers.discrete import DiscreteOutput
from toolkit.answers.verdict import Limits, OutputVerdict
from toolkit.tensors import Array, TensorSpec

VALUES = np.array([0.46875, 448, -0.5, np.nan])


def judged(kind: str, oracle: Array, answer: Array) -> OutputVerdict:
    output = DiscreteOutput(TensorSpec("y", kind, (4,)), (oracle,))
    return output.judge([answer], Acceptance("float32", Limits(), {}))


@pytest.mark.parametrize(
    ("kind", "element"),
    [("float8e4m3fn", ml_dtypes.float8_e4m3fn), ("float8e5m2", ml_dtypes.float8_e5m2)],
)
def test_float8_that_comes_as_its_bits_is_compared_by_its_values(
    kind: str, element: type[ml_dtypes.float8_e4m3fn]
) -> None:
    oracle = VALUES.astype(element)
    other = np.array([0.25, 448, -0.5, np.nan]).astype(element)

    assert judged(kind, oracle, oracle.view(np.uint8)).reason == ""
    assert judged(kind, oracle, other.view(np.uint8)).reason == (
        "wrong: 1 of 4 differ, which must be equal"
    )


def test_bits_are_not_taken_for_a_type_of_numpy() -> None:
    bits = np.zeros(4, np.uint8)

    assert judged("int32", np.zeros(4, np.int32), bits).reason == (
        "wrong: its type is uint8, the file says int32"
    )
