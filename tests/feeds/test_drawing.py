"""Feeds: drawn with sense, digits, and what the user gave."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto
from safetensors.torch import save_file

from toolkit.errors import InputError
from toolkit.feeds import drawing
from toolkit.feeds.drawing import Drawer, Feed
from toolkit.sources.reference import digits, held_out
from toolkit.tensors import Array, TensorSpec

DIMS = {"batch": 3, "seq": 12}


def draw(name: str, kind: str, *shape: int | str, table: int | None = None) -> Array:
    tables = {} if table is None else {name: table}
    return Drawer((TensorSpec(name, kind, shape),), tables).draw(DIMS).arrays[name]


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
        Drawer((TensorSpec("n", "int64", ()),), {}, seed).draw({}).arrays["n"] >= 1
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
    drawer = Drawer((TensorSpec("x", "float32", ("batch", 8)),), {}, 3)
    first, again, other = (drawer.draw({"batch": 2}, n).arrays["x"] for n in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first[:1], drawer.draw({"batch": 1}).arrays["x"])


def test_inputs_of_one_shape_are_not_the_same() -> None:
    pair = tuple(TensorSpec(name, "float32", (8,)) for name in "ab")
    arrays = Drawer(pair, {}).draw({}).arrays
    assert not np.array_equal(arrays["a"], arrays["b"])


def test_what_a_feed_says_of_itself() -> None:
    feed = Drawer((TensorSpec("x", "float32", ("batch", 8)),), {}, 3).draw({"batch": 2})
    assert (feed.name, feed.origin) == ("batch 2", "drawn with seed 3")
    assert (feed.shapes, feed.size) == ({"x": [2, 8]}, 64)
    assert Drawer((TensorSpec("x", "float32", (8,)),), {}).draw({}).name == "fixed shape"


# Tables that a graph indexes.


def parse(body: str) -> ModelProto:
    return onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 20]> {body}')


def test_the_shortest_table_that_an_input_reaches_is_its_vocabulary() -> None:
    model = parse(
        """g (int32[b, s] ids, int64[b] late, int64[b] free, float[b, 4] x) => (float[y] y)
        <float[50, 4] long, float[4, 30] short, int64[1] shape = {-1}>
        {
            wide = Cast <to = 7> (ids)
            flat = Reshape (wide, shape)
            turned = Transpose <perm = [1, 0]> (short)
            a = Gather (turned, flat)
            b = Gather (long, wide)
            c = Gather <axis = 1> (x, late)
            d = Add (free, late)
            y = Identity (d)
        }"""
    )
    assert drawing.table_lengths(model) == {"ids": 30, "late": 4}


def test_an_index_into_something_of_unknown_size_has_no_vocabulary() -> None:
    model = parse("g (float[n] x, int64[k] at) => (float[k] y) { y = Gather (x, at) }")
    assert drawing.table_lengths(model) == {}


# Digits.


def test_digits_are_held_out_ones_and_no_image_comes_twice() -> None:
    feed = drawing.digits(TensorSpec("input", "float32", ("batch", 64)), [1, 257])[1]
    rows = {row.tobytes() for row in feed.arrays["input"]}
    assert (feed.dims, feed.origin) == ({"batch": 257}, "digits")
    assert feed.arrays["input"].dtype == np.float32
    assert rows <= {row.tobytes() for row in held_out()}
    assert len(rows) > 250  # a few digits of the data are the same
    assert feed.arrays["input"].max() == 1 == digits()[0].max()


def test_more_digits_than_there_are_come_around_again() -> None:
    feed = drawing.Digits("input").draw({"batch": 800})
    assert feed.arrays["input"].shape == (800, 64)
    assert sorted(map(bytes, feed.arrays["input"][:360])) == sorted(map(bytes, held_out()))


# Given.

SPECS = (
    TensorSpec("ids", "int64", ("batch", "seq")),
    TensorSpec("x", "float32", ("batch", 4)),
)
IDS, XS = np.array([[1, 2, 3]]), np.ones((1, 4), np.float32)


def npz(tmp_path: Path, **arrays: Array) -> Path:
    path = tmp_path / "feeds.npz"
    np.savez(path, allow_pickle=False, **arrays)
    return path


def test_an_npz_is_read_with_its_sizes(tmp_path: Path) -> None:
    (feed,) = drawing.given(npz(tmp_path, x=XS, ids=IDS), SPECS)
    assert (feed.dims, feed.origin) == ({"batch": 1, "seq": 3}, "feeds.npz")
    assert list(feed.arrays) == ["ids", "x"]
    assert feed.arrays["ids"].tolist() == [[1, 2, 3]]


def test_a_safetensors_file_is_read_bfloat16_too(tmp_path: Path) -> None:
    path = tmp_path / "feeds.safetensors"
    x = torch.tensor([[1.5, -2.0]], dtype=torch.bfloat16)
    save_file({"x": x, "n": torch.tensor(7)}, path)
    specs = (TensorSpec("x", "bfloat16", ("batch", 2)), TensorSpec("n", "int64", ()))
    (feed,) = drawing.given(path, specs)
    assert feed.arrays["x"].view(ml_dtypes.bfloat16).astype(float).tolist() == [[1.5, -2.0]]
    assert feed.arrays["n"].shape == ()


def test_an_input_of_unknown_rank_takes_what_was_given(tmp_path: Path) -> None:
    specs = (TensorSpec("x", "float32", None),)
    (feed,) = drawing.given(npz(tmp_path, x=XS), specs)
    assert (feed.dims, feed.shapes) == ({}, {"x": [1, 4]})


UNFIT = {
    "missing": ({"ids": IDS}, "has no array for the input 'x'"),
    "unknown": ({"ids": IDS, "x": XS, "idx": IDS}, "no input is called 'idx'; there are: ids, x."),
    "type": ({"ids": IDS, "x": XS.astype(float)}, "'x' is float64, the model wants float32"),
    "rank": ({"ids": IDS[0], "x": XS}, "the input 'ids' has 2 dimensions, 3 has 1"),
    "batch": ({"ids": np.tile(IDS, (2, 1)), "x": XS}, "has 1 where batch is 2"),
}


@pytest.mark.parametrize("fault", UNFIT)
def test_arrays_that_do_not_fit_are_told(tmp_path: Path, fault: str) -> None:
    arrays, what = UNFIT[fault]
    with pytest.raises(InputError) as raised:
        drawing.given(npz(tmp_path, **arrays), SPECS)
    assert what in raised.value.what


def test_bits_are_asked_for_where_numpy_has_no_such_type(tmp_path: Path) -> None:
    specs = (TensorSpec("x", "bfloat16", (1, 4)),)
    with pytest.raises(InputError, match=r"the model wants bfloat16 as uint16, its bits$"):
        drawing.given(npz(tmp_path, x=XS), specs)


def test_files_that_are_none_are_told(tmp_path: Path) -> None:
    for name in ("feeds.npz", "feeds.safetensors", "feeds.csv"):
        (tmp_path / name).write_text("1,2,3")
    with pytest.raises(InputError, match=r"feeds\.npz cannot be read: "):
        drawing.given(tmp_path / "feeds.npz", SPECS)
    with pytest.raises(InputError, match=r"feeds\.safetensors cannot be read: "):
        drawing.given(tmp_path / "feeds.safetensors", SPECS)
    with pytest.raises(InputError, match=r"is no .npz, no .safetensors and no folder of test data"):
        drawing.given(tmp_path / "feeds.csv", SPECS)
    with pytest.raises(InputError, match=r"^no such file: "):
        drawing.given(tmp_path / "gone.npz", SPECS)


def test_a_pickle_in_an_npz_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "feeds.npz"
    np.savez(path, x=np.array([{"a": 1}], dtype=object))
    with pytest.raises(InputError, match=r"cannot be read: Object arrays cannot be loaded"):
        drawing.given(path, SPECS)


def test_a_feed_of_the_users_is_named_by_its_sizes(tmp_path: Path) -> None:
    found: list[Feed] = drawing.given(npz(tmp_path, x=XS, ids=IDS), SPECS)
    assert found[0].name == "batch 1, seq 3"
