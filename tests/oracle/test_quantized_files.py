"""Files that ONNX Runtime's quantizers write: the oracle runs them, and agrees at every node.

Weights have seven bits (`reduce_range`) where they are signed, so that no kernel saturates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.matmul_bnb4_quantizer import MatMulBnb4Quantizer
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

from tests.answers.networks import Builder, convnet, encoder, mlp
from tests.oracle.quantized import assert_each_node_agrees, kernel
from toolkit.oracle.evaluator import Evaluator
from toolkit.oracle.operators.quantized.rounding import DOMAIN
from toolkit.tensors import Array

pytestmark = pytest.mark.kernels


def mixed(seed: int = 0, *, softmax: bool = True) -> ModelProto:
    """A convnet of what the quantizers know: pools, joins, activations, a resize, a softmax."""
    b = Builder(seed)
    x = b.node("LeakyRelu", b.conv("x", 3, 8), alpha=0.1)
    x = b.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    gate = b.node("Sigmoid", b.conv(x, 8, 8))
    y = b.node("Mul", b.node("Relu", b.conv(x, 8, 8)), gate)
    y = b.node("Concat", b.node("Add", x, y), gate, axis=1)
    y = b.node("AveragePool", y, kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1])
    large = b.floats(np.array([1, 1, 2, 2]))
    y = b.node("Resize", y, "", large, mode="nearest", coordinate_transformation_mode="asymmetric")
    y = b.node("Pad", y, b.constant(np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64)))
    y = b.node("Clip", b.conv(y, 16, 12), b.floats(np.array(-1.0)), b.floats(np.array(2.0)))
    y = b.node("Transpose", y, perm=[0, 1, 3, 2])
    y = b.node("Where", b.constant(b.rng.integers(0, 2, 14) > 0), y, b.floats(np.array([0.3])))
    halves = b.node("Split", y, b.constant(np.array([5, 7], np.int64)), axis=1)
    b.nodes[-1].output.append("right half")
    y = b.node("Concat", "right half", halves, axis=1)
    y = b.node("Unsqueeze", y, b.constant(np.array([0], np.int64)))
    y = b.node("Squeeze", y, b.constant(np.array([0], np.int64)))
    y = b.node("Flatten", b.node("GlobalAveragePool", y))
    y = b.gemm(y, 12, 10)
    y = b.node("Softmax", y, axis=-1) if softmax else y
    return b.model(["batch", 3, 12, 12], (y, TensorProto.FLOAT))


def logits() -> ModelProto:
    """The same without a softmax: ONNX Runtime's own with calibrated scales is none exactly
    (tests/oracle/test_quantized_elementwise.py)."""
    return mixed(softmax=False)


def recurrent(seed: int = 0) -> ModelProto:
    """A bidirectional LSTM of 16 states over 7 steps."""
    b = Builder(seed)
    w, r = b.weight(2, 64, 24, inputs=24), b.weight(2, 64, 16, inputs=16)
    bias = b.floats(b.rng.normal(0, 0.1, (2, 128)))
    x = b.node("LSTM", "x", w, r, bias, hidden_size=16, direction="bidirectional")
    x = b.node("ReduceMean", x, axes=[0, 1])
    return b.model([7, "batch", 24], (b.matmul(x, 16, 5), TensorProto.FLOAT))


def fused(seed: int = 0) -> ModelProto:
    """What ONNX Runtime's optimizer makes of a BERT: embeddings and attention of four heads."""
    b = Builder(seed)
    d = 32
    tables = [b.weight(n, d, inputs=2) for n in (50, 16, 2)]
    gamma, beta = b.floats(b.rng.uniform(0.5, 1.5, d)), b.bias(d)
    ids = b.constant(b.rng.integers(0, 50, (2, 9)).astype(np.int32))
    kinds = b.constant(b.rng.integers(0, 2, (2, 9)).astype(np.int32))
    mask = b.constant(np.array([[1] * 9, [1] * 6 + [0] * 3], np.int32))
    embedded = helper.make_node(
        "EmbedLayerNormalization",
        [ids, kinds, *tables, gamma, beta, mask],
        ["embedded", "ends"],
        domain=DOMAIN,
        epsilon=1e-12,
    )
    weights, bias = b.weight(d, 3 * d, inputs=d), b.bias(3 * d)
    joined = helper.make_node("Add", ["embedded", "x"], ["joined"])
    attended = helper.make_node(
        "Attention", ["joined", weights, bias, "ends"], ["attended"], domain=DOMAIN, num_heads=4
    )
    head = helper.make_node("MatMul", ["attended", b.weight(d, 6, inputs=d)], ["y"])
    graph = helper.make_graph(
        [embedded, joined, attended, head],
        "fused",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 9, d])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 9, 6])],
        b.constants,
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(DOMAIN, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


NETWORKS: dict[str, tuple[Callable[[], ModelProto], tuple[int, ...]]] = {
    "mlp": (mlp, (20, 64)),
    "convnet": (convnet, (4, 3, 16, 16)),
    "mixed": (mixed, (4, 3, 12, 12)),
    "logits": (logits, (4, 3, 12, 12)),
    "encoder": (encoder, (2, 16, 64)),
    "recurrent": (recurrent, (7, 3, 24)),
    "fused": (fused, (2, 9, 32)),
}


def feed(name: str, seed: int = 0) -> dict[str, Array]:
    draw = np.random.default_rng(seed)
    return {"x": draw.standard_normal(NETWORKS[name][1]).astype(np.float32)}


class Drawn(CalibrationDataReader):  # type: ignore[misc]  # The library has no types.
    def __init__(self, name: str) -> None:
        self.feeds: Iterator[dict[str, Array]] = iter([feed(name, seed) for seed in range(1, 4)])

    def get_next(self) -> dict[str, Array] | None:
        return next(self.feeds, None)


def written(name: str, folder: Path) -> Path:
    onnx.save(NETWORKS[name][0](), folder / "model.onnx")
    return folder / "model.onnx"


def operators(model: ModelProto) -> set[str]:
    return {node.op_type for node in model.graph.node}


def embedder(seed: int = 0) -> ModelProto:
    """Rows of a table of 40 by 64, projected: x are their numbers."""
    b = Builder(seed)
    table = b.weight(40, 64, inputs=2)
    x = b.node("Gather", table, "x")
    model = b.model(["batch", 7], (b.matmul(x, 64, 9), TensorProto.FLOAT))
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
    return model


def assert_oracle_agrees(model: ModelProto, given: dict[str, Array], limit: float) -> None:
    """Node by node as far as rounding explains; at the end within `limit` of the output's RMS."""
    assert_each_node_agrees(model, given)
    for ours, theirs in zip(
        Evaluator(model).run(given).values(), kernel(model, given), strict=True
    ):
        error = np.sqrt(np.mean((theirs - ours) ** 2) / np.mean(ours**2))
        assert error < limit


DYNAMIC: dict[str, dict[str, Any]] = {
    "seven bits": {"reduce_range": True},
    "seven bits per channel": {"reduce_range": True, "per_channel": True},
    "unsigned": {"weight_type": QuantType.QUInt8},
}


@pytest.mark.parametrize("how", DYNAMIC)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_dynamically_quantized_file(name: str, how: str, tmp_path: Path) -> None:
    low = tmp_path / "low.onnx"
    quantize_dynamic(written(name, tmp_path), low, **DYNAMIC[how])
    model = onnx.load(low)

    assert_oracle_agrees(model, feed(name), 0.02)


STATIC: dict[str, dict[str, Any]] = {
    "U8 S7": {"activation_type": QuantType.QUInt8, "reduce_range": True},
    "U8 S7 per channel": {
        "activation_type": QuantType.QUInt8,
        "reduce_range": True,
        "per_channel": True,
    },
    "U8 U8": {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QUInt8},
    "S8 S7 per channel": {
        "activation_type": QuantType.QInt8,
        "reduce_range": True,
        "per_channel": True,
    },
}
QDQ_ONLY: dict[str, dict[str, Any]] = {
    "U16 S8": {"activation_type": QuantType.QUInt16, "extra_options": {"UseQDQContribOps": True}},
    "S16 S8": {"activation_type": QuantType.QInt16},
    "U8 S4": {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt4},
    "U8 U4": {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QUInt4},
}


@pytest.mark.parametrize("how", STATIC)
@pytest.mark.parametrize("form", [QuantFormat.QOperator, QuantFormat.QDQ])
@pytest.mark.parametrize("name", ["mlp", "convnet", "mixed", "encoder"])
def test_a_statically_quantized_file(
    name: str, form: QuantFormat, how: str, tmp_path: Path
) -> None:
    low = tmp_path / "low.onnx"
    quantize_static(written(name, tmp_path), low, Drawn(name), form, **STATIC[how])
    model = onnx.load(low)

    assert_oracle_agrees(model, feed(name), 0.02)


@pytest.mark.parametrize("how", QDQ_ONLY)
@pytest.mark.parametrize("name", ["mlp", "mixed"])
def test_a_file_of_16_or_4_bits(name: str, how: str, tmp_path: Path) -> None:
    low = tmp_path / "low.onnx"
    quantize_static(written(name, tmp_path), low, Drawn(name), QuantFormat.QDQ, **QDQ_ONLY[how])
    model = onnx.load(low)

    assert_oracle_agrees(model, feed(name), 0.02)


def optimized(file: Path, level: onnxruntime.GraphOptimizationLevel) -> ModelProto:
    """The file that ONNX Runtime's optimizer makes of another."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    options.optimized_model_filepath = str(file.with_suffix(".optimized.onnx"))
    options.log_severity_level = 3  # It warns that such a file is for this processor alone.
    onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return onnx.load(options.optimized_model_filepath)


@pytest.mark.parametrize("how", STATIC)
@pytest.mark.parametrize("name", ["mlp", "convnet", "logits"])
@pytest.mark.parametrize("level", ["ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL"])
def test_a_file_that_the_optimizer_wrote(level: str, name: str, how: str, tmp_path: Path) -> None:
    low = tmp_path / "low.onnx"
    quantize_static(written(name, tmp_path), low, Drawn(name), QuantFormat.QDQ, **STATIC[how])
    model = optimized(low, getattr(onnxruntime.GraphOptimizationLevel, level))

    assert "QGemm" in operators(model)
    assert_oracle_agrees(model, feed(name), 0.02)


@pytest.mark.parametrize("name", ["recurrent", "fused"])
def test_a_dynamically_quantized_file_that_the_optimizer_wrote(name: str, tmp_path: Path) -> None:
    low = tmp_path / "low.onnx"
    quantize_dynamic(written(name, tmp_path), low, reduce_range=True)
    model = optimized(low, onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED)

    assert "DynamicQuantizeMatMul" in operators(model)
    assert_oracle_agrees(model, feed(name), 0.02)


WEIGHTS: dict[str, dict[str, Any]] = {
    f"{bits} bits, {'symmetric' if symmetric else 'zero points'}, blocks of {block}{level}": {
        "bits": bits,
        "is_symmetric": symmetric,
        "block_size": block,
        **({"accuracy_level": 1} if level else {}),
    }
    for bits in (2, 4, 8)
    for symmetric in (True, False)
    for block, level in ((16, ""), (32, ", level 1"))
}
QDQ = {
    "QDQ, zero points": {"quant_format": QuantFormat.QDQ, "block_size": 32},
    "QDQ, symmetric": {"quant_format": QuantFormat.QDQ, "block_size": 32, "is_symmetric": True},
    "QDQ, columns": {"quant_format": QuantFormat.QDQ, "channel_wised_quantize": True},
}


def with_few_bits(model: ModelProto, **how: Any) -> ModelProto:
    """The file as ONNX Runtime's quantizer of weights writes it."""
    quantizer = MatMulNBitsQuantizer(model, **how)
    quantizer.process()
    result = quantizer.model.model
    assert isinstance(result, ModelProto)
    return result


@pytest.mark.parametrize("how", [*WEIGHTS, *QDQ])
def test_a_file_with_weights_of_few_bits(how: str) -> None:
    model = with_few_bits(encoder(), **{**WEIGHTS, **QDQ}[how])

    assert operators(model) & {"MatMulNBits", "DequantizeLinear"}
    assert_oracle_agrees(model, feed("encoder"), 1e-6)


def test_int8_activations_of_accuracy_level_4_are_an_error_of_the_kernel() -> None:
    model = with_few_bits(encoder(), accuracy_level=4, block_size=32)
    given = feed("encoder")

    (ours,) = Evaluator(model).run(given).values()
    (theirs,) = kernel(model, given)

    assert np.sqrt(np.mean((theirs - ours) ** 2) / np.mean(ours**2)) < 0.03


@pytest.mark.parametrize("symmetric", [True, False], ids=["symmetric", "zero points"])
@pytest.mark.parametrize("block", [16, 32])
def test_a_file_with_a_table_of_few_bits(block: int, symmetric: bool) -> None:
    how = {"op_types_to_quantize": ("Gather", "MatMul"), "is_symmetric": symmetric}
    model = with_few_bits(embedder(), block_size=block, **how)
    rows = np.random.default_rng(0).integers(0, 40, (3, 7))

    assert operators(model) == {"GatherBlockQuantized", "MatMulNBits", "Add"}
    assert_oracle_agrees(model, {"x": rows}, 1e-6)


@pytest.mark.parametrize("kind", [MatMulBnb4Quantizer.FP4, MatMulBnb4Quantizer.NF4])
def test_a_file_with_the_numbers_of_bitsandbytes(kind: int) -> None:
    quantizer = MatMulBnb4Quantizer(encoder(), kind, 64)
    quantizer.process()

    assert "MatMulBnb4" in operators(quantizer.model.model)
    assert_oracle_agrees(quantizer.model.model, feed("encoder"), 1e-6)


def test_a_quantized_file_of_an_old_opset(tmp_path: Path) -> None:
    # It is brought to a newer opset, with operators among its nodes that ONNX does not know.
    b = Builder(0)
    x = b.node("Sigmoid", b.gemm("x", 64, 32))
    model = b.model(["batch", 64], (b.gemm(x, 32, 4), TensorProto.FLOAT))
    model.opset_import[0].version = 13
    onnx.save(model, tmp_path / "model.onnx")
    low = tmp_path / "low.onnx"
    quantize_static(
        tmp_path / "model.onnx", low, Drawn("mlp"), QuantFormat.QOperator, reduce_range=True
    )
    quantized = onnx.load(low)

    assert {o.version for o in quantized.opset_import if not o.domain} == {13}
    assert "QGemm" in operators(quantized)
    assert_oracle_agrees(quantized, feed("mlp"), 0.02)
