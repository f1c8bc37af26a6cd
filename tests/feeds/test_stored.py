"""Test data as the ONNX model zoo has it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, numpy_helper

from toolkit.errors import InputError
from toolkit.feeds import stored

A, B = np.array([[1, 2]], np.float32), np.array([7])


def put(folder: Path, **tensors: TensorProto) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for file, tensor in tensors.items():
        (folder / f"{file}.pb").write_bytes(tensor.SerializeToString())
    return folder


def test_tensors_are_found_by_their_names(tmp_path: Path) -> None:
    put(
        tmp_path / "test_data_set_0",
        input_0=numpy_helper.from_array(B, "b"),
        input_1=numpy_helper.from_array(A, "a"),
    )
    (arrays,) = stored.read(tmp_path, ["a", "b"])
    assert (arrays["a"].tolist(), arrays["b"].tolist()) == ([[1, 2]], [7])


def test_tensors_without_a_name_are_found_by_their_place(tmp_path: Path) -> None:
    folder = put(
        tmp_path, input_0=numpy_helper.from_array(A), input_1=numpy_helper.from_array(B, "other")
    )
    (arrays,) = stored.read(folder, ["a", "b"])
    assert (arrays["a"].tolist(), arrays["b"].tolist()) == ([[1, 2]], [7])


def test_data_sets_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (10, 2, 0):
        array = np.array([number])
        put(tmp_path / f"test_data_set_{number}", input_0=numpy_helper.from_array(array, "a"))
    assert [arrays["a"].item() for arrays in stored.read(tmp_path, ["a"])] == [0, 2, 10]


def test_a_folder_without_test_data_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no input_0.pb, no test_data_set_0/$"):
        stored.read(tmp_path, ["a"])


def test_what_is_no_tensor_is_told(tmp_path: Path) -> None:
    (tmp_path / "input_0.pb").write_bytes(b"\xff\xff nonsense")
    with pytest.raises(InputError, match=r"input_0\.pb holds no tensor; sequences and maps cannot"):
        stored.read(tmp_path, ["a"])


def test_a_tensor_in_another_file_is_not_opened(tmp_path: Path) -> None:
    tensor = TensorProto(name="a", data_type=TensorProto.FLOAT, dims=[2])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    put(tmp_path, input_0=tensor)
    with pytest.raises(InputError, match=r"^.*input_0.pb (holds no tensor|keeps its data in)"):
        stored.read(tmp_path, ["a"])
