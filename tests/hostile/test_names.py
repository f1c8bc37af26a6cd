"""Names that steer a terminal, at every place of a model and of what is typed, by all commands.

A hostile name sets a terminal's title, clears its screen, rings, turns the text around, and ends
its line to begin one that looks like ours.
"""

from __future__ import annotations

import os
import pty
import select
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests import command
from tests.cli import inside
from tests.cli.inside import Command
from toolkit.plaintext import RESET, STYLES

pytestmark = pytest.mark.process

STEERS = "\x1b]0;title\x07\x1b[2J\x9b2J\u202e"
FAKED = "error: not ours"
HOSTILE = f"{STEERS}\n{FAKED}"
FILE = f"m{STEERS}.onnx"


def model(file: Path, domain: str = "", operator: str = "Add") -> Path:
    """A model with a hostile name at every place that takes one."""
    shape: list[str | int] = [f"n{HOSTILE}", 4]
    x, y = (
        helper.make_tensor_value_info(f"{role}{HOSTILE}", TensorProto.FLOAT, shape) for role in "xy"
    )
    weight = numpy_helper.from_array(np.ones(4, np.float32), f"w{HOSTILE}")
    node = helper.make_node(
        operator, [x.name, weight.name], [y.name], name=f"o{HOSTILE}", domain=domain
    )
    graph = helper.make_graph([node], f"g{HOSTILE}", [x], [y], [weight])
    opsets = [helper.make_opsetid("", 20)]
    opsets += [helper.make_opsetid(domain, 1)] if domain else []
    made = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    made.producer_name = f"p{HOSTILE}"
    made.metadata_props.add(key=f"k{HOSTILE}", value=f"v{HOSTILE}")
    onnx.save(made, file)
    return file


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("names")
    model(path / FILE)
    model(path / "domain.onnx", domain=f"d{HOSTILE}")
    model(path / "unknown.onnx", operator=f"U{HOSTILE}")
    outside(path)
    data = path / f"test_data_set_{STEERS}"
    data.mkdir()
    values = np.random.default_rng(0).normal(size=(2, 4)).astype(np.float32)
    feed = numpy_helper.from_array(values, f"x{HOSTILE}")
    (data / "input_0.pb").write_bytes(feed.SerializeToString())
    np.savez(path / "misnamed.npz", **{f"z{STEERS}": np.ones((1, 4), np.float32)})  # type: ignore[arg-type]
    (path / f"net{STEERS}.py").write_text("raise ValueError('\\x1b]0;title\\x07\\u202e')\n")
    return path


def outside(folder: Path) -> None:
    """A model whose weights lie outside its folder, in a file of a hostile name."""
    made = onnx.load(model(folder / "outside.onnx"))
    weight = made.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value=f"../{HOSTILE}.bin")
    (folder / "outside.onnx").write_bytes(made.SerializeToString())


def terminal(folder: Path, *words: str) -> tuple[int, str]:
    """The exit code, and all that a terminal is sent."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [command.TOOLKIT, *words],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "COLUMNS": "200", "TERM": "xterm-256color"},
    )
    os.close(theirs)
    sent = b""
    while select.select([ours], [], [], 240)[0]:
        try:
            sent += os.read(ours, 65536)
        except OSError:  # The last of the other side was closed.
            break
    os.close(ours)
    return process.wait(10), sent.decode()


def demand_harmless(sent: str) -> None:
    """None of what a hostile name does was sent, and no line of it looks like ours."""
    assert [word for word in ("\x1b]", "\x07", "\x1b[2J", "\x9b", "\u202e") if word in sent] == []
    assert [line for line in sent.splitlines() if line.startswith(FAKED)] == []


COMMANDS = {
    "check": ("check", FILE, "--target", "onnxruntime"),
    "bench": ("bench", FILE, "--target", "fake", *command.QUICK),
    "a case of the user's own": (
        *("bench", FILE, "--target", "fake", *command.QUICK),
        *("--inputs", f"test_data_set_{STEERS}"),
    ),
    "report": ("report",),
    "report as data": ("report", "--format", "csv"),
    "report as a record": ("report", "--format", "json"),
    "report as Markdown": ("report", "--format", "markdown"),
    "the page": ("report", "--format", "html"),
    "deploy": ("deploy", "domain.onnx", "--to", "openvino"),
}


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_a_terminal_is_not_steered_by_a_result(folder: Path, words: tuple[str, ...]) -> None:
    if words[0] == "report" and not (folder / "reports").exists():
        command.run(*COMMANDS["bench"], cwd=folder)

    code, sent = terminal(folder, *words)

    demand_harmless(sent)
    assert "title" in sent
    assert code == (1 if words[0] == "deploy" else 0)
    if words[0] == "bench":  # Our own styles are there all the same.
        assert STYLES["quiet"] in sent
        assert RESET in sent


ERRORS: dict[str, tuple[str, ...]] = {
    "no such file": ("check", f"gone{HOSTILE}.onnx"),
    "weights outside": ("check", "outside.onnx"),
    "an unknown operator": ("check", "unknown.onnx", "--target", "fake"),
    "an unknown domain": ("check", "domain.onnx", "--target", "onnxruntime"),
    "an unknown dimension": ("check", FILE, "--dim", f"z{STEERS}=3", "--target", "fake"),
    "a misnamed input": ("check", FILE, "--inputs", "misnamed.npz", "--target", "fake"),
    "an unknown target": ("check", FILE, "--target", HOSTILE),
    "an unknown option": ("check", FILE, f"--{STEERS}"),
    "a bad value": ("bench", FILE, "--time", STEERS),
    "an unknown command": (f"bench{STEERS}",),
    "a run that is not there": ("report", f"gone{HOSTILE}"),
    "a page that cannot be written": ("report", "-o", f"gone{HOSTILE}/x.csv", "--format", "csv"),
    "an unknown destination": ("deploy", FILE, "--to", HOSTILE),
    "a source that raises": ("export", f"net{STEERS}.py:Net", "--input", "x:float32[2]"),
    "a source that is not there": ("export", f"gone{HOSTILE}.py:Net", "--input", "x:float32[2]"),
    "a bad input": ("export", f"net{STEERS}.py:Net", "--input", f"x{HOSTILE}:float32[2"),
    "an environment": ("doctor", "--env", f"gone{HOSTILE}"),
}


@pytest.mark.parametrize("words", ERRORS.values(), ids=ERRORS)
def test_a_terminal_is_not_steered_by_an_error(
    folder: Path,
    words: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    here: Command = inside.commands(folder, monkeypatch, capsys)

    ended = here(*words)

    assert ended.code in (1, 2)
    demand_harmless(ended.out + ended.err)
    assert "title" in ended.out + ended.err
