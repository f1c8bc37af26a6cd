"""^C ends a command in every phase, also where its process hears nothing, and leaves nothing."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests import command
from toolkit.supervision import parent

pytestmark = pytest.mark.process

DEAF = """
import os
import signal
import time

import torch

PHASE = "{phase}"
COMMAND = os.getppid()


def reached(phase):
    if phase != PHASE:
        return
    # As in a library's call that takes minutes, or below an `except` that swallows everything.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.kill(COMMAND, signal.SIGINT)
    time.sleep(600)


reached("import")


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        reached("build")

    def forward(self, x):
        if torch.compiler.is_exporting():
            reached("trace")
        if x.dtype == torch.float64:
            reached("oracle")
        return x + 1
"""
"""A source whose process interrupts its own command in one phase, and hears no ^C from there on."""


def plain() -> None:
    """A shell starts what runs in its background with ^C ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def run(folder: Path, *arguments: str, path: Path | None = None) -> tuple[int, str]:
    """Runs the command of this checkout; returns its exit code and what it said on stderr."""
    scratch = folder / "scratch"
    scratch.mkdir()
    places = [str(path)] if path else []
    ended = subprocess.run(
        [sys.executable, "-P", "-m", "toolkit", *arguments],
        cwd=folder,
        env={
            **os.environ,
            "TMPDIR": str(scratch),
            "PYTHONPATH": os.pathsep.join([*places, str(Path(__file__).parents[2])]),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        preexec_fn=plain,
        timeout=120,
    )
    assert [*scratch.iterdir()] == []
    return ended.returncode, ended.stderr


@pytest.mark.parametrize("phase", ["import", "build", "trace", "oracle"])
def test_a_process_that_hears_nothing_is_ended_in_every_phase(tmp_path: Path, phase: str) -> None:
    (tmp_path / "net.py").write_text(DEAF.format(phase=phase))

    code, error = run(
        tmp_path, "export", "net.py:Net", "--input", "x:float32[n,2]", "-o", "new/net.onnx"
    )

    assert (code, error) == (130, "interrupted\n")
    assert not (tmp_path / "new").exists()


def test_an_interrupt_before_python_is_set_up_is_told_in_one_word(tmp_path: Path) -> None:
    """`site` dies of ^C with a page of its own, and an exit code that says nothing of it."""
    packages = tmp_path / "packages"
    packages.mkdir()
    (packages / "sitecustomize.py").write_text(
        "import os, signal, time\n"
        "if 'TOOLKIT_SUPERVISED' in os.environ:\n"
        "    os.kill(os.getppid(), signal.SIGINT)\n"
        "    time.sleep(60)\n"
    )

    assert run(tmp_path, "check", "no.onnx", path=packages) == (130, "interrupted\n")


def test_an_interrupt_at_the_first_imports_is_told_in_one_word(tmp_path: Path) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    (packages / "click.py").write_text(
        "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)\n"
    )

    assert run(tmp_path, "check", "no.onnx", path=packages) == (130, "interrupted\n")


STARTER = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
from pathlib import Path
from toolkit.supervision import progress
progress.join()
with progress.bounded():
    progress.step("one that does not end")
    child = subprocess.Popen([sys.executable, "-c", WRITER], start_new_session=True)
    while not Path(NOTED).exists():
        time.sleep(0.01)
    os.kill(os.getppid(), signal.SIGINT)
    time.sleep(600)
"""
WRITER = """
import os, pathlib, tempfile
folder = pathlib.Path(tempfile.gettempdir())
pathlib.Path(NOTED).write_text(str(os.getpid()))
while True:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "more").write_text("more")
"""


def test_no_process_outlives_the_folder_into_which_it_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has a session of its own, as a worker has, and fills the folder as fast as it can."""
    scratch, noted = tmp_path / "scratch", tmp_path / "pid"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    name = f"NOTED = {str(noted)!r}\n"
    program = f"{name}WRITER = {name + WRITER!r}\n{STARTER}"

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            parent.supervise([sys.executable, "-c", program])
    finally:
        signal.signal(signal.SIGINT, before)

    pid = int(noted.read_text())
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    assert [*scratch.iterdir()] == []


def test_the_cursor_is_shown_again_on_a_terminal(tmp_path: Path) -> None:
    """The process that hid it was ended by force."""
    (tmp_path / "net.py").write_text(DEAF.format(phase="build"))
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [command.TOOLKIT, "export", "net.py:Net", "--input", "x:float32[n,2]", "-o", "net.onnx"],
        cwd=tmp_path,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        preexec_fn=plain,
    ) as process:
        shown = b""
        while process.poll() is None or select.select([ours], [], [], 0)[0]:
            if select.select([ours], [], [], 0.1)[0]:
                shown += os.read(ours, 65536)
    os.close(ours)
    os.close(theirs)

    assert process.returncode == 130
    assert b"\x1b[?25l" in shown
    assert b"\x1b[?25l" not in shown.rpartition(b"\x1b[?25h")[2]
    assert shown.endswith(b"interrupted\r\n")
