"""Rounding in numpy against PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from toolkit.answers import formats
from toolkit.tensors import Array


@pytest.fixture
def values() -> Array:
    rng = np.random.default_rng(0)
    spread = rng.normal(size=20_000) * np.exp(rng.uniform(-80, 80, 20_000))
    edges = [0.0, -0.0, 1.0, 1.00390625, 1.01171875, np.inf, -np.inf]
    return np.asarray([*spread, *edges], np.float32)


def test_eight_bits_are_bfloat16(values: Array) -> None:
    expected = torch.from_numpy(values).to(torch.bfloat16).to(torch.float32).numpy()

    np.testing.assert_array_equal(formats.rounded(values, 8), expected)


def test_eleven_bits_are_float16_within_its_range(values: Array) -> None:
    inside = values[(np.abs(values) > 1e-4) & (np.abs(values) < 6e4)]
    expected = torch.from_numpy(inside).to(torch.float16).to(torch.float32).numpy()

    np.testing.assert_array_equal(formats.rounded(inside, 11), expected)


def test_the_mask_of_a_transformer_stays_finite() -> None:
    mask = np.array([np.finfo(np.float32).min], np.float32)

    assert np.isfinite(formats.rounded(mask, 8)).all()


def test_truncation_never_grows_a_value(values: Array) -> None:
    cut = formats.truncated(values, 11)

    assert (np.abs(cut) <= np.abs(values)).all()
    np.testing.assert_array_equal(formats.rounded(cut, 11), cut)


def test_int8_has_a_scale_for_each_channel() -> None:
    array = np.array([[1.0, 0.5], [100.0, 30.0]], np.float32)

    whole, channels = formats.through_int8(array), formats.through_int8(array, 0)

    np.testing.assert_allclose(whole[0], [100 / 127, 100 / 127], rtol=1e-6)
    np.testing.assert_allclose(channels[0], [1.0, 64 / 127], rtol=1e-6)


def test_bfloat16_bits_become_numbers() -> None:
    values = torch.tensor([1.5, -3.0], dtype=torch.bfloat16)
    bits = values.view(torch.uint16).numpy()

    np.testing.assert_array_equal(formats.numbers(bits, "bfloat16"), [1.5, -3.0])


def test_a_complex_number_is_two() -> None:
    array = np.array([1 + 2j], np.complex64)

    np.testing.assert_array_equal(formats.numbers(array, "complex64"), [[1.0, 2.0]])
