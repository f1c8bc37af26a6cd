"""Commands on models that have no end, or are larger than any memory: ended, in one line."""

from __future__ import annotations

import resource
import signal
import sys
from pathlib import Path

import onnx
import psutil
import pytest

from tests import command
from tests.hostile.modelfiles import ENDLESS, HEAD, HUGE
from tests.workers.conftest import Start, start
from toolkit import units
from toolkit.machine import memory
from toolkit.supervision import limits, parent

__all__ = ["start"]

pytestmark = pytest.mark.process

SLOW = """
import time

import torch


class Slow(torch.nn.Module):
    def forward(self, x):
        if x.dtype == torch.float64:
            time.sleep(60)
        return x + 1
"""


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    return saved(tmp_path, ENDLESS)


def saved(folder: Path, body: str) -> Path:
    path = folder / "m.onnx"
    onnx.save(onnx.parser.parse_model(f"{HEAD} {body}"), path)
    return path


def test_a_loop_without_an_end_is_ended_and_named(tmp_path: Path, endless: Path) -> None:
    ended = command.run("check", endless, "--timeout", "3s", cwd=tmp_path)

    assert ended.code == 1
    (error,) = ended.errors
    assert "at Loop 'turn'" in error
    assert "  --timeout 600s    waits longer" in ended.err.splitlines()


def test_what_is_larger_than_the_memory_limit_is_named(tmp_path: Path) -> None:
    ended = command.run("check", saved(tmp_path, HUGE), "--memory-limit", "2GB", cwd=tmp_path)

    assert ended.code == 1
    (error,) = ended.errors
    assert "Expand 'grow': Unable to allocate" in error


def test_a_cure_is_an_option_of_the_command_that_was_typed(tmp_path: Path, endless: Path) -> None:
    """What `check` offers is more than `export` has: it makes its file from the module itself."""
    (tmp_path / "slow.py").write_text(SLOW)
    export = command.run(
        "export", "slow.py:Slow", "--input", "x:float32[n,2]", "--timeout", "3s", cwd=tmp_path
    )
    check = command.run("check", endless, "--timeout", "3s", cwd=tmp_path)

    assert export.code == check.code == 1
    assert offered(export) == ["--timeout"]
    assert offered(check) == ["--timeout", "--dim", "--source"]


def test_a_mapped_file_that_became_shorter_is_named_as_the_cause() -> None:
    """The kernel's own signal: the page behind the new end is gone."""
    program = """
import mmap, tempfile
with tempfile.TemporaryFile() as file:
    file.truncate(8192)
    view = mmap.mmap(file.fileno(), 8192)
    file.truncate(1)
    view[5000]
"""
    with pytest.raises(parent.Ended) as caught:
        parent.supervise([sys.executable, "-c", program])

    assert caught.value.what.startswith("the command crashed with SIGBUS")
    assert caught.value.what.endswith(
        ": a file that it had mapped became shorter, or its disk failed"
    )


def test_a_signal_without_a_name_is_told_by_its_number() -> None:
    with pytest.raises(parent.Ended) as caught:
        parent.supervise([sys.executable, "-c", "import os; os.kill(os.getpid(), 35)"])

    assert caught.value.what.startswith("the command crashed with signal 35")


def offered(ended: command.Ended) -> list[str]:
    return [line.split()[0] for line in ended.err.splitlines() if line.startswith("  --")]


def test_an_ended_bench_leaves_no_run_and_no_scratch(tmp_path: Path, endless: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()

    ended = command.run(
        "bench", endless, "--timeout", "3s", cwd=tmp_path, env={"TMPDIR": str(scratch)}
    )

    assert ended.code == 1
    assert [*(tmp_path / "reports").iterdir()] == []
    assert [*scratch.iterdir()] == []


def is_in_the_loop(process: psutil.Process) -> bool:
    return bool(process.cpu_times().user > 3)


@pytest.mark.parametrize(
    ("by", "code", "words"),
    [(signal.SIGINT, 130, ["interrupted"]), (signal.SIGKILL, -signal.SIGKILL, [])],
    ids=["interrupt", "kill"],
)
def test_whatever_ends_a_command_ends_all_its_processes(
    tmp_path: Path, endless: Path, by: signal.Signals, code: int, words: list[str]
) -> None:
    processes: list[psutil.Process] = []

    def note(process: psutil.Process) -> bool:
        processes[:] = [process, *process.children(recursive=True)]
        return is_in_the_loop(process)

    ended = command.interrupted("check", endless, cwd=tmp_path, when=note, by=by)

    assert (ended.code, ended.err.split()) == (code, words)
    assert psutil.wait_procs(processes, timeout=60)[1] == []


def test_how_it_was_typed_is_told_with_the_code_of_the_process_that_knows(tmp_path: Path) -> None:
    ended = command.run("check", "--no-such-option", cwd=tmp_path)

    assert ended.code == 2
    assert "No such option" in ended.err


def test_a_folder_called_toolkit_in_the_current_folder_is_not_imported(tmp_path: Path) -> None:
    hostile = tmp_path / "toolkit"
    hostile.mkdir()
    (hostile / "__init__.py").write_text("raise SystemExit('imported from the current folder')")

    ended = command.run("check", "no.onnx", cwd=tmp_path)

    assert ended.errors == ["error: no such file: no.onnx"]


def test_a_worker_has_no_limit_on_its_memory(monkeypatch: pytest.MonkeyPatch, start: Start) -> None:
    """It runs what the user measures."""
    bound = 1 << 40
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    monkeypatch.setattr(limits, "_applied", None)
    try:
        assert limits.apply(bound) == bound
        worker = start("fake")
        assert resource.prlimit(worker.pid, resource.RLIMIT_DATA) == (hard, hard)
        assert resource.getrlimit(resource.RLIMIT_DATA) == (bound, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def test_the_limit_is_a_share_of_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    monkeypatch.setattr(limits, "_applied", None)
    monkeypatch.setattr(memory, "available", lambda: 1 << 42)
    try:
        assert limits.apply() == int(limits.SHARE * (1 << 42))
        assert limits.in_words() == units.size(limits.apply())
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
