"""One node of a quantised operator, run by the oracle and by ONNX Runtime's own kernel.

ONNX Runtime runs with its optimizations off and on one thread: some kernels quantise the rows of
each thread by their own range. Its kernels round in float32, so integers may differ by one step
where the number lay near the middle of two; `Rounding.steps` says where it lay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from toolkit.oracle.evaluator import Evaluator
from toolkit.oracle.operators.quantized import OWN
from toolkit.oracle.operators.quantized.rounding import DOMAIN, Rounding
from toolkit.oracle.portable import raised
from toolkit.tensors import Array

Inputs: TypeAlias = tuple[Array | None, ...]
"""The inputs of a node; None stands for one that is left out."""

NEAR = 1e-3
"""Distance in steps from the middle of two, within which float32 may decide otherwise. To it comes
the resolution of float32: at 50,000, of 16 bits, a number has steps of 4e-3 itself."""


@dataclass(frozen=True)
class Case:
    """One node with its inputs."""

    operator: str
    inputs: Inputs
    how: dict[str, Any] = field(default_factory=dict)
    domain: str = DOMAIN
    fed: int = 1
    """Inputs that are fed; the ones after them are stored in the file."""
    outputs: int = 1
    opset: int = 21
    name: str = ""

    def __str__(self) -> str:
        words = [f"{key}={value}" for key, value in self.how.items()]
        text = " ".join([self.operator, self.name, *words])
        return text.replace("[", "").replace("]", "").replace("  ", " ")

    @property
    def feed(self) -> dict[str, Array]:
        return {f"i{k}": a for k, a in enumerate(self.inputs[: self.fed]) if a is not None}

    def model(self, *, widened: bool = False) -> ModelProto:
        """The file; `widened` casts an output of 4 bits, which numpy cannot take, to int8."""
        names = ["" if array is None else f"i{k}" for k, array in enumerate(self.inputs)]
        values = [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
            )
            for name, array in self.feed.items()
        ]
        stored = [
            numpy_helper.from_array(array, f"i{k}")
            for k, array in enumerate(self.inputs)
            if k >= self.fed and array is not None
        ]
        outputs = [f"o{k}" for k in range(self.outputs)]
        node = helper.make_node(self.operator, names, outputs, domain=self.domain, **self.how)
        nodes = [node]
        if widened:
            nodes.append(helper.make_node("Cast", outputs, ["wide"], to=onnx.TensorProto.INT8))
            outputs = ["wide"]
        graph = helper.make_graph(
            nodes, "g", values, [onnx.ValueInfoProto(name=name) for name in outputs], stored
        )
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid(DOMAIN, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def kernel(model: ModelProto, feed: dict[str, Array]) -> list[Array]:
    """Runs a file on ONNX Runtime as it is."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return [np.asarray(output) for output in session.run(None, feed)]


def steps(model: ModelProto, feed: dict[str, Array]) -> Array:
    """Runs a file of one rounding operator in float64 without the rounding at its end."""
    session = ReferenceEvaluator(raised(model), new_ops=[_unrounded(operator) for operator in OWN])
    wide = {name: a.astype(np.float64) if a.dtype.kind == "f" else a for name, a in feed.items()}
    (result,) = session.run(None, wide)
    return np.asarray(result)


def _unrounded(operator: type[Any]) -> type[Any]:
    if not issubclass(operator, Rounding):
        return operator

    def run(self: Rounding, *inputs: Any, **given: Any) -> tuple[Array, ...]:
        return (np.asarray(self.steps(*inputs, **given)[0]),)

    return type(operator.__name__, (operator,), {"_run": run})


def near_the_middle(numbers: Array) -> Array:
    """Marks what lies near the middle of two steps."""
    resolution = np.abs(numbers) * np.finfo(np.float32).eps
    return np.asarray(np.abs(numbers - np.floor(numbers) - 0.5) <= NEAR + resolution)


def clear(draw: Callable[[], Array]) -> Array:
    """Draws floats until float32 and float64 quantise them by their own range alike."""
    while True:
        x = draw()
        wide = x.astype(np.float64)
        low, high = min(wide.min(), 0), max(wide.max(), 0)
        scale = (high - low) / 255 or 1
        if not near_the_middle(np.append(wide, -low) / scale).any():
            return x


def assert_agrees(case: Case, tolerance: float = 1e-5, *, widened: bool = False) -> None:
    """Holds the oracle against the kernel: floats to `tolerance` of the largest, integers equal or
    one step apart where rounding explains it."""
    model = case.model(widened=widened)
    exact = list(Evaluator(model).run(case.feed).values())
    for ours, theirs in zip(exact, kernel(model, case.feed), strict=True):
        assert ours.shape == theirs.shape
        if theirs.dtype.kind == "f":
            assert ours.dtype == np.float64
            largest = float(np.abs(ours).max(initial=0))
            np.testing.assert_allclose(theirs, ours, rtol=0, atol=tolerance * largest)
        else:
            assert ours.dtype == theirs.dtype
            apart = np.abs(ours.astype(np.int64) - theirs.astype(np.int64))
            explained = (
                near_the_middle(steps(case.model(), case.feed)) if apart.any() else apart == 0
            )
            assert np.all((apart == 0) | ((apart == 1) & explained))


def assert_each_node_agrees(model: ModelProto, feed: dict[str, Array]) -> None:
    """Holds each node of a file against the kernel's output for the same inputs.

    Each node is given what ONNX Runtime computed before it, so that what rounding explains at one
    node is not counted at those behind it.
    """
    every = onnx.ModelProto()
    every.CopyFrom(model)
    del every.graph.output[:]
    names = [name for node in model.graph.node for name in node.output if name]
    every.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    values = {**feed, **dict(zip(names, kernel(every, feed), strict=True))}
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        given = {name: values[name] for name in node.input if name in values}
        single = _single(model, node, given, stored)
        for name, ours in Evaluator(single).run(given).items():
            _assert_explained(node, single, given, ours, values[name])


def _single(
    model: ModelProto,
    node: onnx.NodeProto,
    given: dict[str, Array],
    stored: dict[str, onnx.TensorProto],
) -> ModelProto:
    """Makes a file of one node of a model."""
    graph = helper.make_graph(
        [node],
        "node",
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
            for name, a in given.items()
        ],
        [onnx.ValueInfoProto(name=name) for name in node.output if name],
        [stored[name] for name in dict.fromkeys(node.input) if name in stored],
    )
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=10)


def _assert_explained(
    node: onnx.NodeProto, single: ModelProto, given: dict[str, Array], ours: Array, theirs: Array
) -> None:
    assert ours.shape == theirs.shape
    if theirs.dtype.kind == "f":
        largest = float(np.abs(ours).max(initial=0))
        np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-5 * largest, err_msg=str(node))
        return
    assert ours.dtype == theirs.dtype
    apart = np.abs(ours.astype(np.int64) - theirs.astype(np.int64))
    if apart.any():
        numbers = (
            _own_range(given) if node.op_type == "DynamicQuantizeLinear" else steps(single, given)
        )
        assert np.all((apart == 0) | ((apart == 1) & near_the_middle(numbers))), node


def _own_range(given: dict[str, Array]) -> Array:
    """What DynamicQuantizeLinear rounds of its one input."""
    (x,) = given.values()
    wide = x.astype(np.float64)
    return np.asarray(wide / ((max(wide.max(), 0) - min(wide.min(), 0)) / 255))
