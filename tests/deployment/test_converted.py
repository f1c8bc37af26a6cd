"""Destinations that ship what a runtime's `convert` made: proven with the environment that toolkit
made for the runtime, where there is one. The clean proof is in test_destinations.py."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests import needs, small
from tests.deployment import pythons
from tests.deployment.test_destinations import CONVERTED
from toolkit.deployment import listing
from toolkit.pipelines.bench import REFERENCE
from toolkit.pipelines.deploy import Deployment, deploy
from toolkit.plaintext import markdown
from toolkit.runtimes import listing as runtimes
from toolkit.runtimes.target import parse
from toolkit.tensors import Array
from toolkit.workers import locks

pytestmark = pytest.mark.process

CONVERTERS = {"iree-base-compiler", "onnx2tf", "onnx", "pnnx", "sng4onnx"}


def deployed(name: str, model: Path, out: Path) -> Deployment:
    (done,) = deploy(model, [name], out, make_python=pythons.managed_of(name))
    return done


def run(folder: Path, name: str, work: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    python = pythons.managed_of(name)(work / "venv", folder / "requirements.txt")
    return subprocess.run(
        [python, folder / "client.py", "--calls", "2", *arguments],
        env={"HOME": str(work), "PATH": os.defpath},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Returns a destination's folder for the reference model, whose source is known."""

    @cache
    def folder(name: str) -> Path:
        done = deployed(name, REFERENCE, tmp_path_factory.mktemp("deployed"))
        assert done.proven, done.proof.what
        assert done.folder is not None
        return done.folder

    return folder


IN_ORDER = [
    pytest.param(name, marks=[pytest.mark.slow] if name == "executorch" else [])
    for name in CONVERTED
]
"""executorch's client, which is started twice, gets its rows by the same lines as the others."""


@pytest.fixture(params=CONVERTED)
def proven(request: pytest.FixtureRequest, folder_of: Callable[[str], Path]) -> tuple[str, Path]:
    """A destination and its folder."""
    return request.param, folder_of(request.param)


def test_the_converted_form_is_proven(proven: tuple[str, Path]) -> None:
    _, folder = proven
    proof = json.loads((folder / "deploy.json").read_text())["proof"]

    assert (proof["verdict"]["text"], proof["refused"]) == ("float32", {})
    assert proof["feeds"] == ["batch 1", "batch 2", "batch 7", "batch 32", "batch 257"]
    assert not (folder / "model" / "model.onnx").exists()


def test_a_folder_does_not_need_the_converter(proven: tuple[str, Path]) -> None:
    name, folder = proven
    form = listing.load(name).form
    runtime = runtimes.facts(runtimes.find(parse(form).runtime))
    assert runtime is not None

    lock = locks.read(folder / "requirements.txt")
    unhashed = folder / "requirements-unhashed.txt"
    pins = {locks.name_of(pin): pin for pin in runtime.requirements if "==" in pin}

    assert not {*map(locks.canonical, CONVERTERS)} & {package.name for package in lock.packages}
    locked = {package.name: package.version for package in lock.here}
    assert {n: v for n, v in locked.items() if n in pins} == {
        n: pin.partition("==")[2] for n, pin in pins.items() if n in locked
    }
    first = unhashed.read_text().split() if unhashed.exists() else []
    assert first == ([pins["torch"]] if name == "executorch" else [])


def test_no_file_of_a_folder_names_a_path_of_this_machine(proven: tuple[str, Path]) -> None:
    _, folder = proven
    ours = [str(Path.home()), os.getcwd(), "/tmp/", "site-packages"]
    for file in (path for path in folder.rglob("*") if path.is_file()):
        content = file.read_bytes()
        assert [each for each in ours if each.encode() in content] == [], file


UNFIT: dict[str, tuple[Array, str]] = {
    "another size": (
        np.ones((5, 63), np.float32),
        "input takes the shape (batch, 64), not (5, 63)",
    ),
    "another rank": (np.ones((64,), np.float32), "input takes the shape (batch, 64), not (64,)"),
    "another type": (np.ones((5, 64), np.float64), "input takes float32, not float64"),
}


CLIENTS = [
    pytest.param(name, *UNFIT[kind], id=f"{name}-{kind}", marks=[pytest.mark.slow] * is_slow)
    for name in CONVERTED
    for kind in UNFIT
    for is_slow in [name == "executorch"]
]
"""Every client with inputs that do not fit. All refuse them by the same lines of the templates
`converted`; executorch's, whose import takes seconds, is asked slowly."""


@pytest.mark.parametrize(("name", "array", "error"), CLIENTS)
def test_a_client_says_what_its_library_would_not(
    folder_of: Callable[[str], Path], tmp_path: Path, name: str, array: Array, error: str
) -> None:
    folder = folder_of(name)
    np.save(tmp_path / "x.npy", array)

    done = run(folder, name, tmp_path, str(tmp_path / "x.npy"))

    assert done.returncode == 1
    assert f"error: the model does not take your inputs: {error}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", IN_ORDER)
def test_rows_that_do_not_lie_in_order_give_the_same(
    folder_of: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    """An array that numpy laid column by column, and two sizes one after the other."""
    folder = folder_of(name)
    rows = np.random.default_rng(0).random((9, 64), np.float32)
    outputs = []
    for order in ("C", "F"):
        work = tmp_path / order
        work.mkdir()
        np.save(work / "x.npy", np.asarray(rows, order=order))
        run(
            folder, name, work, str(work / "x.npy"), "--output", str(work / "out")
        ).check_returncode()
        outputs.append(np.load(work / "out" / "your inputs" / "output_0.npy"))

    assert outputs[0].tobytes() == outputs[1].tobytes()


def test_executorch_refuses_a_size_that_no_memory_was_planned_for(
    folder_of: Callable[[str], Path], tmp_path: Path
) -> None:
    np.save(tmp_path / "x.npy", np.ones((513, 64), np.float32))

    done = run(folder_of("executorch"), "executorch", tmp_path, str(tmp_path / "x.npy"))

    assert done.returncode == 1
    assert "dimension 0 of input may be 1 to 512, not 513" in done.stderr


def test_executorch_needs_the_source(tmp_path: Path) -> None:
    (done,) = deploy(small.layer(tmp_path / "layer.onnx"), ["executorch"], tmp_path / "out")

    assert (done.folder, done.proof.outcome) == (None, "not made")
    assert done.proof.what == "executorch starts from the PyTorch source, which is not known"
    assert done.proof.cures == ("--source FILE:FACTORY    names it",)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["litert", "mnn"])
def test_an_output_that_was_narrowed_is_widened_again(name: str, tmp_path: Path) -> None:
    """Neither gives int64."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 8])
    y = helper.make_tensor_value_info("y", TensorProto.INT64, ["batch"])
    node = helper.make_node("ArgMax", ["x"], ["y"], axis=1, keepdims=0)
    graph = helper.make_graph([node], "graph", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, tmp_path / "best.onnx")

    done = deployed(name, tmp_path / "best.onnx", tmp_path / "out")

    assert done.proven, done.proof.what
    assert done.proof.verdict is not None
    assert done.proof.verdict.outputs[0].output == "y"


REFUSING = """
    import sys
    import onnxruntime

    class Narrow(onnxruntime.InferenceSession):
        def run(self, names, feed):
            if len(feed["x"]) in SIZES:
                raise sys.modules["console"].ShapeRefused(f"no {len(feed['x'])} rows")
            return super().run(names, feed)

    onnxruntime.InferenceSession = Narrow
"""


def test_a_folder_is_proven_at_the_sizes_that_its_client_takes(tmp_path: Path) -> None:
    """And tells of the others, none of which is among its test data (D5)."""
    narrow = pythons.changed(REFUSING.replace("SIZES", "(2, 3)"))

    model = small.layer(tmp_path / "layer.onnx")
    (done,) = deploy(model, ["onnxruntime"], tmp_path / "out", make_python=narrow)

    assert done.proven, done.proof.what
    assert done.folder is not None
    sets = [np.load(file) for file in done.folder.glob("test_data_set_*/input_0.npy")]
    assert not {2, 3} & {len(rows) for rows in sets}
    assert len(sets) == len([*done.folder.glob("test_data_set_*")]) > 1
    assert done.proof.refused
    for size, why in done.proof.refused.items():
        assert size not in done.proof.feeds
        assert markdown(f"{size} ({why})") in (done.folder / "README.md").read_text()
    record = json.loads((done.folder / "deploy.json").read_text())
    assert record["proof"]["refused"] == dict(done.proof.refused)


def test_a_client_that_refuses_what_was_asked_for_is_not_right(tmp_path: Path) -> None:
    narrow = pythons.changed(REFUSING.replace("SIZES", "(1,)"))

    model = small.layer(tmp_path / "layer.onnx")
    (done,) = deploy(model, ["onnxruntime"], tmp_path / "out", make_python=narrow)

    assert done.proof.outcome == "failed"
    assert done.proof.what == "the client refuses the size that was asked for: no 1 rows"
    assert done.folder == tmp_path / "out" / "onnxruntime-failed"


def test_iree_ships_no_code_for_this_processor_alone() -> None:
    assert parse(listing.load("iree").form).options == {"processor": "generic"}


def test_a_client_of_a_converted_form_asks_no_network(
    proven: tuple[str, Path], tmp_path: Path
) -> None:
    name, folder = proven
    trace = tmp_path / "trace"
    strace = [needs.program("strace"), "-f", "-e", "trace=network", "-o", str(trace)]
    if subprocess.run([*strace, "true"], capture_output=True).returncode != 0:
        needs.absent("no process may be traced here")
    python = pythons.managed_of(name)(tmp_path / "venv", folder / "requirements.txt")
    home = tmp_path / "home"
    home.mkdir()

    subprocess.run(
        [*strace, python, folder / "client.py", "--calls", "1000"],
        env={"HOME": str(home), "PATH": os.defpath},
        capture_output=True,
        check=True,
    )

    assert "AF_INET" not in trace.read_text(errors="replace")
    assert [*home.rglob("*")] == []
