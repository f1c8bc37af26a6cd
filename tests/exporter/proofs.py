"""Files that are proven in tests, and the way there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper
from torch import nn

from tests.exporter import models
from toolkit.exporter import convert, prove
from toolkit.exporter.proof import Contract, ExportProof, Step
from toolkit.exporter.prove import Numbers
from toolkit.feeds import drawing
from toolkit.feeds.digits import Digits
from toolkit.feeds.feed import Draws
from toolkit.onnxfiles import modelfile, referencefile
from toolkit.oracle import oracles
from toolkit.oracle.sizesweep import Sizes
from toolkit.sources import inputs, reference
from toolkit.tensors import TensorSpec

AT = Sizes({"batch": 2}, wanted={"batch": (1, 7, 32, 257)})
CONTRACT = Contract((referencefile.INPUT,), ("output",), reference=True)
NO_RUNTIME = "no onnxruntime"
LINE = Contract((TensorSpec("x", "float32", ("n",)),), ("output",))


def net() -> nn.Module:
    """The reference model, untrained, the same each time."""
    torch.manual_seed(0)
    return reference.net().eval()


def mlp(net: nn.Module) -> ModelProto:
    """The reference model as torch.onnx.export writes it."""
    weights = {name: tensor.numpy() for name, tensor in net.state_dict().items()}
    nodes = [
        helper.make_node("Gemm", ["input", "fc1.weight", "fc1.bias"], ["a"], transB=1),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Gemm", ["b", "fc2.weight", "fc2.bias"], ["c"], transB=1),
        helper.make_node("Sigmoid", ["c"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes,
        "mlp",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 64])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", 2])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def times(factor: float) -> ModelProto:
    return onnx.parser.parse_model(
        f"""<ir_version: 10, opset_import: ["" : 20]> g (float[n] x) => (float[n] output)
        <float two = {{{factor}}}> {{ output = Mul (x, two) }}"""
    )


def proof(
    folder: Path,
    module: nn.Module,
    model: ModelProto,
    contract: Contract = CONTRACT,
    at: Sizes = AT,
    numbers: Numbers | str = NO_RUNTIME,
    own: Draws | None = None,
) -> ExportProof:
    path = folder / "m.onnx"
    path.write_bytes(model.SerializeToString())
    drawn = Digits("input") if contract.reference else drawing.drawer(model, contract.inputs)
    draws: Draws = own or drawn
    right = oracles.of_module(module, contract.inputs, draws.draw(at.traced).arrays)
    opened = modelfile.open_once(path)
    return prove.prove(opened, contract, right, draws, at, numbers=lambda: numbers)


def exported(
    folder: Path, module: nn.Module, *stated: str, suspected: Sequence[Mapping[str, int]] = ()
) -> ExportProof:
    """The proof of what torch itself makes of a module."""
    torch.manual_seed(0)
    converted = models.converted(module.eval(), *stated)
    path = folder / "made.onnx"
    convert.write(converted.model, path)
    parsed = inputs.parse_all(stated)
    dims = inputs.dimensions(parsed)
    traced = {name: dim.traced or max(dim.least, 2) for name, dim in dims.items()}
    names = tuple(str(value.name) for value in converted.model.graph.outputs)
    contract = Contract(tuple(each.spec for each in parsed), names)
    at = Sizes(traced, dims, suspected=suspected)
    return proof(folder, module, modelfile.load(path), contract, at)


def step(proof: ExportProof, name: str) -> Step:
    return next(step for step in proof.steps if step.name == name)
