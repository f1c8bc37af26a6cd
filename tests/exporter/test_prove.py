"""The untouched file's numbers are judged, and steps that cannot be taken are said."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from torch import nn

from tests.exporter import models, proofs
from toolkit.answers.verdict import Answer, Name, Verdict, unmeasured
from toolkit.errors import TargetError
from toolkit.exporter.proof import Contract, Step
from toolkit.exporter.prove import Answers, Numbers
from toolkit.oracle.oracles import Expected
from toolkit.oracle.sizesweep import Sizes
from toolkit.tensors import Feed, TensorSpec
from toolkit.units import number

pytestmark = pytest.mark.export


@pytest.fixture(scope="module")
def net() -> nn.Module:
    return proofs.net()


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
    return verdict(worst, "float32" if worst < 1e-5 else "wrong")


def verdict(worst: float, text: Name) -> Verdict:
    right = text == "float32"
    answer: Answer = "right" if right else "wrong" if text == "wrong" else "less precise"
    output = replace(
        unmeasured("output", ""),
        names=(text,),
        answer=answer,
        max_abs=number(worst),
        rms=number(worst),
    )
    return Verdict(
        text, answer, right, "" if right else "far off", "float32", (output,), 1, "torch"
    )


def by_onnxruntime(folder: Path) -> Numbers:
    return Numbers(lambda feeds_: run(feeds_, folder / "m.onnx"), judge)


class Echo(nn.Module):
    """Is what ONNX Runtime's SampleOp is, which no user's file has."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 1


def test_what_the_evaluator_cannot_do_is_named_and_the_proof_rests_on_the_numbers(
    tmp_path: Path,
) -> None:
    model = onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["" : 20, "com.microsoft" : 1]>
        g (float[n] x) => (float[n] output)
        { output = com.microsoft.SampleOp (x) }"""
    )
    at = Sizes({"n": 16})
    proof = proofs.proof(tmp_path, Echo(), model, proofs.LINE, at, by_onnxruntime(tmp_path))
    structure = proofs.step(proof, "structure")
    assert structure.outcome == "not shown"
    assert structure.says == (
        "SampleOp is of the domain com.microsoft, not of ONNX's own; the proof rests on the numbers"
    )
    assert not proof.fails
    assert proofs.step(proof, "numbers").outcome == "holds"


def test_without_a_runtime_the_numbers_are_not_shown_and_nothing_fails(
    tmp_path: Path, net: nn.Module
) -> None:
    proof = proofs.proof(tmp_path, net, proofs.mlp(net), numbers=proofs.NO_RUNTIME)
    assert not proof.fails
    assert not proof.holds
    shown = replace(proof.steps[-1], seconds=0.0)
    assert shown == Step("numbers", "in float32", "not shown", proofs.NO_RUNTIME)


def test_the_untouched_file_is_run_and_judged_on_1000_elements_or_more(
    tmp_path: Path, net: nn.Module
) -> None:
    seen: list[Feed] = []

    def counted(feeds_: Sequence[Feed]) -> Answers:
        seen.extend(feeds_)
        return run(feeds_, tmp_path / "m.onnx")

    proof = proofs.proof(tmp_path, net, proofs.mlp(net), numbers=Numbers(counted, judge))
    numbers = proofs.step(proof, "numbers")
    assert (numbers.outcome, numbers.says) == ("holds", "float32")
    assert numbers.figure is not None
    assert 0 < numbers.figure < 1e-6
    assert sum(2 * len(feed["input"]) for feed in seen) >= 1000
    assert len(proof.expected) == len(seen)


@pytest.mark.parametrize("few", [True, False])
def test_where_calls_are_dear_the_numbers_are_judged_at_the_least_size_that_is_enough(
    tmp_path: Path, few: bool
) -> None:
    seen: list[Feed] = []
    torch.manual_seed(0)
    wide = nn.Linear(8, 1200)
    model = models.converted(wide, "input:float32[batch,8]").model
    spec = TensorSpec("input", "float32", ("batch", 8))
    contract = Contract((spec,), (str(model.graph.outputs[0].name),))

    def counted(feeds_: Sequence[Feed]) -> Answers:
        seen.extend(feeds_)
        return run(feeds_, tmp_path / "m.onnx")

    proof = proofs.proof(
        tmp_path,
        wide,
        ir.to_proto(model),
        contract,
        Sizes({"batch": 2}, allowance=0.0 if few else math.inf, dear=few),
        Numbers(counted, judge),
    )

    assert not proof.fails
    structure, numbers = proofs.step(proof, "structure"), proofs.step(proof, "numbers")
    if few:
        assert structure.what == "in float64 at batch 1, 3"
        assert numbers.what == "onnxruntime cpu at batch 1"
        assert [len(feed["input"]) for feed in seen] == [1]
        assert [each.feed.dims["batch"] for each in proof.expected] == [1, 3]
    else:
        assert numbers.what == "onnxruntime cpu at the same"
        assert [len(feed["input"]) for feed in seen] == [
            e.feed.dims["batch"] for e in proof.expected
        ]


def test_where_no_structure_is_shown_the_numbers_are_judged_at_all_sizes_though_calls_are_dear(
    tmp_path: Path,
) -> None:
    model = onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["" : 20, "com.microsoft" : 1]>
        g (float[n] x) => (float[n] output)
        { output = com.microsoft.SampleOp (x) }"""
    )
    at = Sizes({"n": 2000}, dear=True)

    proof = proofs.proof(tmp_path, Echo(), model, proofs.LINE, at, by_onnxruntime(tmp_path))

    assert proofs.step(proof, "structure").outcome == "not shown"
    assert proofs.step(proof, "numbers").what == "onnxruntime cpu at the same"


def test_numbers_that_are_not_right_fail(tmp_path: Path, net: nn.Module) -> None:
    def zeros(feeds_: Sequence[Feed]) -> Answers:
        return [{"output": np.zeros((len(feed["input"]), 2), np.float32)} for feed in feeds_]

    proof = proofs.proof(tmp_path, net, proofs.mlp(net), numbers=Numbers(zeros, judge))
    assert proof.fails
    assert proofs.step(proof, "numbers").details == ("far off",)


def test_a_runtime_that_is_coarse_is_no_fault_of_a_file_whose_graph_is_right(
    tmp_path: Path, net: nn.Module
) -> None:
    def coarse(expected: Sequence[Expected], answers: Answers) -> Verdict:
        return verdict(1e-4, "between")

    numbers = Numbers(lambda feeds_: run(feeds_, tmp_path / "m.onnx"), coarse)
    proof = proofs.proof(tmp_path, net, proofs.mlp(net), numbers=numbers)
    step = proofs.step(proof, "numbers")
    assert (step.outcome, step.says) == ("holds", "between")
    assert step.details == ("onnxruntime cpu is coarser than float32, the file is not: far off",)

    def in_few(expected: Sequence[Expected], answers: Answers) -> Verdict:
        return verdict(1e-5, "wrong")

    numbers = Numbers(lambda feeds_: run(feeds_, tmp_path / "m.onnx"), in_few)
    proof = proofs.proof(tmp_path, net, proofs.mlp(net), numbers=numbers)
    assert proofs.step(proof, "numbers").says == "float32 but for a few elements"

    model = onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["" : 20, "com.microsoft" : 1]>
        g (float[n] x) => (float[n] output)
        { output = com.microsoft.SampleOp (x) }"""
    )
    bare = proofs.proof(tmp_path, Echo(), model, proofs.LINE, Sizes({"n": 16}), numbers)
    assert proofs.step(bare, "structure").outcome == "not shown"
    assert proofs.step(bare, "numbers").outcome == "fails"


@pytest.mark.parametrize("text", ["float32", "between"])
def test_numbers_that_are_far_off_at_a_size_fail_whatever_class_they_look_like(
    tmp_path: Path, net: nn.Module, text: Name
) -> None:
    """Where a position lies between two pixels every simulation is as far off."""

    def moved(feeds_: Sequence[Feed]) -> Answers:
        answers = run(feeds_, tmp_path / "m.onnx")
        return [
            {name: array + np.float32(0.2 * (len(array) == 7)) for name, array in answer.items()}
            for answer in answers
        ]

    def blind(expected: Sequence[Expected], answers: Answers) -> Verdict:
        return verdict(1.0, text)

    proof = proofs.proof(tmp_path, net, proofs.mlp(net), numbers=Numbers(moved, blind))
    step = proofs.step(proof, "numbers")

    assert step.outcome == "fails"
    assert "wrong at batch 7" in step.details
    assert proof.off == ({"batch": 7},)


def test_a_worker_that_dies_is_a_failed_step(tmp_path: Path, net: nn.Module) -> None:
    def dying(feeds_: Sequence[Feed]) -> Answers:
        raise TargetError("onnxruntime cpu died of SIGSEGV")

    proof = proofs.proof(tmp_path, net, proofs.mlp(net), numbers=Numbers(dying, judge))
    assert proof.fails
    assert proofs.step(proof, "numbers").says == "onnxruntime cpu died of SIGSEGV"
