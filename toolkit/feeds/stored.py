"""Arrays that the user has on disk: .npz, .safetensors, and test data as the ONNX model zoo has it.

The zoo's form: a folder test_data_set_0 (1, 2 …) beside the model with input_0.pb, input_1.pb …
and output_0.pb …, each a TensorProto that may carry its name; else its number is its place.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from toolkit import tensors
from toolkit.errors import InputError, first_line
from toolkit.onnxfiles import modelfile
from toolkit.tensors import BITS, Array

DATA_SET = re.compile(r"test_data_set_(\d+)")
"""The names of types in a .safetensors file. numpy has no bfloat16: it comes as its bits."""


def read(path: Path, names: Sequence[str]) -> list[dict[str, Array]]:
    """What `--inputs` names, by the names of the model's inputs: one set of arrays, or one for
    each data set of a folder. Raises InputError for what cannot be read."""
    if path.is_dir():
        return [tensors_of(folder, "input", names) for folder in data_sets(path)]
    if not path.exists():
        raise InputError(f"no such file: {path}")
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
    found = [each for each in folder.iterdir() if DATA_SET.fullmatch(each.name) and each.is_dir()]
    if not found:
        raise InputError(f"{folder} holds no test data: no input_0.pb, no test_data_set_0/")
    return sorted(found, key=lambda each: int(each.name.rpartition("_")[2]))


def tensors_of(folder: Path, role: str, names: Sequence[str]) -> dict[str, Array]:
    """The inputs or outputs ('input', 'output') of one data set. A tensor without a name, or with
    one that the model does not have, is the one of its place: much of the zoo is so."""
    found = {}
    for place in range(len(names)):
        file = folder / f"{role}_{place}.pb"
        if not file.is_file():
            continue
        tensor = read_tensor(file)
        found[tensor.name if tensor.name in names else names[place]] = array_of(tensor)
    return found


def read_tensor(file: Path) -> TensorProto:
    """A TensorProto from disk. Raises InputError for anything else, and for external data."""
    tensor = TensorProto()
    try:
        tensor.ParseFromString(file.read_bytes())
        onnx.checker.check_tensor(tensor)
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from error
    except Exception as error:  # protobuf's and the checker's own classes
        raise InputError(f"{file} holds no tensor; sequences and maps cannot be fed") from error
    if tensor.data_location == TensorProto.EXTERNAL:
        raise InputError(f"{file} keeps its data in another file, which is not opened")
    return tensor


def array_of(tensor: TensorProto) -> Array:
    """A tensor in the form in which its type travels: bfloat16 and smaller as their bits."""
    array = onnx.numpy_helper.to_array(tensor)
    kind = modelfile.type_name(tensor.data_type)
    if kind == "string":
        return array.astype(np.str_)
    return array.view(BITS[kind]) if kind in BITS else array


def tensor_of(name: str, array: Array, onnx_type: str) -> TensorProto:
    """The reverse of `array_of`."""
    if onnx_type == "string":
        return onnx.numpy_helper.from_array(array.astype(object), name)
    if onnx_type in BITS:
        element = getattr(TensorProto, onnx_type.upper())
        array = array.view(onnx.helper.tensor_dtype_to_np_dtype(element))
    return onnx.numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)


def _npz(path: Path) -> dict[str, Array]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} cannot be read: {first_line(error)}") from error


def _safetensors(path: Path) -> dict[str, Array]:
    from safetensors import SafetensorError, deserialize

    try:
        rows = deserialize(path.read_bytes())  # type: ignore[no-untyped-call]
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    return {name: _stored(path, name, row) for name, row in rows}


STORED = {
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
"""The names of types in a .safetensors file. numpy has no bfloat16: it comes as its bits."""


def _stored(path: Path, name: str, row: Mapping[str, Any]) -> Array:
    kind = STORED.get(str(row["dtype"]))
    if kind is None:
        raise InputError(f"{path}: {name!r} is of the type {row['dtype']}, which cannot be fed")
    return np.frombuffer(row["data"], tensors.dtype_of(kind)).reshape(row["shape"])
