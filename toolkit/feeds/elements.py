"""Arrays in the form in which an ONNX type travels: bfloat16 and smaller types as their bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from toolkit.errors import InputError
from toolkit.onnxfiles import modelfile
from toolkit.tensors import BITS, PLAIN, Array


def as_type(values: Array, onnx_type: str) -> Array:
    """Numbers rounded to an ONNX type. Raises InputError for a type that cannot be fed."""
    if onnx_type in PLAIN:
        return np.asarray(values).astype(PLAIN[onnx_type])
    if onnx_type not in BITS:
        raise InputError(f"tensors of the type {onnx_type} cannot be fed")
    return np.asarray(values).astype(np.float32).astype(_element(onnx_type)).view(BITS[onnx_type])


def array_of(tensor: TensorProto) -> Array:
    """The array that a TensorProto holds."""
    array = onnx.numpy_helper.to_array(tensor)
    kind = modelfile.type_name(tensor.data_type)
    if kind == "string":
        return array.astype(np.str_)
    return array.view(BITS[kind]) if kind in BITS else array


def tensor_of(name: str, array: Array, onnx_type: str) -> TensorProto:
    """The TensorProto that holds an array: the reverse of `array_of`."""
    if onnx_type == "string":
        return onnx.numpy_helper.from_array(array.astype(object), name)
    if onnx_type in BITS:
        array = array.view(_element(onnx_type))
    # ascontiguousarray makes one dimension of none, so a scalar gets its shape back.
    return onnx.numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)


def _element(onnx_type: str) -> np.dtype[Any]:
    """The type of ml_dtypes that numpy itself lacks."""
    return onnx.helper.tensor_dtype_to_np_dtype(getattr(TensorProto, onnx_type.upper()))
