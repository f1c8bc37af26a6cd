"""Reads arrays from disk: .npz, .safetensors, and test data as the ONNX model zoo has it.

The zoo's form: a folder test_data_set_0 (1, 2 …) beside the model with input_0.pb, input_1.pb …
and output_0.pb …, each a TensorProto that may carry its name; else its number is its place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from toolkit import tensors
from toolkit.errors import InputError, first_line
from toolkit.feeds import elements
from toolkit.onnxfiles import storedtensors
from toolkit.tensors import Array
from toolkit.units import Bytes

DATA_SET = re.compile(r"test_data_set_(\d+)")
"""The name of a data set's folder."""
SAFETENSORS = {
    "F16": "float16",
    "F32": "float32",
    "F64": "float64",
    "BF16": "bfloat16",
    "F8_E4M3": "float8e4m3fn",
    "F8_E5M2": "float8e5m2",
    "I8": "int8",
    "I16": "int16",
    "I32": "int32",
    "I64": "int64",
    "U8": "uint8",
    "U16": "uint16",
    "U32": "uint32",
    "U64": "uint64",
    "BOOL": "bool",
}
"""The format's name of a type → ONNX's. numpy has no bfloat16 and no float8: they come as bits."""

LONGEST_HEADER: Bytes = 100_000_000
"""The most that a header of safetensors may have, by its format."""


def read(path: Path, names: Sequence[str]) -> list[dict[str, Array]]:
    """The arrays that `--inputs` names, by input: one set, or one for each data set of a folder.

    `names` are those of the model's inputs, in order. Raises InputError for what cannot be read.
    """
    if path.is_dir():
        return [tensors_of(folder, "input", names) for folder in data_sets(path)]
    tensors.demand_file(path)
    if path.suffix == ".npz":
        return [_npz(path)]
    if path.suffix == ".safetensors":
        return [_safetensors(path)]
    raise InputError(
        f"{path} is no .npz, no .safetensors and no folder of test data",
        "numpy.savez('feeds.npz', input=array)   writes one",
    )


def data_sets(folder: Path) -> list[Path]:
    """The data sets of a folder in the order of their numbers: the folder itself may be one.

    Raises InputError where there is none.
    """
    if (folder / "input_0.pb").is_file():
        return [folder]
    sets = [path for path in folder.iterdir() if DATA_SET.fullmatch(path.name) and path.is_dir()]
    if not sets:
        raise InputError(f"{folder} holds no test data: no input_0.pb, no test_data_set_0/")
    return sorted(sets, key=lambda path: int(path.name.rpartition("_")[2]))


def tensors_of(folder: Path, role: str, names: Sequence[str]) -> dict[str, Array]:
    """The inputs or outputs of one data set by name; `role` is 'input' or 'output'.

    A tensor without a name, or with one that the model does not have, takes the name of its place:
    much of the zoo is so. Raises InputError for a file that is no tensor.
    """
    arrays = {}
    for index, name in enumerate(names):
        file = folder / f"{role}_{index}.pb"
        if not file.is_file():
            continue  # The model has a default for it, or the caller says that it is missing.
        tensor = read_tensor(file)
        arrays[tensor.name if tensor.name in names else name] = elements.array_of(tensor)
    return arrays


def read_tensor(file: Path) -> TensorProto:
    """A TensorProto from disk. Raises InputError for anything else, and for external data."""
    tensor = TensorProto()
    try:
        tensor.ParseFromString(file.read_bytes())
        onnx.checker.check_tensor(tensor)
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from error
    except Exception as error:  # protobuf and the checker raise classes of their own.
        raise InputError(f"{file} holds no tensor; sequences and maps cannot be fed") from error
    if tensor.data_location == TensorProto.EXTERNAL:
        raise InputError(f"{file} keeps its data in another file, which is not opened")
    storedtensors.refuse_unknown_type(file, tensor.name, tensor.data_type)
    return tensor


def _npz(path: Path) -> dict[str, Array]:
    try:
        return tensors.read_npz(path)
    except ValueError as error:
        raise InputError(f"{path} cannot be read: {error}") from error


def _safetensors(path: Path) -> dict[str, Array]:
    from safetensors import SafetensorError, deserialize

    try:
        _demand_header(path)
        rows = deserialize(path.read_bytes())  # type: ignore[no-untyped-call]
    except (OSError, ValueError, SafetensorError) as error:
        raise InputError(f"{path} cannot be read: {first_line(error)}") from error
    return {name: _of_row(path, name, row) for name, row in rows}


def _demand_header(path: Path) -> None:
    """Raises ValueError for a file whose header cannot be, before all of it is read."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if not 0 < length <= min(LONGEST_HEADER, path.stat().st_size - 8):
        raise ValueError("it begins with no header of safetensors")


def _of_row(path: Path, name: str, row: Mapping[str, Any]) -> Array:
    kind = SAFETENSORS.get(str(row["dtype"]))
    if kind is None:
        raise InputError(f"{path}: {name!r} is of the type {row['dtype']}, which cannot be fed")
    return np.frombuffer(row["data"], tensors.dtype_of(kind)).reshape(row["shape"])
