"""Computes operators in float64 where the ONNX reference evaluator is wrong, inexact or slow.

They were found by running all node cases of the onnx package and 317 further ones in float64
against ONNX Runtime with its optimizations off (onnx 1.23.2, onnxruntime 1.32.0). The evaluator's
own operators differ:

- Erf, and Gelu through it, rounds to float32 whatever its input is.
- GatherElements wants indices of the shape of the data, which the standard does not.
- GlobalMaxPool drops a dimension of what has one spatial dimension.
- MaxPool with SAME_LOWER has the wrong shape, LpPool with ceil_mode wrong values; all its pools
  walk through the output in Python.
- ConvTranspose with groups and a bias fails; it scatters columns in Python.
- LSTM ignores sequence_lens, clip, input_forget and activations, GRU sequence_lens, without a word;
  RNN knows Tanh alone.
- LRN walks over the batch where the channels are meant, and leaves all others unnormalised.
- Pad refuses negative pads; MeanVarianceNormalization mixes in float32 constants.
- GridSample, AffineGrid and their users compute coordinates in float32; GridSample and DeformConv
  walk in Python. A cubic GridSample with border padding has other values than PyTorch and ONNX
  Runtime.
- LinearAttention, MelWeightMatrix, TfIdfVectorizer and the activation of CausalConvWithState give
  float32, FlexAttention takes its scale in it.
- BitCast reads the bits of a float that is raised.
- Resize with align_corners and scales takes a size that is no whole number for the output's.
- Loop without a condition does not run at all, and stacks what it collects along the wrong axis.
- Scan knows neither directions nor axes.
- GroupNormalization of opset 21 casts to float32 on its way (4e-7 of its largest value).
- LogSoftmax takes the logarithm of 0 where softmax is too small for a float.
- MatMul, Conv and Einsum are right and slow: one thread, or copies of every window. GatherND,
  ScatterND, ScatterElements, NonMaxSuppression and RoiAlign are right and walk in Python.
- Softmax, most activations, normalizations and reductions are right and slow for large arrays: many
  passes in numpy, each on one thread and into new memory. What a kernel of torch needs in float64
  on one thread, as a share of the evaluator's time, for 2 million numbers (torch 2.13.0, numpy
  2.4.6): Pow with the exponent 3 1 %, Sigmoid 6 %, HardSigmoid and LeakyRelu 13 %, Softplus 14 %,
  LayerNormalization 25 %, Softmax and Elu 29 %, ReduceMean along the last axis 36 %, Relu 40 %,
  Where 90 %. numpy is as fast with Add, Mul, Div and Clip, and faster with Exp, Tanh and Sqrt:
  those stay the evaluator's.
"""

from __future__ import annotations

from onnx.reference.op_run import OpRun

from toolkit.oracle.operators import activations, features, microsoft, norms, states
from toolkit.oracle.operators.detection import NonMaxSuppression, RoiAlign
from toolkit.oracle.operators.elementwise import (
    LRN,
    BitCast,
    GatherElements,
    GlobalMaxPool,
    MeanVarianceNormalization,
    Pad,
)
from toolkit.oracle.operators.flexible import FlexAttention
from toolkit.oracle.operators.loops import Loop, Scan
from toolkit.oracle.operators.pools import AveragePool, LpPool, MaxPool
from toolkit.oracle.operators.products import Conv, ConvTranspose, Einsum, MatMul
from toolkit.oracle.operators.quantized import OWN as QUANTIZED
from toolkit.oracle.operators.recurrent import GRU, LSTM, RNN
from toolkit.oracle.operators.sampling import AffineGrid, DeformConv, GridSample, Resize
from toolkit.oracle.operators.scattering import GatherND, ScatterElements, ScatterND

OWN: tuple[type[OpRun], ...] = (
    AffineGrid,
    AveragePool,
    BitCast,
    Conv,
    ConvTranspose,
    DeformConv,
    Einsum,
    FlexAttention,
    GRU,
    GatherElements,
    GatherND,
    GlobalMaxPool,
    GridSample,
    LRN,
    LSTM,
    Loop,
    LpPool,
    MatMul,
    MaxPool,
    MeanVarianceNormalization,
    NonMaxSuppression,
    Pad,
    RNN,
    Resize,
    RoiAlign,
    ScatterElements,
    ScatterND,
    Scan,
    *activations.OWN,
    *features.OWN,
    *microsoft.OWN,
    *norms.OWN,
    *QUANTIZED,
    *states.OWN,
)
"""All of them, given to the evaluator as `new_ops`, which goes by the names of the classes."""
