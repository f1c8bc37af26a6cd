"""toolkit bench --resume executes nothing that a record names: a record is a stranger's text."""

from __future__ import annotations

import hashlib
import os
import pty
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests import command, small
from toolkit.records import store

pytestmark = pytest.mark.process

NET = """
from pathlib import Path

import numpy as np
import torch
from torch import nn

Path(__file__).with_name("imported").touch()


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        weights = np.random.default_rng(0).normal(0, 0.3, (16, 8)).astype(np.float32)
        self.weights = nn.Parameter(torch.from_numpy(weights))

    def forward(self, x):
        return torch.relu(x @ self.weights.T)
"""


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, its source and a run of both that has measured nothing yet."""
    folder = tmp_path_factory.mktemp("begun")
    small.layer(folder / "layer.onnx")
    (folder / "net.py").write_text(NET)
    done = command.run(
        *("bench", "layer.onnx", "--source", "net.py:Net", "--target", "fake,us=1000"),
        *command.QUICK,
        cwd=folder,
    )
    assert (done.code, done.err) == (0, "")
    run = store.newest(folder / "reports")
    put(run, state="interrupted", records=[], generations=[], warnings=[])
    (run / store.SAMPLES).unlink()
    (folder / "imported").unlink()
    return folder


def put(run: Path, **fields: Any) -> None:
    (run / store.RUN).write_bytes(store.encode(msgspec.structs.replace(store.read(run), **fields)))


@pytest.fixture
def folder(begun: Path, tmp_path: Path) -> Path:
    copied = tmp_path / "copied"
    shutil.copytree(begun, copied, symlinks=True)
    return copied


def run_of(folder: Path) -> Path:
    return store.newest(folder / "reports")


def resume(folder: Path, *typed: str) -> command.Ended:
    return command.run("bench", "--resume", *typed, cwd=folder)


def test_in_a_pipe_a_source_that_a_record_names_is_not_imported(folder: Path) -> None:
    before = (run_of(folder) / store.RUN).read_bytes()

    done = resume(folder)

    name = f"reports/{run_of(folder).name}"
    assert (done.code, done.out) == (1, "")
    assert done.err.splitlines() == [
        f"error: {name} names code that is run only if you type it again: --source net.py:Net",
        f"  toolkit bench --resume {name} --source net.py:Net    "
        "goes on, if you trust what it names",
    ]
    assert not (folder / "imported").exists()
    assert (run_of(folder) / store.RUN).read_bytes() == before


def test_typed_again_it_goes_on(folder: Path) -> None:
    done = resume(folder, "--source", "net.py:Net")

    assert (done.code, done.err) == (0, "")
    assert (folder / "imported").exists()
    assert store.read(run_of(folder)).state == "done"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--target", "fake,us=1000", "--install"], "--install"),
        (["--target", "fake,env=theirs"], "--target fake,env=theirs"),
        (
            ["--target", "fake", "--source=theirs.py:f", "--weights", "w.npz"],
            "--source theirs.py:f",
        ),
        (["--target", "fake", "--data", "theirs.py:rows"], "--data theirs.py:rows"),
        (
            ["--target", "fake", "--data=data.npz", "--metric", "f1", "--metric", "theirs.py:f"],
            "--metric theirs.py:f",
        ),
        (
            ["--target", "fake", "--data", "data.npz", "--preprocess", "theirs.py:f"],
            "--preprocess theirs.py:f",
        ),
    ],
    ids=["install", "env", "another spelling", "data", "metric", "preprocess"],
)
def test_whatever_runs_code_is_typed_again(folder: Path, words: list[str], named: str) -> None:
    put(run_of(folder), command=["toolkit", "bench", "layer.onnx", *words, *command.QUICK])

    done = resume(folder)

    assert done.code == 1
    assert len(done.errors) == 1
    assert done.errors[0].partition("type it again: ")[2].split(", --w")[0] == named


@pytest.mark.parametrize(
    ("typed", "difference"),
    [
        (("--source", "other.py:Net"), "--source was net.py:Net, now it is other.py:Net"),
        (
            ("--source", "net.py:Net", "--weights", "w.npz"),
            "--weights was not given, now it is w.npz",
        ),
    ],
    ids=["another source", "weights besides"],
)
def test_what_is_typed_is_what_the_run_had(
    folder: Path, typed: tuple[str, ...], difference: str
) -> None:
    done = resume(folder, *typed)

    assert (done.code, done.errors) == (1, [f"error: this run cannot go on: its {difference}"])
    assert not (folder / "imported").exists()


def test_the_plan_is_compared_before_anything_is_imported(folder: Path) -> None:
    run = run_of(folder)
    plan = store.read(run).plan
    put(run, plan=msgspec.structs.replace(plan, seed=7))

    done = resume(folder, "--source", "net.py:Net")

    assert (done.code, done.errors) == (
        1,
        ["error: this run cannot go on: its seed was 7, now it is 0"],
    )
    assert not (folder / "imported").exists()


def test_a_source_that_changed_is_not_imported_again(folder: Path) -> None:
    with (folder / "net.py").open("a") as file:
        file.write("\n")

    done = resume(folder, "--source", "net.py:Net")

    assert done.code == 1
    assert done.errors == [
        "error: this run cannot go on: its source was another net.py, now it is changed"
    ]
    assert not (folder / "imported").exists()


def at_a_terminal(folder: Path, answer: str) -> tuple[int, str]:
    """The exit code and all that a terminal shows, where the question is answered so."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [command.TOOLKIT, "bench", "--resume"],
        cwd=folder,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "COLUMNS": "200"},
    )
    os.close(theirs)
    shown, is_answered, end = b"", False, time.monotonic() + 240
    while time.monotonic() < end:
        if select.select([ours], [], [], 1)[0]:
            try:
                shown += os.read(ours, 65536)
            except OSError:  # The last of the other side was closed.
                break
        if not is_answered and b"[y/N]" in shown:
            os.write(ours, f"{answer}\n".encode())
            is_answered = True
    os.close(ours)
    return process.wait(10), shown.decode()


@pytest.mark.parametrize(("answer", "code", "goes_on"), [("n", 1, False), ("y", 0, True)])
def test_at_a_terminal_it_is_asked_with_the_file_and_its_digest(
    folder: Path, answer: str, code: int, goes_on: bool
) -> None:
    digest = hashlib.sha256((folder / "net.py").read_bytes()).hexdigest()

    ended, shown = at_a_terminal(folder, answer)

    assert "would run with your rights" in shown
    assert "--source net.py:Net" in shown
    assert f"{folder / 'net.py'} sha256 {digest}" in shown
    assert (ended, (folder / "imported").exists()) == (code, goes_on)
    assert store.read(run_of(folder)).state == ("done" if goes_on else "interrupted")
