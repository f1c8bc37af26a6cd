"""Every destination: its templates, its pins, and, where there is time, the proof of it all."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests import needs, small
from tests.deployment import pythons
from toolkit.deployment import documents, listing, operators, packing
from toolkit.deployment.base import TEMPLATES, Payload
from toolkit.errors import InputError
from toolkit.exporter.testdata import DataSet
from toolkit.onnxfiles import modelfile
from toolkit.pipelines.bench import REFERENCE
from toolkit.pipelines.deploy import deploy
from toolkit.tensors import Array

TEMPLATE_FILES = [
    path for path in TEMPLATES.rglob("*") if path.is_file() and "__pycache__" not in path.parts
]
PLAIN = [name for name in listing.NAMES if name != "web"]
"""Destinations whose folders are filled without npm."""
CONVERTED = [name for name in PLAIN if listing.load(name).form]


@pytest.fixture(scope="module")
def payload(tmp_path_factory: pytest.TempPathFactory) -> Payload:
    file = modelfile.read(small.layer(tmp_path_factory.mktemp("model") / "layer.onnx"))
    data = DataSet({"x": np.ones((2, 8), np.float32)}, {"y": np.ones((2, 16), np.float32)})
    return Payload(file, (data,))


@pytest.mark.parametrize("name", PLAIN)
def test_what_is_said_of_a_folder_is_in_it(name: str, payload: Payload, tmp_path: Path) -> None:
    destination = listing.load(name)

    packing.pack(destination, payload, tmp_path)

    assert destination.name == name
    assert [file for file in destination.files if not (tmp_path / file).exists()] == []
    assert (tmp_path / "test_data_set_0" / "output_0.npy").is_file()
    assert documents.usage(destination).startswith("## Run it\n")
    text = (tmp_path / documents.LICENCES).read_text()
    assert all(f"| {part.what} | {part.licence} |" in text for part in destination.licences())
    assert destination.licences() != []


def test_an_unknown_destination_is_told_with_the_known_ones() -> None:
    with pytest.raises(InputError) as caught:
        listing.parse("onnxruntime,opnvino")

    assert caught.value.what == (
        "no destination is called 'opnvino'; there are: cpp, executorch, iree, litert,"
        " mnn, ncnn, node, onnxruntime, openvino, web."
        " Did you mean openvino?"
    )


def test_no_template_names_a_registry_or_a_path() -> None:
    """Packages come from the reader's own registry: the lock files hold hashes, and no hosts."""
    registry_or_path = re.compile(r'"resolved"|registry\.|pypi|/home/|/root/|/work/|/tmp/')

    texts = {str(file): file.read_text("utf-8") for file in TEMPLATE_FILES}
    assert [file for file, text in texts.items() if registry_or_path.search(text)] == []


@pytest.mark.parametrize("template", ["node", "onnxruntime-web"])
def test_a_lock_file_pins_all_with_hashes(template: str) -> None:
    packages = json.loads((TEMPLATES / template / "package-lock.json").read_text())
    entries = [entry for name, entry in packages["packages"].items() if name]

    assert entries
    assert all(entry["integrity"].startswith("sha512-") for entry in entries)
    package = json.loads((TEMPLATES / template / "package.json").read_text())
    assert all(re.fullmatch(r"[\d.]+", version) for version in package["dependencies"].values())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["onnxruntime", "openvino", *CONVERTED])
def test_a_client_in_python_is_typed(name: str, tmp_path: Path) -> None:
    """In a folder of its own: where the templates lie, mypy takes them for modules of toolkit."""
    for template in listing.load(name).templates:
        shutil.copytree(TEMPLATES / template, tmp_path / "folder", dirs_exist_ok=True)

    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--ignore-missing-imports",
         "--no-warn-return-any", f"--cache-dir={tmp_path}", "--config-file=", "client.py"],
        cwd=tmp_path / "folder",
        capture_output=True,
        text=True,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout


def test_an_input_that_a_client_cannot_read_is_named(tmp_path: Path) -> None:
    x = helper.make_tensor_value_info("x", TensorProto.BFLOAT16, [1, 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])
    node = helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)
    graph = helper.make_graph([node], "graph", [x], [y])
    file = tmp_path / "cast.onnx"
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), file
    )

    reason = operators.refusal(listing.load("cpp"), modelfile.read(file))

    assert reason == "its client does not read or write bfloat16 ('x')"


# The clean proof of each, on models of all that a client has to read.


def words(folder: Path) -> Path:
    """Integers and booleans in, floats and integers out, two dynamic dimensions, external data."""
    draw = np.random.default_rng(0)
    weights: dict[str, Array] = {
        "table": draw.normal(size=(100, 16)).astype(np.float32),
        "score": draw.normal(size=(16, 3)).astype(np.float32),
        "second": np.array([1], np.int64),
        "third": np.array([2], np.int64),
    }
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["rows"]),
        helper.make_node("Cast", ["mask"], ["kept"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["kept", "third"], ["wide"]),
        helper.make_node("Mul", ["rows", "wide"], ["masked"]),
        helper.make_node("ReduceMean", ["masked", "second"], ["mean"], keepdims=0),
        helper.make_node("MatMul", ["mean", "score"], ["scores"]),
        helper.make_node("ArgMax", ["scores"], ["best"], axis=1, keepdims=0),
    ]
    make = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "graph",
        [
            make("ids", TensorProto.INT64, ["batch", "seq"]),
            make("mask", TensorProto.BOOL, ["batch", "seq"]),
        ],
        [
            make("scores", TensorProto.FLOAT, ["batch", 3]),
            make("best", TensorProto.INT64, ["batch"]),
        ],
        [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    file = folder / "words.onnx"
    onnx.save(model, file, save_as_external_data=True, location="words.bin", size_threshold=64)
    return file


NEEDS = {"onnxruntime": (), "openvino": (), "cpp": ("cmake", "g++"), "node": ("node", "npm"),
         "web": ("npm", "chromium")}  # fmt: skip

NOT_FED = {
    "ncnn": "ncnn is not fed bool here ('mask')",
    "executorch": "executorch starts from the PyTorch source, which is not known",
}
"""Destinations that do not take the model `words` → what they say."""


def reference(folder: Path) -> Path:
    """The reference model, whose PyTorch source is known."""
    return REFERENCE


def demand(name: str) -> None:
    """Skips where something is missing by which the folder is made or its client run."""
    for program in NEEDS.get(name, ()):
        needs.program(program)
    if name in CONVERTED:
        pythons.managed_of(name)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "make"),
    [
        *((name, reference) for name in listing.NAMES),
        *((name, words) for name in listing.NAMES if name not in NOT_FED),
    ],
)
def test_a_destination_is_proven_in_a_clean_environment(
    name: str, make: Callable[[Path], Path], tmp_path: Path
) -> None:
    """Whatever a client needs is installed anew, from the index."""
    demand(name)

    (done,) = deploy(make(tmp_path), [name], tmp_path / "out")

    assert (done.proof.outcome, done.proof.what) == ("right", "")
    assert done.proof.verdict is not None
    assert done.proof.verdict.text == "float32"
    assert done.folder == tmp_path / "out" / name


@pytest.mark.process
@pytest.mark.parametrize("name", NOT_FED)
def test_a_model_that_a_converter_does_not_take_is_said_in_a_line(
    name: str, tmp_path: Path
) -> None:
    demand(name)

    (done,) = deploy(words(tmp_path), [name], tmp_path / "out")

    assert (done.folder, done.proof.what) == (None, NOT_FED[name])
