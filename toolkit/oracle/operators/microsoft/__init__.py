"""Computes ONNX Runtime's fused operators of its domains com.microsoft in float64.

Its optimizer writes them into files, and so do exporters for it. They are held against its CPU
kernels without optimizations, which are the same library's; where ONNX has a definition of the same
operator, against that too.

Of what its CPU has kernels for (1.32) these have no evaluation here:

- BeamSearch, GreedySearch, Sampling and WhisperBeamSearch hold whole models and choose tokens,
  where float32 and float64 part for good; Sampling draws at random.
- Tokenizer and WordConvEmbedding read text, SparseToDenseMatMul sparse tensors: neither is fed.
- MatMulFpQ4 and GatherPacked read packed bytes of which the documentation does not tell the order.
- MaxpoolWithMask is "for internal use": its kernel gives no maximum of what the mask leaves.
- AttnLSTM and SampleOp are of no exporter that is known.
"""

from __future__ import annotations

from onnx.reference.op_run import OpRun

from toolkit.oracle.operators.microsoft import (
    activations,
    arrays,
    attention,
    branches,
    convolutions,
    experts,
    grouped,
    nchwc,
    norms,
    packed,
    positions,
    products,
    rotary,
    states,
    tokens,
)

OWN: tuple[type[OpRun], ...] = (
    *activations.OWN,
    *arrays.OWN,
    *attention.OWN,
    *branches.OWN,
    *convolutions.OWN,
    *experts.OWN,
    *grouped.OWN,
    *nchwc.OWN,
    *norms.OWN,
    *packed.OWN,
    *positions.OWN,
    *products.OWN,
    *rotary.OWN,
    *states.OWN,
    *tokens.OWN,
)
"""All of them, which operators.OWN joins to those of ONNX's own domain."""
