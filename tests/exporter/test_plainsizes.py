"""Where float64 takes too long at a second size, float32 alone shows the file there; what it does
not show is looked at in float64, so that a fault is found all the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
from onnx import ModelProto, numpy_helper
from torch import nn

from tests.exporter import proofs
from tests.exporter.test_prove import judge
from toolkit.exporter.proof import Contract, ExportProof
from toolkit.exporter.prove import Answers, Numbers
from toolkit.oracle.sizesweep import Sizes
from toolkit.tensors import Feed, TensorSpec

pytestmark = pytest.mark.export

CONTRACT = Contract((TensorSpec("input", "float32", ("batch", 8)),), ("y",))
DEARER = Sizes({"batch": 2}, allowance=0.0, dear=True, dearer=True)
SHOWN = "in float32 alone, as the module's own: onnxruntime cpu at batch 3"


def wide() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(8, 1200).eval()


def file(module: nn.Linear, last: str) -> ModelProto:
    """The module as a graph, but for its last nodes, which make y of h (batch, 1200)."""
    model = onnx.parser.parse_model(
        f"""<ir_version: 10, opset_import: ["" : 20]>
        g (float[batch, 8] input) => (float[batch, 1200] y) <
            int64[1] zero = {{0}}, int64[1] one = {{1}}, int64[1] two = {{2}}, float unit = {{1.0}}
        > {{
            h = Gemm <transB = 1> (input, w, b)
            size = Shape <start = 0, end = 1> (h)
            more = Greater (size, two)
            {last}
        }}"""
    )
    weights = {"w": module.weight, "b": module.bias}
    for name, tensor in weights.items():
        model.graph.initializer.append(numpy_helper.from_array(tensor.detach().numpy(), name))
    return model


def scaled(factor: float) -> str:
    """Nodes that are right for one and for two, and off by a factor beyond."""
    return f"""f = Constant <value_float = {factor}> ()
        by = Where (more, f, unit)
        y = Mul (h, by)"""


def proof(folder: Path, last: str, at: Sizes = DEARER) -> tuple[ExportProof, list[int]]:
    """The proof of such a file, and the rows of each feed that it was run on."""
    module = wide()
    rows: list[int] = []

    def run(feeds: Sequence[Feed]) -> Answers:
        session = onnxruntime.InferenceSession(folder / "m.onnx")
        rows.extend(len(feed["input"]) for feed in feeds)
        return [{"y": session.run(["y"], dict(feed))[0]} for feed in feeds]

    numbers = Numbers(run, judge)
    return proofs.proof(folder, module, file(module, last), CONTRACT, at, numbers), rows


def test_a_right_file_is_shown_in_float64_at_the_least_size_and_in_float32_beyond(
    tmp_path: Path,
) -> None:
    shown, rows = proof(tmp_path, "y = Identity (h)")

    structure = proofs.step(shown, "structure")
    assert shown.holds
    assert structure.what == "in float64 at batch 1"
    assert structure.details[0] == SHOWN
    assert structure.details[1] == "left out for time: batch 5; batch 7"
    assert [each.feed.dims["batch"] for each in shown.expected] == [1]
    assert rows == [3, 1]


@pytest.mark.parametrize(
    "last",
    [
        """first = Slice (h, zero, one, zero)
        second = Slice (h, one, two, zero)
        y = Concat <axis = 0> (first, second)""",
        scaled(1.1),
        scaled(1.00001),
        scaled(1.0000025),
    ],
    ids=["two rows alone", "by a tenth", "by 1e-5", "by 2.5e-6"],
)
def test_a_file_that_is_wrong_beyond_the_traced_size_alone_is_found(
    tmp_path: Path, last: str
) -> None:
    shown, _ = proof(tmp_path, last)

    structure = proofs.step(shown, "structure")
    assert structure.outcome == "fails"
    assert structure.what == "in float64 at batch 3"
    assert structure.details[0].startswith("wrong at batch 3: ")


def test_without_a_runtime_both_sizes_are_looked_at_in_float64(tmp_path: Path) -> None:
    module = wide()
    shown = proofs.proof(tmp_path, module, file(module, "y = Identity (h)"), CONTRACT, DEARER)

    structure = proofs.step(shown, "structure")
    assert (structure.outcome, structure.what) == ("holds", "in float64 at batch 1, 3")
    assert SHOWN not in structure.details


def test_where_no_structure_is_shown_the_numbers_are_judged_at_both_sizes(tmp_path: Path) -> None:
    class Echo(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 1

    model = onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["" : 20, "com.microsoft" : 1]>
        g (float[n] x) => (float[n] output) { output = com.microsoft.SampleOp (x) }"""
    )
    rows: list[int] = []

    def run(feeds: Sequence[Feed]) -> Answers:
        session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
        rows.extend(len(feed["x"]) for feed in feeds)
        return [{"output": session.run(["output"], dict(feed))[0]} for feed in feeds]

    at = Sizes({"n": 2000}, allowance=0.0, dear=True, dearer=True)
    shown = proofs.proof(tmp_path, Echo(), model, proofs.LINE, at, Numbers(run, judge))

    assert proofs.step(shown, "structure").outcome == "not shown"
    assert {each.feed.dims["n"] for each in shown.expected} >= {1, 2003}
    assert 2003 in rows
