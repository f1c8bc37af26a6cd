"""Operators that onnxruntime lacks in a narrow type are computed in float32 where that is asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import TensorProto, helper

from toolkit.exporter import casting
from toolkit.onnxfiles import modelfile
from toolkit.pipelines.export import NotProven, export

NET = """
import torch
from torch import nn

class Attending(nn.Module):
    "In float16 its scale of 1/√d is rounded, in the file and not in the module's float64."
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, 0.0, batch_first=True)
    def forward(self, x):
        return self.layer(x)

class Filtering(nn.Module):
    "Opset 20 has no Conv in bfloat16, onnxruntime hardly anything else."
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.fc = nn.Conv1d(4, 8, 3, padding=1), nn.Linear(8, 5)
    def forward(self, x):
        return self.fc(self.conv(x).relu().mean(-1))

def half():
    return Attending().half()

def brain():
    return Filtering().bfloat16()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "net.py").write_text(NET)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.export
def test_constants_of_a_float16_module_may_be_rounded_to_its_type(folder: Path) -> None:
    exported = export("net.py:half", input=["x:float16[batch,seq,16]"])

    figure = exported.proof.steps[1].figure
    assert exported.proof.holds
    assert figure is not None
    assert 1e-6 < figure < 5e-4


@pytest.mark.export
def test_a_bfloat16_module_is_proven_with_casts(folder: Path) -> None:
    stated = ["x:bfloat16[batch,4,12]"]
    with pytest.raises(NotProven) as caught:
        export("net.py:brain", input=stated)
    assert caught.value.cures[0] == casting.CURE

    exported = export("net.py:brain", input=stated, cast_missing=True)

    assert exported.proof.holds
    assert exported.facts.inputs[0].type == exported.facts.outputs[0].type == "bfloat16"
    assert "Conv" in exported.facts.metadata[casting.KIND].split(", ")
    assert exported.notes[0].startswith(exported.facts.metadata[casting.KIND])


def choosing(path: Path) -> ir.Model:
    """x [n], bfloat16 → if c then x + x else x·x, whose nodes stand in bodies; y is computed."""

    def body(operator: str) -> onnx.GraphProto:
        out = helper.make_tensor_value_info(operator, TensorProto.BFLOAT16, None)
        return helper.make_graph(
            [helper.make_node(operator, ["x", "x"], [operator])], "b", [], [out]
        )

    node = helper.make_node("If", ["c"], ["y"], then_branch=body("Add"), else_branch=body("Mul"))
    infos = [
        helper.make_tensor_value_info("c", TensorProto.BOOL, []),
        helper.make_tensor_value_info("x", TensorProto.BFLOAT16, ["n"]),
        helper.make_tensor_value_info("y", TensorProto.BFLOAT16, ["n"]),
    ]
    graph = helper.make_graph([node], "choosing", infos[:2], infos[2:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(onnx.shape_inference.infer_shapes(model), path)
    return ir.load(path)


def test_only_what_is_refused_has_casts_also_inside_of_bodies(tmp_path: Path) -> None:
    model, asked = choosing(tmp_path / "m.onnx"), []

    def takes(models: Sequence[onnx.ModelProto]) -> list[bool]:
        operators = [each.graph.node[0].op_type for each in models]
        asked.extend(operators)
        return [name != "Mul" for name in operators]

    assert casting.cast(model, takes) == ("Mul",)

    assert sorted(asked) == ["Add", "Mul"]
    path = tmp_path / "cast.onnx"
    ir.save(model, path)
    onnx.checker.check_model(path, full_check=True)
    branches = {a.name: a.g for a in modelfile.parse(path).graph.node[0].attribute}
    assert [n.op_type for n in branches["then_branch"].node] == ["Add"]
    assert [n.op_type for n in branches["else_branch"].node] == ["Cast", "Cast", "Mul", "Cast"]


def test_a_file_with_casts_runs_and_rounds_as_its_type_does(tmp_path: Path) -> None:
    model = choosing(tmp_path / "m.onnx")
    casting.cast(model, lambda models: [False] * len(models))
    model.graph.outputs[0].name = "narrow"
    ir.save(model, tmp_path / "cast.onnx")
    wide = onnx.load(tmp_path / "cast.onnx")
    wide.graph.node.append(helper.make_node("Cast", ["narrow"], ["y"], to=TensorProto.FLOAT))
    wide.graph.node.insert(0, helper.make_node("Cast", ["w"], ["x"], to=TensorProto.BFLOAT16))
    wide.graph.input[1].CopyFrom(helper.make_tensor_value_info("w", TensorProto.FLOAT, ["n"]))
    wide.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n"]))

    session = onnxruntime.InferenceSession(wide.SerializeToString())
    x = np.array([1.0, 1.0078125], np.float32)  # The second is the next number of bfloat16.
    (y,) = session.run(None, {"c": np.array(False), "w": x})

    assert y.tolist() == [1.0, 1.015625]  # 1.01568… is rounded to 8 bits.
