"""`toolkit export` as a user sees it: in processes of its own, from a user's folder."""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
import venv
from pathlib import Path

import pytest

from tests.cli import inside
from tests.cli.inside import Command

pytestmark = pytest.mark.process

NET = """
import torch
from torch import nn
from layers import Layer

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = Layer()
    def forward(self, x):
        return torch.relu(self.layer(x))

class Branch(nn.Module):
    def forward(self, x):
        return x * 2 if x.shape[0] > 12 else x * 3

class OnValues(nn.Module):
    def forward(self, x):
        if x.sum() > 0:
            return x
        return -x

class Wide(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 20_000)
    def forward(self, x):
        return self.layer(x)
"""
LAYERS = """
from torch import nn

class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 300)
    def forward(self, x):
        return self.fc(x)
"""
MAIN = "from toolkit.cli import main; main()"
LIMITED = (
    f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (90_000,"
    f" {resource.RLIM_INFINITY}));"
)
"""No file grows larger: those of our own code, which a worker gets a copy of, are smaller."""
WITHOUT_ONNXRUNTIME = (
    "import sys, toolkit.cli as cli; sys.modules['onnxruntime'] = None; cli.SUPERVISED = set();"
)
"""In the process itself: the one that it would start has the library."""
INPUT = ("--input", "x:float32[batch,4]")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return user_folder(tmp_path / "user")


def user_folder(path: Path) -> Path:
    path.mkdir(parents=True)
    (path / "net.py").write_text(NET)
    (path / "layers.py").write_text(LAYERS)
    return path


@pytest.fixture
def here(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    return inside.commands(folder, monkeypatch, capsys)


def toolkit(
    folder: Path,
    *arguments: str,
    before: str = "",
    python: str = sys.executable,
    env: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, "-P", "-c", before + MAIN, *arguments],
        cwd=folder,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
    )


def files(folder: Path) -> list[str]:
    own = {"net.py", "layers.py", "__pycache__"}
    return sorted(p.name for p in folder.iterdir() if p.name not in own)


def test_the_proof_is_a_table_and_torch_says_nothing(folder: Path) -> None:
    ended = toolkit(folder, "export", "net.py:Net", *INPUT)

    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    lines = ended.stdout.replace("\u2009", " ").splitlines()
    assert re.fullmatch(
        r"export   net.py:Net · torch [\d.]+ → opset \d+ · Gemm, Relu · batch is dynamic +[\d.]+ s",
        lines[0],
    )
    assert re.fullmatch(r" {9}form +checker, inputs, dimensions +holds", lines[1])
    assert re.fullmatch(
        r" {9}structure +in float64 at batch 1, 2, [\d, ]+ +[\d.e+-]+ +same function", lines[2]
    )
    assert re.fullmatch(r" {9}numbers +onnxruntime cpu at the same +[\d.e+-]+ +float32", lines[3])
    duration = r"[\d.]+ (s|ms|µs|ns)"
    steps = ("module", "torch.onnx.export", "file", "form", "structure", "numbers")
    times = " · ".join(f"{re.escape(step)} {duration}" for step in steps)
    assert re.fullmatch(f" {{9}}{times}", lines[4])
    assert lines[5].startswith("         net.onnx (")
    assert files(folder) == ["net.onnx", "test_data_set_0", "test_data_set_1", "test_data_set_2"]


def test_the_record_is_json_on_stdout(folder: Path, here: Command) -> None:
    ended = here("export", "net.py:Net", *INPUT, "--json", "--opset", "18")

    record = json.loads(ended.out)
    assert record["written"] is True
    assert record["path"] == "net.onnx"
    assert record["sha256"] == hashlib.sha256((folder / "net.onnx").read_bytes()).hexdigest()
    assert record["opset"] == 18
    assert [step["outcome"] for step in record["proof"]] == ["holds"] * 3
    assert record["inputs"] == [{"name": "x", "type": "float32", "shape": ["batch", 4]}]


def test_a_failed_proof_shows_its_table_the_error_and_leaves_nothing(
    folder: Path, here: Command
) -> None:
    ended = here("export", "net.py:Branch", "--input", "x:float32[seq=16,64]")

    assert ended.code == 1
    assert re.search(r"structure +in float64 at seq .*another function +fails", ended.out)
    assert ended.err.splitlines() == [
        "error: the exported graph holds for seq ≥ 13 only: right at the traced 16 and at 37,"
        " wrong at 9.",
        "  net.py:15   return x * 2 if x.shape[0] > 12 else x * 3",
        "  Write the branch with torch.cond, or state a range: 'x:float32[seq=13..,64]'",
        "  No file was written.",
    ]
    assert files(folder) == []


def test_a_refusal_is_one_paragraph_and_verbose_shows_the_trace(
    folder: Path, here: Command
) -> None:
    short = here("export", "net.py:OnValues", *INPUT)
    long = here("export", "net.py:OnValues", *INPUT, "--verbose")

    assert short.code == long.code == 1
    assert len(short.err.splitlines()) == 4
    assert "net.py:19   if x.sum() > 0:" in short.err
    assert "Traceback (most recent call last)" not in short.err
    assert "Traceback (most recent call last)" in long.err
    assert "GuardOnDataDependentSymNode" in long.err
    assert long.err.endswith(short.err)
    assert files(folder) == []


def test_without_onnxruntime_the_numbers_are_not_shown_and_that_is_said(
    here: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)

    table = here("export", "net.py:Net", *INPUT)
    record = here("export", "net.py:Net", *INPUT, "--json")

    assert table.code == record.code == 0
    assert "numbers     not shown: no onnxruntime; python -m pip install onnxruntime" in table.out
    step = json.loads(record.out)["proof"][2]
    assert step["outcome"] == "not shown"
    assert step["says"].startswith("no onnxruntime; ")


def test_two_exports_give_the_same_bytes_from_anywhere(folder: Path, tmp_path: Path) -> None:
    """Another folder, another user, another virtual environment; no trace of any in the file."""
    other = user_folder(tmp_path / "someone" / "else" / "deep")
    home = tmp_path / "elsehome"
    home.mkdir()
    venv.create(tmp_path / "othervenv", symlinks=True)
    python = tmp_path / "othervenv" / "bin" / "python"
    here = [entry for entry in sys.path if "site-packages" in entry]
    packages = next((tmp_path / "othervenv").rglob("site-packages"))
    (packages / "all.pth").write_text("\n".join([*here, str(Path(__file__).parents[2])]))
    user = {"HOME": str(home), "USER": "elseuser", "LOGNAME": "elseuser", "PYTHONHASHSEED": "7"}

    first = toolkit(folder, "export", "net.py:Net", *INPUT, before=WITHOUT_ONNXRUNTIME)
    second = toolkit(
        other.parent,
        *("export", f"{other.name}/net.py:Net", *INPUT, "-o", "net.onnx"),
        before=WITHOUT_ONNXRUNTIME,
        python=str(python),
        env=user,
    )

    assert first.returncode == second.returncode == 0, second.stderr
    written = (folder / "net.onnx").read_bytes()
    assert written == (other.parent / "net.onnx").read_bytes()
    for trace in (str(tmp_path), "site-packages", "elseuser", "else/", "layers.py", "forward"):
        assert trace.encode() not in written
    for number in range(3):
        data = f"test_data_set_{number}/output_0.pb"
        assert (folder / data).read_bytes() == (other.parent / data).read_bytes()


def test_the_reference_model_gives_the_same_bytes_twice(tmp_path: Path) -> None:
    weights = tmp_path / "models" / "mlp" / "mlp.safetensors"
    weights.parent.mkdir(parents=True)
    shutil.copy(Path(__file__).parents[2] / "models/mlp/mlp.safetensors", weights)
    (tmp_path / "b").mkdir()

    own = ("export", "--weights", str(weights), "-o", "mlp.onnx")

    first = toolkit(tmp_path, "export", before=WITHOUT_ONNXRUNTIME)
    second = toolkit(tmp_path / "b", *own, before=WITHOUT_ONNXRUNTIME)

    assert first.returncode == second.returncode == 0, second.stderr
    written = (tmp_path / "models/mlp/mlp.onnx").read_bytes()
    assert written == (tmp_path / "b/mlp.onnx").read_bytes()
    assert hashlib.sha256(weights.read_bytes()).hexdigest().encode() in written
    committed = Path(__file__).parents[2] / "models/mlp/mlp.onnx"
    assert written == committed.read_bytes()


def test_a_full_disk_is_one_line_and_leaves_nothing(folder: Path) -> None:
    ended = toolkit(folder, "export", "net.py:Wide", *INPUT, "-o", "new/net.onnx", before=LIMITED)

    assert ended.returncode == 1
    assert ended.stderr == (
        "error: new/net.onnx was not written: the file would be larger than this process may"
        " write\n"
    )
    assert files(folder) == []


def test_an_interrupted_export_leaves_nothing(folder: Path) -> None:
    """^C while torch exports: the hidden folder beside the file shows that it has begun."""
    with subprocess.Popen(
        [sys.executable, "-P", "-c", MAIN, "export", "net.py:Net", *INPUT, "-o", "new/net.onnx"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell starts what runs in its background with ^C ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        while process.poll() is None and not list(folder.glob("new/.net.onnx.*")):
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)

    assert process.returncode == 130
    assert error.strip() == "interrupted"
    assert files(folder) == []


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["net.py:Net", *INPUT, "-o", "."], "error: . is a folder; a file's name is needed"),
        (["net.py:Nett", *INPUT], "error: no factory in net.py is called 'Nett'; there are: "),
        (["nett.py:Net", *INPUT], "error: no such file: nett.py"),
        (["net.py"], "error: 'net.py' names no factory; a source is FILE.py:NAME or MODULE:NAME"),
        (["net.py:Net"], "error: what goes into Net.forward(x) is not known"),
        (["net.py:Net", "--input", "x:float32"], "error: --input 'x:float32': it has no shape; "),
        (
            ["net.py:Net", *INPUT, "--input", "y:float32[4]"],
            "error: no input of Net.forward is called 'y'",
        ),
        (["net.py:Net", "--weights", "w.pt", *INPUT], "error: no such file: "),
        (["--input", "x:float32[4]"], "error: --input states the inputs of a model of yours; "),
    ],
    ids=["folder", "name", "file", "no name", "no input", "grammar", "parameter", "weights", "own"],
)
def test_what_a_user_can_mend_is_one_line_and_exit_code_1(
    folder: Path, here: Command, arguments: list[str], error: str
) -> None:
    ended = here("export", *arguments)

    assert ended.code == 1
    assert ended.err.startswith(error)
    assert ended.out == ""
    assert files(folder) == []


def test_the_help_has_examples_and_says_that_code_is_run(folder: Path, here: Command) -> None:
    ended = here("export", "--help")

    assert "toolkit export net.py:build --input 'x:float32[batch,seq=16,64]'" in ended.out
    assert "Its code is run" in " ".join(ended.out.split())
