"""Arrays and TensorProtos of any ONNX type are made of each other."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from toolkit.feeds import elements
from toolkit.tensors import Array

ROUND = {
    "float32": np.array([[1, 2]], np.float32),
    "bool": np.array([True, False]),
    "int64": np.array(3),
    "string": np.array([["a", "ü"]]),
    "bfloat16": np.array([1.5, -2], ml_dtypes.bfloat16).view(np.uint16),
    "float8e5m2": np.array([1.5, -2], ml_dtypes.float8_e5m2).view(np.uint8),
    "float16": np.array([1.5], np.float16),
}


@pytest.mark.parametrize("kind", ROUND)
def test_a_tensor_of_any_type_comes_back_as_it_was(kind: str) -> None:
    array: Array = ROUND[kind]
    tensor = elements.tensor_of("t", array, kind)
    back = elements.array_of(tensor)
    assert tensor.name == "t"
    assert (back.dtype.kind, back.shape) == (array.dtype.kind, array.shape)
    assert back.tolist() == array.tolist()
