"""Small networks with seeded weights, and real libraries that run them at any precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from toolkit.answers.intermediates import exposed, find
from toolkit.answers.judge import Judge
from toolkit.answers.simulate import PLAIN, LowerForms, in_memory
from toolkit.onnxfiles import thinmodels
from toolkit.tensors import Array, Feed, TensorSpec


class Builder:
    """Writes one graph, node by node; `weight` draws by He."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def constant(self, values: Array) -> str:
        name = f"w{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def floats(self, values: Array) -> str:
        return self.constant(np.asarray(values, np.float32))

    def weight(self, *shape: int, inputs: int) -> str:
        return self.floats(self.rng.normal(0, np.sqrt(2 / inputs), shape))

    def bias(self, size: int) -> str:
        return self.floats(self.rng.normal(0, 0.1, size))

    def gemm(self, x: str, inputs: int, outputs: int) -> str:
        w = self.weight(outputs, inputs, inputs=inputs)
        return self.node("Gemm", x, w, self.bias(outputs), transB=1)

    def matmul(self, x: str, inputs: int, outputs: int) -> str:
        product = self.node("MatMul", x, self.weight(inputs, outputs, inputs=inputs))
        return self.node("Add", product, self.bias(outputs))

    def conv(self, x: str, inputs: int, outputs: int) -> str:
        w = self.weight(outputs, inputs, 3, 3, inputs=9 * inputs)
        x = self.node("Conv", x, w, pads=[1, 1, 1, 1], kernel_shape=[3, 3])
        spread = self.rng.uniform(0.5, 1.5, (3, outputs))
        norm = [spread[0], self.rng.normal(0, 0.2, outputs), self.rng.normal(0, 0.2, outputs)]
        names = [self.floats(v) for v in (*norm, spread[1])]
        return self.node("BatchNormalization", x, *names)

    def norm(self, x: str, size: int) -> str:
        ones, zeros = self.floats(np.ones(size)), self.floats(np.zeros(size))
        return self.node("LayerNormalization", x, ones, zeros, axis=-1)

    def model(self, shape: Sequence[int | str | None], *outputs: tuple[str, int]) -> ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "network",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(n, kind, None) for n, kind in outputs],
            self.constants,
        )
        opsets = [helper.make_opsetid("", 17)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
        return onnx.shape_inference.infer_shapes(model)


def mlp(seed: int = 0, gain: float = 1.0) -> ModelProto:
    """The tutorial's: 64 → 128 → 2 with a sigmoid."""
    b = Builder(seed)
    x = b.gemm(b.node("Relu", b.gemm("x", 64, 128)), 128, 2)
    if gain != 1.0:
        x = b.node("Mul", x, b.floats(np.array(gain)))
    return b.model(["batch", 64], (b.node("Sigmoid", x), TensorProto.FLOAT))


def convnet(seed: int = 0) -> ModelProto:
    """Convolutions with BatchNormalization and a residual."""
    b = Builder(seed)
    x = b.node("Relu", b.conv("x", 3, 16))
    y = b.conv(b.node("Relu", b.conv(x, 16, 16)), 16, 16)
    x = b.node("Relu", b.node("Add", x, y))
    x = b.node("Flatten", b.node("GlobalAveragePool", x))
    return b.model(["batch", 3, 16, 16], (b.gemm(x, 16, 16), TensorProto.FLOAT))


def encoder(seed: int = 0, layers: int = 2) -> ModelProto:
    """Pre-norm transformer layers of one head, 16 tokens of 64 features."""
    b, d = Builder(seed), 64
    x = "x"
    for _ in range(layers):
        y = b.norm(x, d)
        q, k, v = (b.matmul(y, d, d) for _ in range(3))
        scores = b.node("MatMul", q, b.node("Transpose", k, perm=[0, 2, 1]))
        scores = b.node("Mul", scores, b.floats(np.array(1 / np.sqrt(d))))
        x = b.node("Add", x, b.matmul(b.node("MatMul", b.node("Softmax", scores), v), d, d))
        y = b.node("Relu", b.matmul(b.norm(x, d), d, 2 * d))
        x = b.node("Add", x, b.matmul(y, 2 * d, d))
    return b.model(["batch", 16, d], (b.norm(x, d), TensorProto.FLOAT))


def classifier(seed: int = 0) -> ModelProto:
    """A softmax over ten classes."""
    b = Builder(seed)
    x = b.node("Relu", b.gemm("x", 64, 96))
    x = b.gemm(b.node("Relu", b.gemm(x, 96, 96)), 96, 10)
    return b.model(["batch", 64], (b.node("Softmax", x), TensorProto.FLOAT))


def labeller(seed: int = 0) -> ModelProto:
    """A classifier that gives the class only."""
    b = Builder(seed)
    x = b.gemm(b.node("Relu", b.gemm("x", 64, 96)), 96, 10)
    return b.model(["batch", 64], (b.node("ArgMax", x, axis=1, keepdims=0), TensorProto.INT64))


def rectified(seed: int = 0) -> ModelProto:
    """It ends in a Relu: half of what it gives is exactly zero."""
    b = Builder(seed)
    x = b.gemm(b.node("Relu", b.gemm("x", 64, 96)), 96, 32)
    return b.model(["batch", 64], (b.node("Relu", x), TensorProto.FLOAT))


def sizes(seed: int = 0) -> ModelProto:
    """Heights and widths of boxes, as detectors have them: exponentials."""
    b = Builder(seed)
    x = b.gemm(b.node("Relu", b.gemm("x", 64, 96)), 96, 4)
    return b.model(["batch", 64], (b.node("Exp", x), TensorProto.FLOAT))


def cancelling(seed: int = 0) -> ModelProto:
    """One column is a small difference of large numbers, and so sensitive that its value does not
    tell it."""
    b = Builder(seed)
    x = b.gemm(b.node("Relu", b.gemm("x", 64, 96)), 96, 16)
    far = np.zeros(16)
    far[3] = 300
    x = b.node("Sub", b.node("Add", x, b.floats(far)), b.floats(far))
    return b.model(["batch", 64], (x, TensorProto.FLOAT))


def vocabulary(seed: int = 0) -> ModelProto:
    """A steep softmax over 2,000 classes, of which most are next to nothing."""
    b = Builder(seed)
    x = b.gemm(b.node("Relu", b.gemm("x", 64, 96)), 96, 2000)
    x = b.node("Mul", x, b.floats(np.array(4)))
    return b.model(["batch", 64], (b.node("Softmax", x), TensorProto.FLOAT))


NETWORKS: dict[str, Callable[[int], ModelProto]] = {
    "mlp": mlp,
    "convnet": convnet,
    "encoder": encoder,
    "classifier": classifier,
}

UNEVEN: dict[str, Callable[[int], ModelProto]] = {
    "rectified": rectified,
    "sizes": sizes,
    "cancelling": cancelling,
    "vocabulary": vocabulary,
}
"""Networks of which some outputs are far more sensitive than others."""

SHAPES: dict[str, tuple[int, ...]] = {
    "mlp": (80, 64),
    "convnet": (8, 3, 16, 16),
    "encoder": (2, 16, 64),
    "classifier": (20, 64),
    "rectified": (20, 64),
    "sizes": (40, 64),
    "cancelling": (20, 64),
    "vocabulary": (2, 64),
    "labeller": (64, 64),
}


def feeds(shape: tuple[int, ...], seed: int = 0, count: int = 8) -> list[Feed]:
    rng = np.random.default_rng(1000 + seed)
    return [{"x": rng.normal(size=shape).astype(np.float32)} for _ in range(count)]


def onnxruntime_runner(
    model: ModelProto, each: Sequence[Feed], level: str = "ORT_DISABLE_ALL"
) -> list[dict[str, Array]]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [o.name for o in session.get_outputs()]
    return [dict(zip(names, session.run(names, dict(f)), strict=True)) for f in each]


def torch_runner(
    model: ModelProto, each: Sequence[Feed], kind: torch.dtype
) -> list[dict[str, Array]]:
    """Runs a file by PyTorch's own operators in one type.

    Outputs are in float32, or in float64 for float64.
    """
    torch.set_num_threads(1)
    wide = torch.float64 if kind == torch.float64 else torch.float32
    results = []
    with torch.inference_mode():
        weights = {i.name: _tensor(numpy_helper.to_array(i), kind) for i in model.graph.initializer}
        for feed in each:
            tensors = weights | {n: _tensor(a, kind) for n, a in feed.items()}
            for node in model.graph.node:
                inputs = [tensors[n] for n in node.input]
                tensors[node.output[0]] = _apply(node, inputs)
            named = {o.name: tensors[o.name] for o in model.graph.output}
            results.append(
                {n: (v.to(wide) if v.is_floating_point() else v).numpy() for n, v in named.items()}
            )
    return results


def _tensor(array: Array, kind: torch.dtype) -> torch.Tensor:
    tensor = torch.from_numpy(np.array(array))
    return tensor.to(kind) if tensor.is_floating_point() else tensor


def _apply(node: NodeProto, x: list[torch.Tensor]) -> torch.Tensor:
    given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    functions: dict[str, Callable[[], torch.Tensor]] = {
        "Gemm": lambda: torch.nn.functional.linear(x[0], x[1], x[2]),
        "MatMul": lambda: x[0] @ x[1],
        "Add": lambda: x[0] + x[1],
        "Sub": lambda: x[0] - x[1],
        "Mul": lambda: x[0] * x[1],
        "Exp": lambda: torch.exp(x[0]),
        "Relu": lambda: torch.relu(x[0]),
        "Sigmoid": lambda: torch.sigmoid(x[0]),
        "Softmax": lambda: torch.softmax(x[0], -1),
        "Conv": lambda: torch.nn.functional.conv2d(x[0], x[1], x[2] if x[2:] else None, padding=1),
        "BatchNormalization": lambda: torch.nn.functional.batch_norm(
            x[0], x[3], x[4], x[1], x[2], eps=1e-5
        ),
        "GlobalAveragePool": lambda: x[0].mean((2, 3), keepdim=True),
        "Flatten": lambda: x[0].flatten(1),
        "Transpose": lambda: x[0].permute(*given["perm"]),
        "LayerNormalization": lambda: torch.nn.functional.layer_norm(
            x[0], x[1].shape, x[1], x[2], eps=1e-5
        ),
        "ArgMax": lambda: x[0].argmax(given["axis"]),
    }
    return functions[node.op_type]()


def judge(model: ModelProto, each: Sequence[Feed], *, lazy: bool = False) -> Judge:
    """Makes a judge of PyTorch in float64 and of simulations on ONNX Runtime.

    The model's intermediate outputs are exposed. `lazy`: lower formats are simulated where the rule
    needs them; else all are there, and the whole rule is followed.
    """
    hidden = find(model)
    whole = exposed(thinmodels.of_model(model), hidden).whole()
    kinds = {
        TensorProto.FLOAT: "float32",
        TensorProto.INT64: "int64",
        TensorProto.FLOAT16: "float16",
    }
    outputs = model.graph.output
    simulator, numbers = in_memory(whole, each, onnxruntime_runner), tuple(range(len(each)))
    return Judge(
        tuple(TensorSpec(o.name, kinds[o.type.tensor_type.elem_type], None) for o in outputs),
        torch_runner(whole, each, torch.float64),
        simulator.simulations((PLAIN,) if lazy else (PLAIN, *simulator.lower), numbers),
        "torch in float64",
        hidden.choices,
        hidden.saturated,
        hidden.gathered,
        LowerForms(simulator, numbers) if lazy else None,
    )


def weights(model: ModelProto) -> dict[str, Array]:
    """Initializers by name, as copies."""
    return {i.name: np.array(numpy_helper.to_array(i)) for i in model.graph.initializer}


def with_weights(model: ModelProto, changed: dict[str, Array]) -> ModelProto:
    """A copy with other initializers."""
    result = ModelProto()
    result.CopyFrom(model)
    for tensor in result.graph.initializer:
        if tensor.name in changed:
            tensor.CopyFrom(numpy_helper.from_array(changed[tensor.name], tensor.name))
    return result


def float16_file(model: ModelProto) -> ModelProto:
    """As onnxconverter-common writes one, with float16 inputs and outputs too."""
    result = ModelProto()
    result.CopyFrom(model)
    for info in (*result.graph.input, *result.graph.output, *result.graph.value_info):
        info.type.tensor_type.elem_type = TensorProto.FLOAT16
    for tensor in result.graph.initializer:
        values = numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return result
