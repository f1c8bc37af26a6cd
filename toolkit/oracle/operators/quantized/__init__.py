"""Computes quantised operators: ONNX's own, and those of ONNX Runtime (com.microsoft).

Integers are exact, scales are raised to float64, and the end is rounded half to even. ONNX
Runtime's kernels multiply by scales in float32, so an integer may differ from theirs by one step
where the number lay within 1e-3 of the middle of two. ONNX's reference evaluator is wrong or slow:

- DequantizeLinear reads 32-bit integers as float32; QuantizeLinear rounds through int32, and
  divides in float32 where `precision` says so.
- DynamicQuantizeLinear has its scale in float32.
- MatMulInteger and QLinearMatMul take a zero point of each row for one of each column.
- MatMulInteger, QLinearMatMul, ConvInteger and QLinearConv multiply integers without BLAS: 3 to 40
  times as slow as float64.
- QLinearConv adds the zero point before it rounds.
"""

from __future__ import annotations

from onnx.reference.op_run import OpRun

from toolkit.oracle.operators.quantized import contributed
from toolkit.oracle.operators.quantized.blocks import GatherBlockQuantized, MatMulBnb4, MatMulNBits
from toolkit.oracle.operators.quantized.convolutions import ConvInteger, QLinearConv
from toolkit.oracle.operators.quantized.elementwise import (
    QLinearAdd,
    QLinearConcat,
    QLinearLeakyRelu,
    QLinearMul,
    QLinearSigmoid,
    QLinearSoftmax,
    QLinearWhere,
)
from toolkit.oracle.operators.quantized.experts import QMoE
from toolkit.oracle.operators.quantized.linear import (
    DequantizeLinear,
    DynamicQuantizeLinear,
    QuantizeLinear,
)
from toolkit.oracle.operators.quantized.pools import (
    NhwcMaxPool,
    QLinearAveragePool,
    QLinearGlobalAveragePool,
)
from toolkit.oracle.operators.quantized.products import (
    DynamicQuantizeMatMul,
    MatMulInteger,
    MatMulInteger16,
    MatMulIntegerToFloat,
    QGemm,
    QLinearMatMul,
)
from toolkit.oracle.operators.quantized.recurrent import DynamicQuantizeLSTM
from toolkit.oracle.operators.quantized.transformers import QAttention, QEmbedLayerNormalization

OWN: tuple[type[OpRun], ...] = (
    ConvInteger,
    DequantizeLinear,
    DynamicQuantizeLSTM,
    DynamicQuantizeLinear,
    DynamicQuantizeMatMul,
    GatherBlockQuantized,
    MatMulBnb4,
    MatMulInteger,
    MatMulInteger16,
    MatMulIntegerToFloat,
    MatMulNBits,
    NhwcMaxPool,
    QAttention,
    QEmbedLayerNormalization,
    QGemm,
    QLinearAdd,
    QLinearAveragePool,
    QLinearConcat,
    QLinearConv,
    QLinearGlobalAveragePool,
    QLinearLeakyRelu,
    QLinearMatMul,
    QLinearMul,
    QLinearSigmoid,
    QLinearSoftmax,
    QLinearWhere,
    QMoE,
    QuantizeLinear,
    contributed.DequantizeLinear,
    contributed.QLinearConv,
    contributed.QuantizeLinear,
)
"""All of them; which is ONNX's and which is ONNX Runtime's, `op_domain` says."""
