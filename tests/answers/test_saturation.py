"""Which files may saturate is a matter of their weights, on any processor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

from tests.answers.networks import NETWORKS, SHAPES, Builder
from toolkit.answers.saturation import SAFE, WEIGHTS, saturable


def float_file(folder: Path, name: str = "mlp") -> Path:
    onnx.save(NETWORKS[name](5), folder / "model.onnx")
    return folder / "model.onnx"


class Random(CalibrationDataReader):  # type: ignore[misc]  # The library has no types.
    def __init__(self, shape: tuple[int, ...]) -> None:
        draw = np.random.default_rng(0)
        self.feeds = iter([{"x": draw.standard_normal(shape, np.float32)} for _ in range(4)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.feeds, None)


@pytest.mark.parametrize(
    ("reduce_range", "weights", "expected"),
    [
        (False, QuantType.QInt8, True),
        (True, QuantType.QInt8, False),
        (False, QuantType.QUInt8, False),
    ],
    ids=["8 bits", "7 bits", "unsigned"],
)
def test_a_dynamically_quantized_file(
    tmp_path: Path, reduce_range: bool, weights: QuantType, expected: bool
) -> None:
    file, low = float_file(tmp_path), tmp_path / "int8.onnx"
    quantize_dynamic(file, low, reduce_range=reduce_range, weight_type=weights)

    assert bool(saturable(onnx.load(low))) is expected


@pytest.mark.parametrize("form", [QuantFormat.QDQ, QuantFormat.QOperator])
@pytest.mark.parametrize("reduce_range", [False, True], ids=["8 bits", "7 bits"])
def test_a_statically_quantized_file(tmp_path: Path, form: QuantFormat, reduce_range: bool) -> None:
    file, low = float_file(tmp_path, "convnet"), tmp_path / "int8.onnx"
    quantize_static(file, low, Random((2, *SHAPES["convnet"][1:])), form, reduce_range=reduce_range)

    assert bool(saturable(onnx.load(low))) is not reduce_range


@pytest.mark.parametrize("low", [False, True], ids=["8 bits", "7 bits"])
@pytest.mark.parametrize(
    ("operator", "weight"), [(op, index) for op, inputs in WEIGHTS.items() for index in inputs]
)
def test_each_operator_is_looked_at_where_its_weights_are(
    operator: str, weight: int, low: bool
) -> None:
    # Of ONNX or of ONNX Runtime's own domain: the name says which input it is.
    stored = numpy_helper.from_array(np.full((4, 4), SAFE if low else 127, np.int8), "w")
    names = ["w" if index == weight else f"x{index}" for index in range(12)]
    for domain in ("", "com.microsoft"):
        node = helper.make_node(operator, names, ["y"], domain=domain)
        model = helper.make_model(helper.make_graph([node], "g", [], [], [stored]))
        assert saturable(model) == ({} if low else {operator: 1})


def test_a_dynamically_quantized_lstm(tmp_path: Path) -> None:
    b = Builder(0)
    w, r = b.weight(1, 32, 6, inputs=6), b.weight(1, 32, 8, inputs=8)
    y = b.node("LSTM", "x", w, r, hidden_size=8)
    onnx.save(b.model([3, "n", 6], (y, TensorProto.FLOAT)), tmp_path / "model.onnx")
    quantize_dynamic(tmp_path / "model.onnx", tmp_path / "int8.onnx")

    assert saturable(onnx.load(tmp_path / "int8.onnx")) == {"DynamicQuantizeLSTM": 1}


@pytest.mark.parametrize("bits", [4, 8])
def test_weights_that_are_multiplied_as_floats_do_not(bits: int) -> None:
    quantizer = MatMulNBitsQuantizer(NETWORKS["encoder"](0), bits, 32)
    quantizer.process()

    assert saturable(quantizer.model.model) == {}


def test_a_float_file_does_not() -> None:
    assert saturable(NETWORKS["mlp"](5)) == {}


def product(weights: list[int]) -> ModelProto:
    stored = numpy_helper.from_array(np.array([weights], np.int8).T, "w")
    node = helper.make_node("MatMulInteger", ["x", "w"], ["y"])
    graph = helper.make_graph(
        [node],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, ["n", len(weights)])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, ["n", 1])],
        [stored],
    )
    return helper.make_model(graph)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [([SAFE, -SAFE], 0), ([SAFE + 1, 0], 1), ([-SAFE - 1, 0], 1), ([-128, -128], 1), ([], 0)],
)
def test_the_border_is_where_two_products_leave_sixteen_bits(
    weights: list[int], expected: int
) -> None:
    assert 255 * 2 * SAFE <= 2**15 - 1 < 255 * 2 * (SAFE + 1)
    assert saturable(product(weights))["MatMulInteger"] == expected
