"""Feeds: drawn with sense, digits, and what the user gave."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from tests.feeds.test_uses import parse
from toolkit.errors import InputError
from toolkit.feeds.drawing import Drawer, drawer
from toolkit.tensors import Array, TensorSpec

DIMS = {"batch": 3, "seq": 12}


def draw(name: str, kind: str, *shape: int | str, table: int | None = None) -> Array:
    inputs = (TensorSpec(name, kind, shape),)
    if table is None:
        return Drawer(inputs).draw(DIMS).arrays[name]
    model = parse(
        f"g ({kind}[a, b] {name}) => (float[a, b] y) <float[{table}] t>"
        f" {{ y = Gather (t, {name}) }}"
    )
    return drawer(model, inputs).draw(DIMS).arrays[name]


# Draws.


def test_floats_are_standard_normal() -> None:
    x = draw("x", "float32", 200, 200)
    assert x.dtype == np.float32
    assert abs(x.mean()) < 0.02
    assert abs(x.std() - 1) < 0.02


def test_what_indexes_a_table_stays_below_its_length_and_reaches_its_end() -> None:
    ids = draw("tokens", "int64", 50, 50, table=30)
    assert (ids.min(), ids.max()) == (0, 29)


def test_a_mask_is_of_ones_and_the_end_of_its_last_row_is_padding() -> None:
    mask = draw("attention_mask", "int64", "batch", "seq")
    assert mask.tolist() == [[1] * 12, [1] * 12, [1] * 8 + [0] * 4]


@pytest.mark.parametrize("kind", ["bool", "float32", "int32"])
def test_a_mask_of_any_type_is_a_mask(kind: str) -> None:
    mask = draw("mask", kind, "batch", 1, 5, "seq")
    assert mask.dtype == np.dtype(kind)
    assert mask[:2].all()
    assert not mask[2, 0, :, 8:].any()


def test_what_was_masked_is_no_mask() -> None:
    image = draw("masked_image", "float32", 2, 3)
    assert len(np.unique(image)) == 6


def test_a_mask_with_one_place_has_no_padding() -> None:
    assert draw("mask", "int64", 2, 1).tolist() == [[1], [1]]
    assert draw("mask", "int64").item() == 1


def test_token_types_positions_and_lengths() -> None:
    kinds = draw("token_type_ids", "int64", 9, 9)
    assert set(kinds.flat) == {0, 1}
    assert draw("position_ids", "int64", 1, 4, table=3).tolist() == [[0, 1, 2, 0]]
    lengths = draw("lengths", "int64", 99)
    assert (lengths.min(), lengths.max()) == (1, 4)


def test_other_integers_are_small_and_a_scalar_is_at_least_one() -> None:
    values = draw("n", "int32", 999)
    assert (values.dtype.name, values.min(), values.max()) == ("int32", 0, 9)
    assert all(
        Drawer((TensorSpec("n", "int64", ()),), seed=seed).draw({}).arrays["n"] >= 1
        for seed in range(9)
    )


def test_booleans_are_coins() -> None:
    assert 0.4 < draw("flag", "bool", 50, 50).mean() < 0.6


@pytest.mark.parametrize(
    ("kind", "bits", "element"),
    [
        ("bfloat16", np.uint16, ml_dtypes.bfloat16),
        ("float8e4m3fn", np.uint8, ml_dtypes.float8_e4m3fn),
        ("float16", np.float16, np.float16),
    ],
)
def test_lower_floats_travel_as_their_bits(kind: str, bits: type, element: type) -> None:
    x = draw("x", kind, 50, 50)
    assert x.dtype == bits
    assert abs(x.view(element).astype(float).std() - 1) < 0.1


@pytest.mark.parametrize("kind", ["string", "complex64"])
def test_what_cannot_be_drawn_is_one_clear_line(kind: str) -> None:
    with pytest.raises(InputError) as raised:
        draw("x", kind, 2)
    assert raised.value.what == f"the input 'x' holds {kind}, which cannot be drawn"
    assert raised.value.cures == ("--inputs feeds.npz   gives it",)


def test_a_seed_gives_the_same_feed_and_another_number_another() -> None:
    drawer = Drawer((TensorSpec("x", "float32", ("batch", 8)),), seed=3)
    first, again, other = (drawer.draw({"batch": 2}, n).arrays["x"] for n in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first[:1], drawer.draw({"batch": 1}).arrays["x"])
    assert drawer.draw({"batch": 2}).origin == "drawn with seed 3"


def test_inputs_of_one_shape_are_not_the_same() -> None:
    pair = tuple(TensorSpec(name, "float32", (8,)) for name in "ab")
    arrays = Drawer(pair).draw({}).arrays
    assert not np.array_equal(arrays["a"], arrays["b"])


def test_an_input_that_no_memory_holds_is_told_with_what_it_takes() -> None:
    drawer = Drawer((TensorSpec("x", "float32", ("n", 1 << 40)),))

    with pytest.raises(
        InputError, match=r"'x' of shape 1000x1099511627776 takes 8796\u2009TB"
    ) as caught:
        drawer.draw({"n": 1000})

    assert caught.value.cures == (
        "--dim n=8    asks for a smaller size",
        "--shape x=8x8    states another shape",
    )
