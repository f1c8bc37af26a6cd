"""The precision that a file asks for."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx import TensorProto

from tests.answers.networks import Builder, float16_file, mlp
from tests.answers.quantized import quantized
from toolkit.answers.declared import of_file


def test_a_plain_file_declares_float32() -> None:
    assert of_file(mlp()) == "float32"


def test_a_float16_file_declares_float16() -> None:
    assert of_file(float16_file(mlp())) == "float16"


@pytest.mark.parametrize(
    ("kind", "word"), [(TensorProto.FLOAT16, "float16"), (TensorProto.BFLOAT16, "bfloat16")]
)
def test_a_cast_inside_counts(kind: int, word: str) -> None:
    b = Builder(0)
    low = b.node("Cast", b.gemm("x", 64, 8), to=kind)
    back = b.node("Cast", low, to=TensorProto.FLOAT)

    assert of_file(b.model(["n", 64], (back, TensorProto.FLOAT))) == word


def test_a_quantized_file_declares_int8(tmp_path: Path) -> None:
    assert of_file(quantized(mlp(), tmp_path, per_channel=False)) == "int8"
