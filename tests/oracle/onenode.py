"""Models of one operator, on ONNX Runtime with its optimizations off and on the oracle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto, helper

from toolkit.oracle.evaluator import Evaluator
from toolkit.tensors import Array

CLOSE = 1e-5
"""Most that float32's noise moves a result, as a share of its output's largest value."""


class Drawn:
    """Draws inputs by a seed."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)

    def floats(self, *shape: int) -> Array:
        """Draws float32 from the normal distribution."""
        return self._random.standard_normal(shape).astype(np.float32)

    def below(self, most: int, *shape: int, dtype: type = np.int32) -> Array:
        """Draws whole numbers from 0 to below `most`."""
        return self._random.integers(0, most, shape).astype(dtype)


def whole(*values: object) -> Array:
    """Makes an int32 array."""
    return np.array(values, np.int32)


@dataclass(frozen=True)
class Case:
    """One node with its inputs; None stands for one that is left out."""

    operator: str
    inputs: tuple[Array | None, ...]
    outputs: tuple[bool, ...] = (True,)
    """Which outputs the node names."""
    how: dict[str, Any] = field(default_factory=dict)
    name: str = ""
    domain: str = "com.microsoft"

    def __str__(self) -> str:
        words = [f"{k}={v}" for k, v in self.how.items()]
        return " ".join([self.operator, self.name, *words]).replace("[", "").replace("]", "")

    @property
    def feed(self) -> dict[str, Array]:
        return {f"i{k}": array for k, array in enumerate(self.inputs) if array is not None}

    def model(self) -> ModelProto:
        names = ["" if array is None else f"i{k}" for k, array in enumerate(self.inputs)]
        outputs = [f"o{k}" if named else "" for k, named in enumerate(self.outputs)]
        node = helper.make_node(self.operator, names, outputs, domain=self.domain, **self.how)
        return model([node], self.feed, [name for name in outputs if name])


def case(
    operator: str,
    *inputs: Array | None,
    outputs: int | Sequence[bool] = 1,
    name: str = "",
    domain: str = "com.microsoft",
    **how: Any,
) -> Case:
    named = (True,) * outputs if isinstance(outputs, int) else tuple(outputs)
    return Case(operator, inputs, named, how, name, domain)


def model(
    nodes: Sequence[onnx.NodeProto], feed: dict[str, Array], outputs: Sequence[str], opset: int = 20
) -> ModelProto:
    """Makes a model of nodes, whose outputs have types that ONNX Runtime infers."""
    values = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
        )
        for name, array in feed.items()
    ]
    graph = helper.make_graph(nodes, "g", values, [onnx.ValueInfoProto(name=n) for n in outputs])
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def ort(model: ModelProto, feed: dict[str, Array]) -> list[Array]:
    """Runs a model on ONNX Runtime's CPU kernels, one thread, without optimizations."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    outputs: list[Array] = session.run(None, feed)
    return outputs


def oracle(model: ModelProto, feed: dict[str, Array]) -> list[Array]:
    """Computes a model in float64."""
    return list(Evaluator(model).run(feed).values())


def agrees(mine: Sequence[Array], theirs: Sequence[Array], close: float = CLOSE) -> None:
    """Asserts that float64's results are those of float32 up to `close` of the largest value."""
    assert len(mine) == len(theirs)
    for exact, rounded in zip(mine, theirs, strict=True):
        assert exact.shape == rounded.shape
        if rounded.dtype.kind != "f":
            assert exact.dtype == rounded.dtype
            np.testing.assert_array_equal(exact, rounded)
            continue
        assert exact.dtype == np.float64
        np.testing.assert_array_equal(np.isnan(exact), np.isnan(rounded))
        finite = np.isfinite(rounded)
        bound = close * float(np.abs(rounded[finite]).max(initial=0))
        np.testing.assert_allclose(exact[finite], rounded[finite], rtol=0, atol=bound)


def agree(node: Case, close: float = CLOSE) -> None:
    """Asserts that the oracle computes a node as ONNX Runtime does."""
    made = node.model()
    agrees(oracle(made, node.feed), ort(made, node.feed), close)


def change(node: Case) -> float:
    """Moves the floats among the inputs by 1e-11 of each and gives the share by which the outputs
    move: about as much, unless something was rounded to float32 on its way."""
    evaluator = Evaluator(node.model())
    raised = {
        name: array.astype(np.float64) if array.dtype == np.float32 else array
        for name, array in node.feed.items()
    }
    moved = {
        name: array * (1 + 1e-11) if array.dtype == np.float64 else array
        for name, array in raised.items()
    }
    before, after = evaluator.run(raised), evaluator.run(moved)
    floats = [name for name, array in before.items() if array.dtype == np.float64]
    return max(
        float(np.abs(after[name] - before[name]).max() / (np.abs(before[name]).max() or 1))
        for name in floats
    )
