"""A file of another form than was asked is found, and is not run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from onnx import ModelProto
from torch import nn

from tests.exporter import proofs
from toolkit.exporter import form
from toolkit.exporter.proof import Contract
from toolkit.onnxfiles import modelfile
from toolkit.tensors import TensorSpec


@pytest.fixture(scope="module")
def net() -> nn.Module:
    return proofs.net()


def no_relu(model: ModelProto) -> None:
    model.graph.node[1].op_type = "Tanh"


def rename(model: ModelProto) -> None:
    model.graph.output[0].name = model.graph.node[3].output[0] = "y"


def misfit(model: ModelProto) -> None:
    """A shape that only inference sees to be wrong."""
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 3


FORM: dict[Callable[[ModelProto], None], str] = {
    no_relu: "its operators are Gemm, Tanh, Gemm, Sigmoid, not Gemm, Relu, Gemm, Sigmoid",
    rename: "its output is y:float32[batch,2], not output:float32[batch,2]",
    misfit: "the ONNX checker refuses it: ",
}


@pytest.mark.parametrize("fault", FORM, ids=lambda fault: fault.__name__)
def test_a_file_of_another_form_fails_and_is_not_run(
    tmp_path: Path, net: nn.Module, fault: Callable[[ModelProto], None]
) -> None:
    model = proofs.mlp(net)
    fault(model)
    proof = proofs.proof(tmp_path, net, model)
    assert [s.outcome for s in proof.steps] == ["fails"]
    assert proof.steps[0].says.startswith(FORM[fault])


def test_what_was_stated_and_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(proofs.times(2).SerializeToString())
    stated = (TensorSpec("x", "float32", ("rows",)), TensorSpec("y", "float32", ()))
    step = form.check(modelfile.open_once(path), Contract(stated, ("a", "b")))
    assert (step.outcome, step.says) == (
        "fails",
        "the input x is x:float32[n], stated was x:float32[rows]",
    )
    assert step.details == (
        "its inputs are x, 2 were stated",
        "its outputs are output, not a, b",
    )
