"""The planted products are those of the two instructions."""

from __future__ import annotations

import numpy as np
import pytest

from tests.answers.quantized import exact_product, saturating_product


@pytest.mark.parametrize(
    ("inputs", "weights", "exact", "saturated"),
    [
        ([255, 255], [127, 127], 64_770, 32_767),
        ([255, 255], [-128, -128], -65_280, -32_768),
        ([255, 255], [64, 64], 32_640, 32_640),
        ([255, 255], [127, -127], 0, 0),
        ([255, 0, 0, 255], [127, 0, 0, 127], 64_770, 64_770),
        ([255, 255, 255], [127, 127, 127], 97_155, 65_152),
    ],
    ids=["over", "under", "seven bits", "signs", "other pairs", "an odd one"],
)
def test_only_neighbours_whose_sum_leaves_sixteen_bits_saturate(
    inputs: list[int], weights: list[int], exact: int, saturated: int
) -> None:
    a = np.array([inputs], np.uint8)
    b = np.array([weights], np.int8).T

    assert exact_product(a, b).tolist() == [[exact]]
    assert saturating_product(a, b).tolist() == [[saturated]]


def test_seven_bits_never_saturate() -> None:
    draw = np.random.default_rng(0)
    a = draw.integers(0, 256, (20, 33)).astype(np.uint8)
    b = draw.integers(-64, 65, (33, 7)).astype(np.int8)

    np.testing.assert_array_equal(saturating_product(a, b), exact_product(a, b))
