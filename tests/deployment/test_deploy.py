"""A folder that runs by itself, and what becomes of one that is not right."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from onnx import TensorProto, helper

from tests import needs, small
from tests.deployment import pythons
from toolkit.deployment.base import MakePython
from toolkit.errors import EnvironmentFault, InputError
from toolkit.pipelines.deploy import Deployment, deploy
from toolkit.tensors import Array
from toolkit.workers import locks

pytestmark = pytest.mark.process

OFF_BY_SOME = """
    import onnxruntime

    class Off(onnxruntime.InferenceSession):
        def run(self, *arguments):
            return [array + 0.25 for array in super().run(*arguments)]

    onnxruntime.InferenceSession = Off
"""

DYING = """
    import onnxruntime

    class Dying(onnxruntime.InferenceSession):
        def run(self, *arguments):
            raise RuntimeError("no kernel for Gemm here")

    onnxruntime.InferenceSession = Dying
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.layer(tmp_path_factory.mktemp("model") / "layer.onnx")


@pytest.fixture(scope="module")
def proven(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for ONNX Runtime in Python."""
    out = tmp_path_factory.mktemp("deployed")
    (done,) = deploy(model, ["onnxruntime"], out, make_python=pythons.shared)
    assert done.proven, done.proof.what
    assert done.folder == out / "onnxruntime"
    return done.folder


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def record(folder: Path) -> dict[str, object]:
    content: dict[str, object] = json.loads((folder / "deploy.json").read_text())
    return content


def tried(model: Path, out: Path, python: MakePython) -> Deployment:
    (done,) = deploy(model, ["onnxruntime"], out, make_python=python)
    return done


def test_a_folder_has_all_that_it_needs(proven: Path) -> None:
    assert {path.name for path in proven.iterdir()} == {
        "client.py",
        "console.py",
        "deploy.json",
        "LICENCES.md",
        "model",
        "README.md",
        "requirements.txt",
        "sbom.cdx.json",
        "test_data_set_0",
        "test_data_set_1",
        "test_data_set_2",
    }
    lock = locks.read(proven / "requirements.txt")
    assert {"onnxruntime", "numpy", "protobuf"} <= {package.name for package in lock.packages}
    assert all(package.sha256 for package in lock.packages)


def test_a_folder_has_a_bill_of_its_model_and_of_all_that_is_installed(proven: Path) -> None:
    bill = (proven / "sbom.cdx.json").read_text()
    components = {row["name"]: row for row in json.loads(bill)["components"]}
    packages = locks.read(proven / "requirements.txt").packages

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill) is None
    assert {*components} == {"model/model.onnx", *(package.name for package in packages)}
    model = components["model/model.onnx"]
    assert model["hashes"][0]["content"] == sha256((proven / "model/model.onnx").read_bytes())
    (files,) = components["onnxruntime"]["externalReferences"]
    (onnxruntime,) = (package for package in packages if package.name == "onnxruntime")
    assert files["url"] == "requirements.txt"
    assert {row["content"] for row in files["hashes"]} == {*onnxruntime.sha256}
    needs = {row["ref"]: row.get("dependsOn", []) for row in json.loads(bill)["dependencies"]}
    assert f"pypi:numpy@{components['numpy']['version']}" in next(
        needs[ref] for ref in needs if ref.startswith("pypi:onnxruntime@")
    )


def test_a_proof_is_the_verdict_of_the_judge(proven: Path) -> None:
    proof = record(proven)["proof"]

    assert isinstance(proof, dict)
    assert (proof["outcome"], proof["verdict"]["text"]) == ("right", "float32")
    assert proof["verdict"]["outputs"][0]["elements"] >= 1000
    assert proof["versions"]["onnxruntime"] == pytest.importorskip("onnxruntime").__version__
    assert "**Proven: float32.**" in (proven / "README.md").read_text()


def test_a_folder_names_no_path_of_the_machine_that_made_it(proven: Path, model: Path) -> None:
    """The files as they are, byte for byte."""
    ours = [str(model.parent), str(Path.home()), os.getcwd(), "/tmp/", "site-packages"]
    for file in (path for path in proven.rglob("*") if path.is_file()):
        content = file.read_bytes()
        assert [each for each in ours if each.encode() in content] == [], file


def test_a_client_runs_where_toolkit_is_not(proven: Path, tmp_path: Path) -> None:
    """Its own words, on arrays of a user's, with a home that stays empty: it reports nothing."""
    python = pythons.shared(tmp_path / "venv", proven / "requirements.txt")
    home = tmp_path / "home"
    home.mkdir()
    np.save(tmp_path / "x.npy", np.ones((5, 8), np.float32))

    done = subprocess.run(
        [python, proven / "client.py", tmp_path / "x.npy", "--calls", "3"],
        cwd=tmp_path,
        env={"HOME": str(home), "PATH": os.defpath},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.splitlines()[0].startswith("model.onnx on onnxruntime ")
    assert "  y: float32 5×16  " in done.stdout
    assert "ms a call, the median of 3" in done.stdout
    assert [*home.rglob("*")] == []


@pytest.mark.parametrize(
    ("array", "error"),
    [
        (np.ones((5, 9), np.float32), "the model does not take your inputs: "),
        (np.ones((5, 8), np.float64), "the model does not take your inputs: "),
        (None, "an input cannot be read: "),
    ],
    ids=["another shape", "another type", "no array"],
)
def test_a_client_says_in_a_line_what_it_cannot_take(
    proven: Path, tmp_path: Path, array: Array | None, error: str
) -> None:
    file = tmp_path / "x.npy"
    file.write_text("no array") if array is None else np.save(file, array)

    done = subprocess.run(
        [sys.executable, proven / "client.py", file], capture_output=True, text=True
    )

    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {error}")
    assert "Traceback" not in done.stderr


def test_a_client_with_wrong_answers_is_kept_under_another_name(
    model: Path, tmp_path: Path
) -> None:
    done = tried(model, tmp_path, pythons.changed(OFF_BY_SOME))

    assert done.proof.outcome == "not right"
    assert done.folder == tmp_path / "onnxruntime-failed"
    assert [path.name for path in tmp_path.iterdir()] == ["onnxruntime-failed"]
    assert "**Not to be used.**" in (done.folder / "README.md").read_text()


def test_a_client_that_fails_says_why(model: Path, tmp_path: Path) -> None:
    done = tried(model, tmp_path, pythons.changed(DYING))

    assert done.proof.outcome == "failed"
    assert done.proof.what == (
        "the client ended with code 1: error: the model does not take test_data_set_0: "
        "no kernel for Gemm here"
    )
    assert done.folder == tmp_path / "onnxruntime-failed"


PLACED = """
    import onnxruntime

    class Dying(onnxruntime.InferenceSession):
        def __init__(self, file, *arguments, **more):
            raise RuntimeError(f"no kernel for {file}")

    onnxruntime.InferenceSession = Dying
"""


def test_a_failure_names_no_path_of_the_machine(model: Path, tmp_path: Path) -> None:
    done = tried(model, tmp_path, pythons.changed(PLACED))

    assert done.proof.what.endswith("RuntimeError: no kernel for copy/model/model.onnx")
    assert done.folder is not None
    assert "/toolkit-" not in (done.folder / "README.md").read_text()
    assert "/toolkit-" not in (done.folder / "deploy.json").read_text()


REPORTING = """
    import onnxruntime
    from pathlib import Path

    (Path.home() / ".identity").write_text("1234")
"""


def test_a_client_that_leaves_a_trace_in_the_home_is_not_right(model: Path, tmp_path: Path) -> None:
    done = tried(model, tmp_path, pythons.changed(REPORTING))

    assert done.proof.outcome == "failed"
    assert done.proof.what.startswith("the client left .identity in its user's home")


WRITING = """
    import onnxruntime

    class Writing(onnxruntime.InferenceSession):
        def __init__(self, file, *arguments, **more):
            super().__init__(file, *arguments, **more)
            with open(file, "ab") as stream:
                stream.write(b"more")

    onnxruntime.InferenceSession = Writing
"""


def test_a_client_that_writes_into_its_model_is_not_right(model: Path, tmp_path: Path) -> None:
    done = tried(model, tmp_path, pythons.changed(WRITING))

    assert done.proof.outcome == "failed"
    assert done.proof.what == (
        "the client wrote into its folder model/, which is the model that would be shipped"
    )


def test_a_proof_copies_no_weights(tmp_path: Path) -> None:
    """They lie once in the folder that was made; the client reads them there."""
    model = beside(tmp_path)
    copies: list[Path] = []

    def looking(folder: Path, requirements: Path) -> Path:
        found = [*requirements.parent.rglob("layer.data"), *tmp_path.rglob("layer.data")]
        copies.extend(dict.fromkeys(file.resolve() for file in found))
        return pythons.shared(folder, requirements)

    done = tried(model, tmp_path / "deployed", looking)

    assert done.proven, done.proof.what
    assert len(copies) == 2
    assert (tmp_path / "layer.data").resolve() in copies
    assert done.folder is not None
    assert not (done.folder / "model").is_symlink()


def beside(folder: Path) -> Path:
    """The layer with its weights in layer.data."""
    path = small.layer(folder / "layer.onnx")
    onnx.save_model(
        onnx.load(path),
        path,
        save_as_external_data=True,
        location="layer.data",
        size_threshold=0,
    )
    return path


def test_a_client_that_could_not_be_run_is_not_proven(model: Path, tmp_path: Path) -> None:
    error = EnvironmentFault("pip install ended with code 1: no network", "connect it")

    done = tried(model, tmp_path, pythons.refusing(error))

    assert (done.proof.outcome, done.proof.what) == ("not made", error.what)
    assert done.proof.cures == ("connect it",)
    assert done.folder == tmp_path / "onnxruntime-unproven"
    assert "**Not proven.**" in (done.folder / "README.md").read_text()


def test_a_proven_folder_takes_the_place_of_earlier_attempts(model: Path, tmp_path: Path) -> None:
    tried(model, tmp_path, pythons.changed(DYING))
    tried(model, tmp_path, pythons.refusing(EnvironmentFault("no network")))

    tried(model, tmp_path, pythons.shared)
    tried(model, tmp_path, pythons.shared)

    assert [path.name for path in tmp_path.iterdir()] == ["onnxruntime"]


def test_a_failure_leaves_the_proven_folder_as_it_is(model: Path, tmp_path: Path) -> None:
    tried(model, tmp_path, pythons.shared)
    before = (tmp_path / "onnxruntime" / "deploy.json").read_bytes()

    tried(model, tmp_path, pythons.changed(DYING))

    assert (tmp_path / "onnxruntime" / "deploy.json").read_bytes() == before


def test_a_folder_of_somebody_else_is_left_alone(model: Path, tmp_path: Path) -> None:
    (tmp_path / "onnxruntime").mkdir()
    (tmp_path / "onnxruntime" / "mine.txt").write_text("mine")

    with pytest.raises(InputError, match="was not made by toolkit deploy"):
        deploy(model, ["onnxruntime"], tmp_path, make_python=pythons.shared)

    assert [path.name for path in tmp_path.rglob("*")] == ["onnxruntime", "mine.txt"]


def test_an_operator_of_another_domain_is_named_before_anything_is_made(tmp_path: Path) -> None:
    node = helper.make_node("Odd", ["x"], ["y"], domain="com.acme")
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in ("x", "y")]
    graph = helper.make_graph([node], "graph", values[:1], values[1:])
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.acme", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), tmp_path / "odd.onnx")

    done = deploy(tmp_path / "odd.onnx", ["onnxruntime", "openvino"], tmp_path / "out")

    assert [deployment.proof.what for deployment in done] == [
        "onnxruntime has no operator com.acme.Odd",
        "openvino has no operator com.acme.Odd",
    ]
    assert not (tmp_path / "out").exists()


def test_external_data_goes_along(tmp_path: Path) -> None:
    model = onnx.load(small.layer(tmp_path / "layer.onnx"))
    onnx.save(
        model,
        tmp_path / "split.onnx",
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )

    (done,) = deploy(
        tmp_path / "split.onnx", ["onnxruntime"], tmp_path / "out", make_python=pythons.shared
    )

    assert done.proven, done.proof.what
    assert (tmp_path / "out" / "onnxruntime" / "model" / "weights.bin").is_file()


def test_data_that_is_called_as_a_module_is_not_run(tmp_path: Path) -> None:
    """An untrusted model's external data may have any name and any content."""
    model = onnx.load(small.layer(tmp_path / "layer.onnx"))
    onnx.save(
        model,
        tmp_path / "split.onnx",
        save_as_external_data=True,
        location="numpy.py",
        size_threshold=0,
    )
    with (tmp_path / "numpy.py").open("ab") as data:
        data.write(b"\nopen('caught', 'w')\n")

    (done,) = deploy(
        tmp_path / "split.onnx", ["onnxruntime"], tmp_path / "out", make_python=pythons.shared
    )

    assert done.proven, done.proof.what
    assert done.folder is not None
    assert not (done.folder / "numpy.py").exists()
    assert (done.folder / "model" / "numpy.py").is_file()


def test_a_client_asks_no_network(proven: Path, tmp_path: Path) -> None:
    """Its run alone is watched; tests/test_silence.py shows what switches against reports do."""
    trace = tmp_path / "trace"
    strace = [needs.program("strace"), "-f", "-e", "trace=network", "-o", str(trace)]
    allowed = [*strace, "true"]
    if subprocess.run(allowed, capture_output=True).returncode != 0:
        needs.absent("no process may be traced here")
    env = {key: value for key, value in os.environ.items() if key not in SILENCERS}

    subprocess.run(
        [*strace, sys.executable, proven / "client.py", "--calls", "200000"],
        env={**env, "HOME": str(tmp_path)},
        capture_output=True,
        check=True,
    )

    assert "AF_INET" not in trace.read_text(errors="replace")
    assert [path.name for path in tmp_path.iterdir()] == ["trace"]


SILENCERS = ("CI", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")
"""Variables that would silence ONNX Runtime by themselves, or hide where it writes."""
