"""Writes files whose work is known, for a tool that only times files: N equal layers in a row.

The plant is nominal: 103 layers are 3 % more work than 100, and not exactly 3 % more time. OpenVINO
took 1.021 ± 0.002 and 1.031 ± 0.003 times as long for 102 and 103 (blocks interleaved in one
process on one core), 0.513 times for 50 and 2.13 for 200, which fit into the caches less well.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTH = 64
ROWS = 16
LAYERS = 100
"""Layers of the first file: with a hundred, 1 % more work is one more layer."""


def layers(slower: float) -> int:
    """The number of layers for a planted share: 0.02 → 102."""
    return round(LAYERS * (1 + slower))


def write(count: int, path: Path) -> None:
    """Writes a chain of Gemm and Relu with seeded weights; a longer one begins with the shorter."""
    source = np.random.default_rng(0)
    nodes, weights = [], []
    for number in range(count):
        # He's variance keeps the values of a chain of ReLUs of one size (K. He et al., *Delving
        # Deep into Rectifiers*, 2015).
        weight = source.standard_normal((WIDTH, WIDTH), np.float32) * np.float32(np.sqrt(2 / WIDTH))
        weights += [
            numpy_helper.from_array(weight, f"w{number}"),
            numpy_helper.from_array(np.full(WIDTH, 0.01, np.float32), f"b{number}"),
        ]
        gemm = [f"x{number}", f"w{number}", f"b{number}"]
        nodes += [
            helper.make_node("Gemm", gemm, [f"g{number}"]),
            helper.make_node("Relu", [f"g{number}"], [f"x{number + 1}"]),
        ]
    shape = [ROWS, WIDTH]
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("x0", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(f"x{count}", TensorProto.FLOAT, shape)],
        weights,
    )
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=10), path)
