"""Small models that several rooms test with, made without torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from toolkit.runtimes.base import Program
from toolkit.tensors import Dim, Feed, TensorSpec

Specs = Mapping[str, tuple[str, tuple[Dim, ...]]]
"""Name of a tensor → its ONNX type and shape."""


def mlp(path: Path, seed: int = 0) -> Path:
    """64 → Gemm 128 → Relu → Gemm 2 → Sigmoid with seeded weights; batch is dynamic."""
    draw = np.random.default_rng(seed)
    shapes = {"w1": (128, 64), "b1": (128,), "w2": (2, 128), "b2": (2,)}
    weights = [
        numpy_helper.from_array(draw.normal(0, 0.1, shape).astype(np.float32), name)
        for name, shape in shapes.items()
    ]
    nodes = [
        helper.make_node("Gemm", ["input", "w1", "b1"], ["a"], transB=1),
        helper.make_node("Relu", ["a"], ["r"]),
        helper.make_node("Gemm", ["r", "w2", "b2"], ["c"], transB=1),
        helper.make_node("Sigmoid", ["c"], ["output"]),
    ]
    return save(path, nodes, {"input": ["batch", 64]}, {"output": ["batch", 2]}, weights)


def save(
    path: Path,
    nodes: list[onnx.NodeProto],
    inputs: dict[str, list[int | str]],
    outputs: dict[str, list[int | str]],
    weights: list[onnx.TensorProto] | None = None,
) -> Path:
    """Writes a float32 model."""

    def infos(specs: dict[str, list[int | str]]) -> list[onnx.ValueInfoProto]:
        return [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in specs.items()
        ]

    graph = helper.make_graph(nodes, "graph", infos(inputs), infos(outputs), weights or [])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return path


def program(
    path: Path, nodes: list[onnx.NodeProto], inputs: Specs, outputs: Specs, opset: int = 20
) -> Program:
    """Writes a model of any types; returns what a worker is given to load it."""

    def infos(specs: Specs) -> list[onnx.ValueInfoProto]:
        return [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(np.dtype(kind)), shape
            )
            for name, (kind, shape) in specs.items()
        ]

    graph = helper.make_graph(nodes, "graph", infos(inputs), infos(outputs))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    onnx.save(model, path)
    taken, given = (
        tuple(TensorSpec(name, kind, shape) for name, (kind, shape) in specs.items())
        for specs in (inputs, outputs)
    )
    return Program(path, taken, given)


def mlp_program(path: Path, threads: int = 1) -> Program:
    """What a worker is given to load the file of `mlp`."""
    return Program(
        path,
        (TensorSpec("input", "float32", ("batch", 64)),),
        (TensorSpec("output", "float32", ("batch", 2)),),
        threads=threads,
    )


def layer(path: Path) -> Path:
    """8 → Gemm 16 → Relu with seeded weights; batch is dynamic. No file of the reference model, so
    that nothing here needs torch."""
    weights = np.random.default_rng(0).normal(0, 0.3, (16, 8)).astype(np.float32)
    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["h"], transB=1),
        helper.make_node("Relu", ["h"], ["y"]),
    ]
    tensors = [numpy_helper.from_array(weights, "w")]
    return save(path, nodes, {"x": ["batch", 8]}, {"y": ["batch", 16]}, tensors)


def expected(program: Program, feed: Feed) -> np.ndarray:
    """The first output that the reference evaluator gives."""
    made = ReferenceEvaluator(str(program.model)).run(None, dict(feed))
    assert isinstance(made, list)
    return np.asarray(made[0])
