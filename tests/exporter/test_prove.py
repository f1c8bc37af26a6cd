"""The proof of an exported file: right files hold, and each planted fault is found and named."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper
from torch import nn

from tests.exporter import models
from toolkit.answers.verdict import OutputVerdict, Verdict
from toolkit.errors import TargetError
from toolkit.exporter import convert, prove
from toolkit.exporter.prove import Answers, Contract, ExportProof, Numbers, Step
from toolkit.feeds import drawing
from toolkit.feeds.drawing import Draws
from toolkit.onnxfiles import modelfile, referencefile
from toolkit.oracle import oracles
from toolkit.oracle.oracles import Expected
from toolkit.oracle.sizesweep import Sizes, sweep
from toolkit.sources import inputs, reference
from toolkit.tensors import Feed, TensorSpec

pytestmark = pytest.mark.export

AT = Sizes({"batch": 2}, wanted={"batch": (1, 7, 32, 257)})
CONTRACT = Contract((referencefile.INPUT,), ("output",), reference=True)
NO_RUNTIME = "no onnxruntime"


@pytest.fixture(scope="module")
def net() -> nn.Module:
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


def proof(
    folder: Path,
    module: nn.Module,
    model: ModelProto,
    contract: Contract = CONTRACT,
    at: Sizes = AT,
    numbers: Numbers | str = NO_RUNTIME,
) -> ExportProof:
    path = folder / "m.onnx"
    path.write_bytes(model.SerializeToString())
    draws: Draws = (
        drawing.Digits("input") if contract.reference else drawing.drawer(model, contract.inputs)
    )
    right = oracles.of_module(module, contract.inputs, draws.draw(at.traced).arrays)
    return prove.prove(path, contract, right, draws, at, numbers=numbers)


def exported(
    folder: Path, module: nn.Module, *stated: str, suspected: Sequence[Mapping[str, int]] = ()
) -> ExportProof:
    """The proof of what torch itself makes of a module."""
    torch.manual_seed(0)
    made = models.converted(module.eval(), *stated)
    path = folder / "made.onnx"
    convert.write(made.model, path)
    parsed = inputs.parse_all(stated)
    dims = inputs.dimensions(parsed)
    traced = {name: dim.traced or max(dim.least, 2) for name, dim in dims.items()}
    names = tuple(str(value.name) for value in made.model.graph.outputs)
    contract = Contract(tuple(each.spec for each in parsed), names)
    at = Sizes(traced, dims, suspected=suspected)
    return proof(folder, module, modelfile.load(path), contract, at)


def step(found: ExportProof, name: str) -> Step:
    return next(each for each in found.steps if each.name == name)


# Right files.


def test_the_reference_model_holds_to_the_last_bit(tmp_path: Path, net: nn.Module) -> None:
    found = proof(tmp_path, net, mlp(net))
    assert found.holds
    assert [(s.name, s.outcome) for s in found.steps] == [
        ("form", "holds"),
        ("structure", "holds"),
        ("numbers", "not shown"),
    ]
    structure = step(found, "structure")
    assert structure.what == "in float64 at batch 1, 2, 7, 32, 257"
    assert structure.says == "same function"
    assert structure.figure is not None
    assert 0 < structure.figure < 1e-15
    assert [dims["batch"] for dims in found.right()] == [2, 1, 7, 32, 257]
    assert all(each.feed.origin == "digits" for each in found.expected)


class Encoder(nn.Module):
    """An embedding, a mask, attention, GELU, a normalization: what a transformer has."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(50, 16)
        self.places = nn.Embedding(64, 16)
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, activation="gelu")

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        x = self.words(input_ids) + self.places(torch.arange(input_ids.shape[1]))
        found: torch.Tensor = self.layer(x, src_key_padding_mask=attention_mask == 0)
        return found


class Pixels(nn.Module):
    """What a convolutional net has."""

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


def test_a_transformer_holds_at_sizes_that_were_not_traced(tmp_path: Path) -> None:
    found = exported(tmp_path, Encoder(), *MASKED)
    structure = step(found, "structure")
    assert found.holds, structure.details
    assert structure.what == "in float64 at batch 1, 2, 5, 7 and seq 1, 7, 16, 37"
    assert structure.figure is not None
    assert structure.figure < 1e-7


def test_a_convolutional_net_holds_and_what_it_refuses_is_left_out(tmp_path: Path) -> None:
    found = exported(tmp_path, Pixels(), "x:float32[batch,3,height=32,width=40]")
    structure = step(found, "structure")
    assert found.holds, structure.details
    assert structure.figure is not None
    assert structure.figure < 1e-6
    assert [line.split(":")[1] for line in structure.details] == [" height 1, 7", " width 1, 7"]
    assert "the PyTorch module refuses it: RuntimeError: " in structure.details[0]


def test_multiples_are_looked_at_where_a_module_takes_nothing_else(tmp_path: Path) -> None:
    found = exported(tmp_path, models.Strided(), "x:float32[batch,3,w=16]")
    assert found.holds
    assert step(found, "structure").what == "in float64 at batch 1, 2, 5, 7 and w 16, 32, 48"


class Sixteen(nn.Module):
    """Takes one size only, though nothing in the graph says so."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[0] != 16:
            raise ValueError("sixteen, please")
        return x * 2


def times(factor: float) -> ModelProto:
    return onnx.parser.parse_model(
        f"""<ir_version: 10, opset_import: ["" : 20]> g (float[n] x) => (float[n] output)
        <float two = {{{factor}}}> {{ output = Mul (x, two) }}"""
    )


LINE = Contract((TensorSpec("x", "float32", ("n",)),), ("output",))


def test_too_few_sizes_are_said_with_the_way_to_state_a_range(tmp_path: Path) -> None:
    found = proof(tmp_path, Sixteen(), times(2), LINE, Sizes({"n": 16}))
    assert found.holds
    assert step(found, "structure").details[-1] == (
        "n: of the sizes that were tried the module takes 16 only; a range says where to look:"
        " n=16..64"
    )


def test_a_model_without_dynamic_dimensions_is_proven_at_its_shape(tmp_path: Path) -> None:
    model = times(2)
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = 5
    contract = Contract((TensorSpec("x", "float32", (5,)),), ("output",))
    found = proof(tmp_path, Double(), model, contract, Sizes({}))
    assert found.holds
    assert step(found, "structure").what == "in float64 at the fixed shape"


class Double(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2


# Planted faults.


def bend(made: ModelProto) -> None:
    """The last bit of one number: float32 outputs do not show it."""
    tensor = made.graph.initializer[3]
    array = numpy_helper.to_array(tensor).copy()
    array[0] = np.nextafter(array[0], np.float32(9))
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def drop_bias(made: ModelProto) -> None:
    tensor = made.graph.initializer[3]
    tensor.CopyFrom(numpy_helper.from_array(np.zeros(2, np.float32), tensor.name))


FUNCTION: list[Callable[[ModelProto], None]] = [bend, drop_bias]


@pytest.mark.parametrize("fault", FUNCTION, ids=lambda fault: fault.__name__)
def test_another_function_is_found_even_by_one_last_bit(
    tmp_path: Path, net: nn.Module, fault: Callable[[ModelProto], None]
) -> None:
    made = mlp(net)
    fault(made)
    found = proof(tmp_path, net, made)
    assert not found.holds
    assert [s.name for s in found.steps] == ["form", "structure"]
    assert step(found, "structure").says == "another function"
    assert [each.dims["batch"] for each in found.wrong()] == [2, 1, 7, 32, 257]


def no_relu(made: ModelProto) -> None:
    made.graph.node[1].op_type = "Tanh"


def rename(made: ModelProto) -> None:
    made.graph.output[0].name = made.graph.node[3].output[0] = "y"


def misfit(made: ModelProto) -> None:
    """A shape that only inference sees to be wrong."""
    made.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 3


FORM: dict[Callable[[ModelProto], None], str] = {
    no_relu: "its operators are Gemm, Tanh, Gemm, Sigmoid, not Gemm, Relu, Gemm, Sigmoid",
    rename: "its output is y:float32[batch,2], not output:float32[batch,2]",
    misfit: "the ONNX checker refuses it: ",
}


@pytest.mark.parametrize("fault", FORM, ids=lambda fault: fault.__name__)
def test_a_file_of_another_form_fails_and_is_not_run(
    tmp_path: Path, net: nn.Module, fault: Callable[[ModelProto], None]
) -> None:
    made = mlp(net)
    fault(made)
    found = proof(tmp_path, net, made)
    assert [s.outcome for s in found.steps] == ["fails"]
    assert found.steps[0].says.startswith(FORM[fault])


def test_what_was_stated_and_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(times(2).SerializeToString())
    stated = (TensorSpec("x", "float32", ("rows",)), TensorSpec("y", "float32", ()))
    found = prove.form(path, Contract(stated, ("a", "b")))
    assert (found.outcome, found.says) == (
        "fails",
        "the input x is x:float32[n], stated was x:float32[rows]",
    )
    assert found.details == (
        "its inputs are x, 2 were stated",
        "its outputs are output, not a, b",
    )


def test_a_damaged_file_fails_in_its_form(tmp_path: Path, net: nn.Module) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(mlp(net).SerializeToString()[:-300])
    found = prove.form(path, CONTRACT)
    assert (found.outcome, found.says) == (
        "fails",
        f"{path} is damaged: it begins as an .onnx file and breaks off",
    )


def test_a_branch_that_torch_specialised_is_found_at_the_size_that_fails(tmp_path: Path) -> None:
    found = exported(tmp_path, models.Branch(), "x:float32[batch,seq=16]")
    assert [each.dims for each in found.wrong()] == [
        {"batch": 2, "seq": 1},
        {"batch": 2, "seq": 7},
    ]
    structure = step(found, "structure")
    assert structure.what == "in float64 at seq 1, 7"
    assert structure.details == (
        "wrong at batch 2, seq 1: error 0.33 of the largest value",
        "wrong at batch 2, seq 7: error 0.33 of the largest value",
    )
    assert {"batch": 2, "seq": 37} in found.right()


def test_a_size_that_the_exporter_suspects_is_tried(tmp_path: Path) -> None:
    suspected = [{"batch": 2, "seq": 10}]
    found = exported(tmp_path, models.Even(), "x:float32[batch,seq=3]", suspected=suspected)
    assert {"batch": 2, "seq": 10} in [each.dims for each in found.wrong()]


def test_a_file_that_does_not_run_at_another_size_fails_there(tmp_path: Path) -> None:
    model = onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["" : 20]> g (float[n] x) => (float[n] output)
        <float two = {2}, int64[1] five = {5}>
        { flat = Reshape (x, five) output = Mul (flat, two) }"""
    )
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    draws = drawing.drawer(model, LINE.inputs)
    right = oracles.of_module(Double(), LINE.inputs, draws.draw({"n": 5}).arrays)
    found = sweep(right, draws, Sizes({"n": 5}))
    made, compared = prove.structure(path, right, found, prove.CONSTANTS)
    assert (made.outcome, made.figure) == ("fails", float("inf"))
    assert made.what == "in float64 at n 1, 7, 11"
    assert "n 7: the file does not run: Reshape: cannot reshape" in made.details[1]
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
    found = proof(tmp_path, Other(what), times(2), LINE, Sizes({"n": 5}))
    assert not found.holds
    assert f"wrong at n 5: {SHAPES[what][1]}" in step(found, "structure").details[0]


# What cannot be shown.


class Named(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.gelu(x)


def test_what_the_evaluator_cannot_do_is_named_and_the_proof_rests_on_the_numbers(
    tmp_path: Path,
) -> None:
    model = onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["" : 20, "com.microsoft" : 1]>
        g (float[n] x) => (float[n] output)
        { output = com.microsoft.Gelu (x) }"""
    )
    at = Sizes({"n": 16})
    found = proof(tmp_path, Named(), model, LINE, at, by_onnxruntime(tmp_path))
    structure = step(found, "structure")
    assert structure.outcome == "not shown"
    assert structure.says == (
        "Gelu is of the domain com.microsoft, not of ONNX's own; the proof rests on the numbers"
    )
    assert found.holds
    assert step(found, "numbers").outcome == "holds"


class Bits(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x.view(torch.int32)
        return x * 2


def test_without_a_float64_oracle_the_structure_is_not_shown(tmp_path: Path) -> None:
    found = proof(tmp_path, Bits(), times(2), LINE, Sizes({"n": 16}))
    structure = step(found, "structure")
    assert structure.outcome == "not shown"
    assert structure.says.startswith("PyTorch in float32, since there is no float64 oracle: ")
    assert found.holds


# Numbers.


def run(feeds_: Sequence[Feed], path: Path) -> Answers:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return [dict(zip(names, session.run(None, dict(f)), strict=True)) for f in feeds_]


def judge(expected: Sequence[Expected], answers: Answers) -> Verdict:
    """Right where every error is below 1e-5."""
    worst = max(
        float(np.abs(got - right).max())
        for each, answer in zip(expected, answers, strict=True)
        for got, right in zip(answer.values(), each.outputs.values(), strict=True)
    )
    right = worst < 1e-5
    one = OutputVerdict("output", (), "", 0, 1.0, worst, worst, (), 0.0, 0.0)
    text = "float32" if right else "wrong"
    return Verdict(text, right, "" if right else "far off", "float32", (one,), 1, "torch")


def by_onnxruntime(folder: Path) -> Numbers:
    return Numbers(lambda feeds_: run(feeds_, folder / "m.onnx"), judge)


def test_without_a_runtime_the_numbers_are_not_shown_and_the_proof_holds(
    tmp_path: Path, net: nn.Module
) -> None:
    found = proof(tmp_path, net, mlp(net), numbers="no onnxruntime; pip install onnxruntime")
    assert found.holds
    assert found.steps[-1] == Step(
        "numbers", "in float32", "not shown", "no onnxruntime; pip install onnxruntime"
    )


def test_the_untouched_file_is_run_and_judged_on_1000_elements_or_more(
    tmp_path: Path, net: nn.Module
) -> None:
    seen: list[Feed] = []

    def counted(feeds_: Sequence[Feed]) -> Answers:
        seen.extend(feeds_)
        return run(feeds_, tmp_path / "m.onnx")

    found = proof(tmp_path, net, mlp(net), numbers=Numbers(counted, judge))
    numbers = step(found, "numbers")
    assert (numbers.outcome, numbers.says) == ("holds", "float32")
    assert numbers.figure is not None
    assert 0 < numbers.figure < 1e-6
    assert sum(2 * len(feed["input"]) for feed in seen) >= 1000
    assert len(found.expected) == len(seen)


def test_numbers_that_are_not_right_fail(tmp_path: Path, net: nn.Module) -> None:
    def zeros(feeds_: Sequence[Feed]) -> Answers:
        return [{"output": np.zeros((len(feed["input"]), 2), np.float32)} for feed in feeds_]

    found = proof(tmp_path, net, mlp(net), numbers=Numbers(zeros, judge))
    assert not found.holds
    assert step(found, "numbers").details == ("far off",)


def test_a_worker_that_dies_is_a_failed_step(tmp_path: Path, net: nn.Module) -> None:
    def dying(feeds_: Sequence[Feed]) -> Answers:
        raise TargetError("onnxruntime cpu died of SIGSEGV")

    found = proof(tmp_path, net, mlp(net), numbers=Numbers(dying, judge))
    assert not found.holds
    assert step(found, "numbers").says == "onnxruntime cpu died of SIGSEGV"
