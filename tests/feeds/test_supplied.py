"""The user's own arrays are read as feeds, and what does not fit the model is told."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from toolkit.errors import InputError
from toolkit.feeds import supplied
from toolkit.tensors import Array, TensorSpec

SPECS = (
    TensorSpec("ids", "int64", ("batch", "seq")),
    TensorSpec("x", "float32", ("batch", 4)),
)
IDS, XS = np.array([[1, 2, 3]]), np.ones((1, 4), np.float32)


def npz(tmp_path: Path, **arrays: Array) -> Path:
    path = tmp_path / "feeds.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def test_an_npz_is_read_with_its_sizes(tmp_path: Path) -> None:
    (feed,) = supplied.read(npz(tmp_path, x=XS, ids=IDS), SPECS)
    assert (feed.dims, feed.origin) == ({"batch": 1, "seq": 3}, "feeds.npz")
    assert list(feed.arrays) == ["ids", "x"]
    assert feed.arrays["ids"].tolist() == [[1, 2, 3]]


def test_a_safetensors_file_is_read_bfloat16_too(tmp_path: Path) -> None:
    path = tmp_path / "feeds.safetensors"
    x = torch.tensor([[1.5, -2.0]], dtype=torch.bfloat16)
    save_file({"x": x, "n": torch.tensor(7)}, path)
    specs = (TensorSpec("x", "bfloat16", ("batch", 2)), TensorSpec("n", "int64", ()))
    (feed,) = supplied.read(path, specs)
    assert feed.arrays["x"].view(ml_dtypes.bfloat16).astype(float).tolist() == [[1.5, -2.0]]
    assert feed.arrays["n"].shape == ()


def test_an_input_of_unknown_rank_takes_what_was_given(tmp_path: Path) -> None:
    specs = (TensorSpec("x", "float32", None),)
    (feed,) = supplied.read(npz(tmp_path, x=XS), specs)
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
        supplied.read(npz(tmp_path, **arrays), SPECS)
    assert what in raised.value.what


def test_bits_are_asked_for_where_numpy_has_no_such_type(tmp_path: Path) -> None:
    specs = (TensorSpec("x", "bfloat16", (1, 4)),)
    with pytest.raises(InputError, match=r"the model wants bfloat16 as uint16, its bits$"):
        supplied.read(npz(tmp_path, x=XS), specs)


def test_files_that_are_none_are_told(tmp_path: Path) -> None:
    for name in ("feeds.npz", "feeds.safetensors", "feeds.csv"):
        (tmp_path / name).write_text("1,2,3")
    with pytest.raises(InputError, match=r"feeds\.npz cannot be read: "):
        supplied.read(tmp_path / "feeds.npz", SPECS)
    with pytest.raises(InputError, match=r"feeds\.safetensors cannot be read: "):
        supplied.read(tmp_path / "feeds.safetensors", SPECS)
    with pytest.raises(InputError, match=r"is no .npz, no .safetensors and no folder of test data"):
        supplied.read(tmp_path / "feeds.csv", SPECS)
    with pytest.raises(InputError, match=r"^no such file: "):
        supplied.read(tmp_path / "gone.npz", SPECS)


def test_a_pickle_in_an_npz_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "feeds.npz"
    np.savez(path, x=np.array([{"a": 1}], dtype=object))
    with pytest.raises(InputError, match=r"cannot be read: an array of the type .*O is no tensor"):
        supplied.read(path, SPECS)


def test_a_feed_of_the_users_is_named_by_its_sizes(tmp_path: Path) -> None:
    (feed,) = supplied.read(npz(tmp_path, x=XS, ids=IDS), SPECS)
    assert feed.name == "batch 1, seq 3"
