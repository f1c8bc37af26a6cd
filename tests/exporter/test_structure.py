"""The graph is the module's function at all sizes, and each planted fault is proof and named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto, numpy_helper
from torch import nn

from tests.exporter import models, proofs
from toolkit.exporter import structure
from toolkit.exporter.proof import Contract
from toolkit.feeds import drawing
from toolkit.onnxfiles import modelfile
from toolkit.oracle import oracles
from toolkit.oracle.sizesweep import Sizes, sweep
from toolkit.tensors import TensorSpec


@pytest.fixture(scope="module")
def net() -> nn.Module:
    return proofs.net()


# Right files.


def test_the_reference_model_holds_to_the_last_bit(tmp_path: Path, net: nn.Module) -> None:
    proof = proofs.proof(tmp_path, net, proofs.mlp(net))
    assert not proof.fails
    assert [(s.name, s.outcome) for s in proof.steps] == [
        ("form", "holds"),
        ("structure", "holds"),
        ("numbers", "not shown"),
    ]
    structure = proofs.step(proof, "structure")
    assert structure.what == "in float64 at batch 1, 2, 7, 32, 257"
    assert structure.says == "same function"
    assert structure.figure is not None
    assert 0 < structure.figure < 1e-15
    assert [dims["batch"] for dims in proof.right()] == [2, 1, 7, 32, 257]
    assert all(each.feed.origin == "digits" for each in proof.expected)


class Encoder(nn.Module):
    """An embedding, a mask, attention, GELU, a normalization: a transformer's operators."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(50, 16)
        self.places = nn.Embedding(64, 16)
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, activation="gelu")

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        x = self.words(input_ids) + self.places(torch.arange(input_ids.shape[1]))
        encoded: torch.Tensor = self.layer(x, src_key_padding_mask=attention_mask == 0)
        return encoded


class Pixels(nn.Module):
    """Convolutions, normalizations, pooling and resizing: a convolutional net's operators."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1, stride=2),
            nn.GroupNorm(4, 8),
            nn.GELU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3, groups=4),
            nn.BatchNorm2d(16),
            nn.SiLU(),
            nn.ConvTranspose2d(16, 4, 2, stride=2),
        )

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = self.body(x)
        scaled = nn.functional.interpolate(y, scale_factor=1.6, mode="bilinear", align_corners=True)
        return y.mean((2, 3)), scaled


MASKED = ("input_ids:int64[batch,seq=16]", "attention_mask:int64[batch,seq]")


@pytest.mark.export
def test_a_transformer_holds_at_sizes_that_were_not_traced(tmp_path: Path) -> None:
    proof = proofs.exported(tmp_path, Encoder(), *MASKED)
    structure = proofs.step(proof, "structure")
    assert not proof.fails, structure.details
    assert structure.what == "in float64 at batch 1, 2, 5, 7 and seq 1, 7, 16, 37"
    assert structure.figure is not None
    assert structure.figure < 1e-7


@pytest.mark.export
def test_a_convolutional_net_holds_and_what_it_refuses_is_left_out(tmp_path: Path) -> None:
    proof = proofs.exported(tmp_path, Pixels(), "x:float32[batch,3,height=32,width=40]")
    structure = proofs.step(proof, "structure")
    assert not proof.fails, structure.details
    assert structure.figure is not None
    assert structure.figure < 1e-6
    assert [line.split(":")[1] for line in structure.details] == [" height 1, 7", " width 1, 7"]
    assert "the PyTorch module refuses it: RuntimeError: " in structure.details[0]


def test_multiples_are_looked_at_where_a_module_takes_nothing_else(tmp_path: Path) -> None:
    proof = proofs.exported(tmp_path, models.Strided(), "x:float32[batch,3,w=16]")
    assert not proof.fails
    assert proofs.step(proof, "structure").what == "in float64 at batch 1, 2, 5, 7 and w 16, 32, 48"


def test_sizes_that_would_take_too_long_are_named(tmp_path: Path) -> None:
    at = Sizes({"n": 5}, allowance=0.0)
    proof = proofs.proof(tmp_path, Double(), proofs.times(2), proofs.LINE, at)
    assert not proof.fails
    assert proofs.step(proof, "structure").what == "in float64 at n 1, 5, 7"
    assert proofs.step(proof, "structure").details == ("left out for time: n 11",)


class Sixteen(nn.Module):
    """Takes one size only, though nothing in the graph says so."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[0] != 16:
            raise ValueError("sixteen, please")
        return x * 2


def test_too_few_sizes_are_said_with_the_way_to_state_a_range(tmp_path: Path) -> None:
    proof = proofs.proof(tmp_path, Sixteen(), proofs.times(2), proofs.LINE, Sizes({"n": 16}))
    assert not proof.fails
    assert proofs.step(proof, "structure").details[-1] == (
        "n: of the sizes that were tried the module takes 16 only; a range says where to look:"
        " n=16..64"
    )


def test_a_model_without_dynamic_dimensions_is_proven_at_its_shape(tmp_path: Path) -> None:
    model = proofs.times(2)
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = 5
    contract = Contract((TensorSpec("x", "float32", (5,)),), ("output",))
    proof = proofs.proof(tmp_path, Double(), model, contract, Sizes({}))
    assert not proof.fails
    assert proofs.step(proof, "structure").what == "in float64 at the fixed shape"


class Double(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2


# Planted faults.


def bend(model: ModelProto) -> None:
    """The last bit of one number: float32 outputs do not show it."""
    tensor = model.graph.initializer[3]
    array = numpy_helper.to_array(tensor).copy()
    array[0] = np.nextafter(array[0], np.float32(9))
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def drop_bias(model: ModelProto) -> None:
    tensor = model.graph.initializer[3]
    tensor.CopyFrom(numpy_helper.from_array(np.zeros(2, np.float32), tensor.name))


FUNCTION: list[Callable[[ModelProto], None]] = [bend, drop_bias]


@pytest.mark.parametrize("fault", FUNCTION, ids=lambda fault: fault.__name__)
def test_another_function_is_found_even_by_one_last_bit(
    tmp_path: Path, net: nn.Module, fault: Callable[[ModelProto], None]
) -> None:
    model = proofs.mlp(net)
    fault(model)
    proof = proofs.proof(tmp_path, net, model)
    assert proof.fails
    assert [s.name for s in proof.steps] == ["form", "structure"]
    assert proofs.step(proof, "structure").says == "another function"
    assert [each.dims["batch"] for each in proof.wrong()] == [2, 1, 7, 32, 257]


def test_a_branch_that_torch_specialised_is_found_at_the_size_that_fails(tmp_path: Path) -> None:
    proof = proofs.exported(tmp_path, models.Branch(), "x:float32[batch,seq=16]")
    assert [each.dims for each in proof.wrong()] == [
        {"batch": 2, "seq": 1},
        {"batch": 2, "seq": 7},
    ]
    structure = proofs.step(proof, "structure")
    assert structure.what == "in float64 at seq 1, 7"
    assert structure.details == (
        "wrong at batch 2, seq 1: error 0.33 of the largest value",
        "wrong at batch 2, seq 7: error 0.33 of the largest value",
    )
    assert {"batch": 2, "seq": 37} in proof.right()


def test_a_size_that_the_exporter_suspects_is_tried(tmp_path: Path) -> None:
    suspected = [{"batch": 2, "seq": 10}]
    proof = proofs.exported(tmp_path, models.Even(), "x:float32[batch,seq=3]", suspected=suspected)
    assert {"batch": 2, "seq": 10} in [each.dims for each in proof.wrong()]


def test_a_file_that_does_not_run_at_another_size_fails_there(tmp_path: Path) -> None:
    model = onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["" : 20]> g (float[n] x) => (float[n] output)
        <float two = {2}, int64[1] five = {5}>
        { flat = Reshape (x, five) output = Mul (flat, two) }"""
    )
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    draws = drawing.drawer(model, proofs.LINE.inputs)
    right = oracles.of_module(Double(), proofs.LINE.inputs, draws.draw({"n": 5}).arrays)
    swept = sweep(right, draws, Sizes({"n": 5}))
    step, compared = structure.check(modelfile.open_once(path), right, swept, structure.CONSTANTS)
    assert (step.outcome, step.figure) == ("fails", float("inf"))
    assert step.what == "in float64 at n 1, 7, 11"
    assert "n 7: the file does not run: Reshape: cannot reshape" in step.details[2]
    assert compared[0].error == 0


SHAPES: dict[str, tuple[Callable[[torch.Tensor], Any], str]] = {
    "shape": (lambda x: x[:, None] * 2, "output has the shape [5], the module's [5, 1]"),
    "count": (lambda x: (x * 2, x), "the file has 1 outputs, the module 2"),
    "type": (lambda x: (x * 2).long(), "output is float64, the module's int64"),
    "nan": (lambda x: x * 2 * torch.where(x == x[0], float("nan"), 1.0), "error inf of the"),
}


class Other(nn.Module):
    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what

    def forward(self, x: torch.Tensor) -> Any:
        return SHAPES[self.what][0](x)


@pytest.mark.parametrize("what", SHAPES)
def test_outputs_of_another_kind_are_told(tmp_path: Path, what: str) -> None:
    proof = proofs.proof(tmp_path, Other(what), proofs.times(2), proofs.LINE, Sizes({"n": 5}))
    assert proof.fails
    assert f"wrong at n 5: {SHAPES[what][1]}" in proofs.step(proof, "structure").details[0]


class Amplifying(nn.Module):
    """Adds three factors of which two nearly cancel: rounding shows a thousand times larger."""

    def __init__(self, off: float = 0.0) -> None:
        super().__init__()
        self.first, self.second = nn.Parameter(torch.tensor(1.1)), nn.Parameter(torch.tensor(0.9))
        self.off = off

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.first * self.second - x * (0.989 + self.off)


def folded() -> ModelProto:
    """Amplifying with its two weights folded into one, in float32."""
    weight = float(np.float32(1.1) * np.float32(0.9))
    return onnx.parser.parse_model(
        f"""<ir_version: 10, opset_import: ["" : 20]> g (float[n] x) => (float[n] output)
        <float w = {{{weight!r}}}, float d = {{0.989}}>
        {{ a = Mul (x, w) b = Mul (x, d) output = Sub (a, b) }}"""
    )


def test_an_error_above_the_limit_is_none_where_float32_errs_as_much(tmp_path: Path) -> None:
    proof = proofs.proof(tmp_path, Amplifying(), folded(), proofs.LINE, Sizes({"n": 500}))
    structure = proofs.step(proof, "structure")
    assert not proof.fails, structure.details
    assert structure.figure is not None
    assert structure.figure > 1e-6


def test_an_error_above_that_of_float32_is_another_function(tmp_path: Path) -> None:
    proof = proofs.proof(tmp_path, Amplifying(1e-6), folded(), proofs.LINE, Sizes({"n": 500}))
    assert proof.fails


# What cannot be shown.


class Bits(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x.view(torch.int32)
        return x * 2


def test_without_a_float64_oracle_the_structure_is_not_shown(tmp_path: Path) -> None:
    proof = proofs.proof(tmp_path, Bits(), proofs.times(2), proofs.LINE, Sizes({"n": 16}))
    structure = proofs.step(proof, "structure")
    assert structure.outcome == "not shown"
    assert structure.says.startswith("PyTorch in float32, since there is no float64 oracle: ")
    assert not proof.fails


# Numbers.
