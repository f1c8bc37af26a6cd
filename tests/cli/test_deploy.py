"""toolkit deploy, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from tests import command, small

pytestmark = pytest.mark.process


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A model of an operator that no destination has."""
    node = helper.make_node("Odd", ["x"], ["y"], domain="com.acme")
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy"]
    graph = helper.make_graph([node], "graph", values[:1], values[1:])
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.acme", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), tmp_path / "odd.onnx")
    return tmp_path / "odd.onnx"


def test_a_destination_that_is_not_there_is_named(tmp_path: Path) -> None:
    small.layer(tmp_path / "layer.onnx")

    ended = command.run("deploy", "layer.onnx", "--to", "browser", cwd=tmp_path)

    assert ended.code == 1
    assert ended.err.startswith("error: no destination is called 'browser'; there are: cpp, ")


def test_without_a_destination_it_is_a_usage(tmp_path: Path) -> None:
    ended = command.run("deploy", "layer.onnx", cwd=tmp_path)

    assert ended.code == 2
    assert "--to" in ended.err


def test_a_model_that_no_destination_takes_is_a_row_and_an_error(odd: Path) -> None:
    ended = command.run("deploy", odd, "--to", "cpp,node", cwd=odd.parent)

    assert (ended.code, ended.out.splitlines()) == (
        1,
        [
            "deploy   cpp           not deployed: cpp has no operator com.acme.Odd",
            "deploy   node          not deployed: node has no operator com.acme.Odd",
        ],
    )
    assert ended.errors == ["error: 2 of 2 were not proven right: cpp, node."]


def test_the_outcome_is_json_too(odd: Path) -> None:
    ended = command.run("deploy", odd, "--to", "cpp", "--json", cwd=odd.parent)

    (row,) = json.loads(ended.out)["deployed"]
    assert (ended.code, row["target"], row["folder"]) == (1, "cpp", None)
    assert row["proof"]["what"] == "cpp has no operator com.acme.Odd"


@pytest.mark.slow
def test_a_folder_is_a_line(tmp_path: Path) -> None:
    """Its environment is installed from the index."""
    small.layer(tmp_path / "layer.onnx")

    ended = command.run("deploy", "layer.onnx", "--to", "onnxruntime", cwd=tmp_path)

    assert (ended.code, ended.err) == (0, "")
    words = ended.out.split()
    assert words[:3] == ["deploy", "onnxruntime", "float32"]
    assert words[-1] == "deployed/layer/onnxruntime"
    assert (tmp_path / words[-1] / "client.py").is_file()
