"""The precision that a file asks for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
from onnx import ModelProto, TensorProto, helper
from onnxruntime.quantization import QuantFormat
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

from tests.answers.networks import Builder, encoder, float16_file, mlp
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


def own(operator: str, how: Mapping[str, int] = MappingProxyType({})) -> ModelProto:
    """A file of one node; its inputs are of no matter."""
    node = helper.make_node(operator, ["x"], ["y"], domain="com.microsoft")
    node.attribute.extend(helper.make_attribute(key, value) for key, value in how.items())
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n"]) for n in "xy"]
    return helper.make_model(helper.make_graph([node], "own", values[:1], values[1:]))


@pytest.mark.parametrize(
    "operator",
    [
        *("QLinearAdd", "QLinearConv", "QLinearSoftmax", "QGemm", "QAttention", "QuantizeLinear"),
        *("DynamicQuantizeMatMul", "DynamicQuantizeLSTM", "MatMulIntegerToFloat"),
        *("MatMulInteger16", "QOrderedMatMul"),
    ],
)
def test_what_rounds_between_its_nodes_declares_int8(operator: str) -> None:
    assert of_file(own(operator)) == "int8"


@pytest.mark.parametrize(
    ("operator", "how"),
    [
        ("MatMulNBits", {"bits": 4}),
        ("MatMulNBits", {"bits": 8, "accuracy_level": 1}),
        ("QMoE", {"expert_weight_bits": 4, "block_size": 32}),
        ("QMoE", {"expert_weight_bits": 8}),
        ("MatMulBnb4", {}),
        ("GatherBlockQuantized", {}),
        ("QEmbedLayerNormalization", {}),
        ("DequantizeLinear", {}),
    ],
)
def test_what_has_quantized_weights_alone_declares_its_floats(
    operator: str, how: dict[str, int]
) -> None:
    assert of_file(own(operator, how)) == "float32"


@pytest.mark.parametrize(
    ("operator", "how"),
    [
        ("MatMulNBits", {"bits": 4, "accuracy_level": 4}),
        ("QMoE", {"expert_weight_bits": 4, "accuracy_level": 4}),
        ("QMoE", {"expert_weight_bits": 8, "block_size": 32}),
    ],
)
def test_int8_activations_that_a_file_allows_are_declared(
    operator: str, how: dict[str, int]
) -> None:
    assert of_file(own(operator, how)) == "int8"


@pytest.mark.parametrize("form", [QuantFormat.QDQ, QuantFormat.QOperator])
def test_a_file_with_weights_of_4_bits_declares_float32(form: QuantFormat) -> None:
    quantizer = MatMulNBitsQuantizer(encoder(), block_size=32, quant_format=form)
    quantizer.process()

    assert of_file(quantizer.model.model) == "float32"
