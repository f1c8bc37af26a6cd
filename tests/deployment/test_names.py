"""Names of a model may hold any character: none marks up a document, or takes a file's place."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from onnx import TensorProto, helper, numpy_helper

from tests.deployment import pythons
from toolkit import plaintext
from toolkit.deployment.base import ONNX
from toolkit.pipelines.deploy import deploy

pytestmark = pytest.mark.process

HOSTILE = "a|`b\x1b]0;title\x07\u202e\n# Not ours\n\n<img src=x>[l](http://192.0.2.1)**c"


def hostile(folder: Path, name: str, location: str) -> Path:
    """A model with such a name of an input, a dimension, an output and a weight; its weights lie in
    a file of this name."""
    shape: list[str | int] = [f"n{HOSTILE}", 4]
    x, y = (
        helper.make_tensor_value_info(f"{role}{HOSTILE}", TensorProto.FLOAT, shape) for role in "xy"
    )
    weight = numpy_helper.from_array(np.ones((4, 4), np.float32), f"w{HOSTILE}")
    node = helper.make_node("MatMul", [x.name, weight.name], [y.name])
    graph = helper.make_graph([node], "g", [x], [y], [weight])
    opset = [helper.make_opsetid("", 20)]
    file = folder / name
    onnx.save_model(
        helper.make_model(graph, opset_imports=opset, ir_version=10),
        file,
        save_as_external_data=True,
        location=location,
        size_threshold=0,
    )
    return file


def test_no_name_marks_up_a_document(tmp_path: Path) -> None:
    file = hostile(tmp_path, "m|`\x1b[31m\u202e**<b>.onnx", "w|`\u202e<b>.bin")

    (done,) = deploy(file, ["onnxruntime"], tmp_path / "out", make_python=pythons.shared)

    assert done.proven, done.proof.what
    assert done.folder is not None
    reader = MarkdownIt("commonmark", {"html": True}).enable("table")
    for document in ("README.md", "LICENCES.md", "deploy.json"):
        text = (done.folder / document).read_text("utf-8")
        assert not {c for c in text if c != "\n" and unicodedata.category(c) in INVISIBLE}
        if document.endswith(".md"):
            tokens = reader.parse(text)
            inner = [each for token in tokens for each in token.children or ()]
            assert not [each for each in inner if each.type in ("html_inline", "image")]
            assert not [each for each in tokens if each.type == "html_block"]
            hosts = [each.attrs["href"] for each in inner if each.type == "link_open"]
            assert not [host for host in hosts if "192.0.2.1" in str(host)]
            assert "Not ours" not in headings(tokens)
    record = json.loads((done.folder / "deploy.json").read_text("utf-8"))
    assert record["model"]["made_from"] == file.name
    assert record["model"]["inputs"] == [f"x{HOSTILE}:float32[n{HOSTILE},4]"]


INVISIBLE = plaintext.INVISIBLE


def headings(tokens: Sequence[Token]) -> str:
    """The words of all headings of a document."""
    opened = [number for number, each in enumerate(tokens) if each.type == "heading_open"]
    return " ".join(tokens[number + 1].content for number in opened)


@pytest.mark.parametrize(
    "location", ["model.onnx", "Model.ONNX", "./model.onnx", "model.onnx/w.bin"]
)
def test_weights_that_are_called_as_the_model_do_not_take_its_place(
    tmp_path: Path, location: str
) -> None:
    (tmp_path / location).parent.mkdir(exist_ok=True)
    file = hostile(tmp_path, "m.onnx", location)

    (done,) = deploy(file, ["onnxruntime"], tmp_path / "out", make_python=pythons.shared)

    assert not done.proven
    assert done.folder is None
    assert done.proof.what == (
        f"m.onnx has weights in {location!r}, and model.onnx is what the model itself is called"
        " there; onnx.save_model(…, location='weights.bin') gives them another name"
    )
    assert ONNX == "model/model.onnx"
