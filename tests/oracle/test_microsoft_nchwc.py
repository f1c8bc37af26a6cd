"""Files in which ONNX Runtime laid channels in blocks: the oracle says of each what it says of the
file before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, NodeProto, helper

from tests.oracle.onenode import Drawn
from toolkit.oracle.evaluator import Evaluator
from toolkit.oracle.operators.microsoft import nchwc
from toolkit.tensors import Array

DRAWN = Drawn(12)
CLOSE = 1e-6
"""Most that float32's folding of constants moves a result, as a share of its largest value."""


class Net:
    """Builds a model node by node."""

    def __init__(self, *shape: int) -> None:
        self.shape = shape
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, Array] = {}

    def add(self, operator: str, *inputs: str | Array, **how: Any) -> str:
        names = [each if isinstance(each, str) else self._constant(each) for each in inputs]
        output = f"r{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, names, [output], **how))
        return output

    def convolve(self, x: str, out: int, inner: int, kernel: int = 3, **how: Any) -> str:
        return self.add(
            "Conv", x, DRAWN.floats(out, inner, kernel, kernel) / kernel, DRAWN.floats(out), **how
        )

    def _constant(self, array: Array) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = array
        return name

    def model(self, output: str) -> ModelProto:
        kind = onnx.TensorProto.FLOAT
        graph = helper.make_graph(
            self.nodes,
            "g",
            [helper.make_tensor_value_info("x", kind, self.shape)],
            [helper.make_tensor_value_info(output, kind, None)],
            [onnx.numpy_helper.from_array(array, name) for name, array in self.constants.items()],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def one(channels: int, out: int, inner: int, **how: Any) -> Callable[[], ModelProto]:
    def build() -> ModelProto:
        net = Net(2, channels, 9, 8)
        return net.model(net.convolve("x", out, inner, **how))

    return build


def activated(operator: str, **how: Any) -> Callable[[], ModelProto]:
    def build() -> ModelProto:
        net = Net(1, 16, 6, 6)
        return net.model(net.add(operator, net.convolve("x", 20, 16), **how))

    return build


def pooled(operator: str, **how: Any) -> Callable[[], ModelProto]:
    def build() -> ModelProto:
        net = Net(2, 16, 11, 12)
        return net.model(net.add(operator, net.convolve("x", 32, 16), **how))

    return build


def enlarged(mode: str, coordinates: str, nearest: str = "floor") -> Callable[[], ModelProto]:
    def build() -> ModelProto:
        net = Net(1, 16, 5, 6)
        scales = np.array([1, 1, 2, 3], np.float32)
        x = net.convolve("x", 16, 16)
        how = {"coordinate_transformation_mode": coordinates, "nearest_mode": nearest}
        return net.model(net.add("Resize", x, "", scales, mode=mode, **how))

    return build


def residual() -> ModelProto:
    net = Net(2, 3, 16, 16)
    first = net.add("Relu", net.convolve("x", 32, 3, pads=[1] * 4, strides=[2, 2]))
    second = net.convolve(first, 32, 1, pads=[1] * 4, group=32)
    third = net.add("Relu", net.add("Add", net.convolve(second, 32, 32, kernel=1), first))
    both = net.add("Concat", third, first, axis=1)
    return net.model(net.convolve(both, 20, 64, kernel=1))


def turned() -> ModelProto:
    net = Net(2, 7, 6, 16)
    inside = net.convolve(net.add("Transpose", "x", perm=[0, 3, 1, 2]), 24, 16)
    return net.model(net.add("Transpose", inside, perm=[0, 2, 3, 1]))


BUILT: dict[str, Callable[[], ModelProto]] = {
    "few channels": one(3, 32, 3, strides=[2, 1], pads=[0, 1, 2, 1]),
    "no whole block": one(20, 20, 20),
    "dilated": one(32, 16, 32, dilations=[2, 1]),
    "SAME_LOWER": one(16, 16, 16, auto_pad="SAME_LOWER", strides=[2, 2]),
    "each channel": one(24, 24, 1, group=24),
    "groups": one(32, 64, 16, group=2),
    "pointwise": one(48, 32, 48, kernel=1),
    "Relu": activated("Relu"),
    "LeakyRelu": activated("LeakyRelu", alpha=0.3),
    "HardSigmoid": activated("HardSigmoid", alpha=0.3, beta=0.4),
    "Tanh": activated("Tanh"),
    "MaxPool": pooled("MaxPool", kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1]),
    "MaxPool dilated": pooled("MaxPool", kernel_shape=[2, 2], dilations=[2, 1], ceil_mode=1),
    "AveragePool": pooled("AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4),
    "AveragePool with padding": pooled(
        "AveragePool", kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=1
    ),
    "GlobalAveragePool": pooled("GlobalAveragePool"),
    "GlobalMaxPool": pooled("GlobalMaxPool"),
    "nearest": enlarged("nearest", "asymmetric"),
    "linear": enlarged("linear", "half_pixel"),
    "linear, asymmetric": enlarged("linear", "asymmetric"),
    "linear, corners": enlarged("linear", "align_corners"),
    "residual": residual,
    "channels last": turned,
}


def optimized(model: ModelProto, folder: Path) -> ModelProto:
    """Gives what ONNX Runtime writes at its highest level."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    options.log_severity_level = 3  # it warns that such a file is for this machine
    onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return onnx.load(folder / "optimized.onnx")


def blocked(model: ModelProto) -> set[str]:
    return {node.op_type for node in model.graph.node if node.domain == nchwc.DOMAIN}


@pytest.mark.parametrize("name", BUILT)
def test_a_file_in_blocks_gives_what_it_gave_before(name: str, tmp_path: Path) -> None:
    before = BUILT[name]()
    after = optimized(before, tmp_path)
    x = DRAWN.floats(*[dim.dim_value for dim in before.graph.input[0].type.tensor_type.shape.dim])

    assert "Conv" in blocked(after)
    (right,) = Evaluator(before).run({"x": x}).values()
    (mine,) = Evaluator(after).run({"x": x}).values()
    assert mine.dtype == np.float64
    assert mine.shape == right.shape
    np.testing.assert_allclose(mine, right, rtol=0, atol=CLOSE * float(np.abs(right).max()))


def test_these_files_have_every_operator_of_the_domain(tmp_path: Path) -> None:
    written = {kind for build in BUILT.values() for kind in blocked(optimized(build(), tmp_path))}
    assert written == {operator.__name__ for operator in nchwc.OWN}


def in_blocks(w: Array, size: int, inner: int) -> Array:
    """Stores a filter element by element."""
    m, i, height, width = w.shape
    stored = np.zeros((m // size, i // inner, height, width, inner, size), w.dtype)
    for at in np.ndindex(w.shape):
        o, n, y, x = at
        stored[o // size, n // inner, y, x, n % inner, o % size] = w[at]
    return stored.reshape(w.shape)


@pytest.mark.parametrize("size", [8, 16])
@pytest.mark.parametrize("shape", [(32, 32, 3, 2), (16, 3, 2, 3), (32, 1, 3, 3)], ids=str)
def test_a_filter_comes_out_of_its_blocks(size: int, shape: tuple[int, ...]) -> None:
    w = DRAWN.floats(*shape)
    inner = size if shape[1] % size == 0 else 1
    np.testing.assert_array_equal(nchwc.unblocked(in_blocks(w, size, inner), size), w)


NARROW, WIDE, ARM = ("avx2",), ("avx2", "avx512f"), ("asimd",)


@pytest.mark.parametrize(
    ("filters", "channels", "features", "size"),
    [
        ([(32, 32, 3, 3)], 32, NARROW, 8),
        ([(32, 32, 3, 3)], 32, WIDE, 16),
        ([(32, 32, 3, 3)], 32, ARM, 16),
        ([(24, 32, 1, 1)], 24, WIDE, 8),
        ([(32, 24, 1, 1)], 32, WIDE, 8),
        ([(32, 32, 1, 1)], 20, NARROW, 16),
        ([(32, 12, 1, 1)], 32, NARROW, 16),
    ],
    ids=str,
)
def test_the_blocks_are_those_of_the_machine_unless_the_file_says_otherwise(
    filters: list[tuple[int, ...]], channels: int, features: tuple[str, ...], size: int
) -> None:
    nodes = [
        helper.make_node("Conv", ["x", f"w{k}"], ["y"], domain=nchwc.DOMAIN)
        for k in range(len(filters))
    ]
    nodes.append(
        helper.make_node("ReorderOutput", ["y"], ["z"], domain=nchwc.DOMAIN, channels=channels)
    )
    shapes = {f"w{k}": shape for k, shape in enumerate(filters)}
    assert nchwc.block(nodes, shapes, set(features)) == size
