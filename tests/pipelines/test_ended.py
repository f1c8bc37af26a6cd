"""SIGTERM, SIGHUP and a terminal that closes end a run as ^C does; a run that goes on says so."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from tests import command, small
from tests.pipelines.test_bench import KEPT, LONG, measured, only
from toolkit.measure import schedule
from toolkit.pipelines.bench import BenchRequest, bench
from toolkit.pipelines.request import FinishedRun
from toolkit.records import store
from toolkit.records.schema import WarningKind
from toolkit.runtimes.target import parse
from toolkit.supervision import interrupts, parent

pytestmark = pytest.mark.process

QUICK = schedule.pace(time=1.0, quick=True)


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """What is TMPDIR for a command."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


def kept(folder: Path) -> None:
    """Asserts that a bench in this folder ended in order."""
    run = only(folder)
    before = store.read(run)
    assert before.state == "interrupted"
    assert before.generations
    assert before.seconds > before.generations[-1].ended
    assert not (run / "work").exists()
    assert [*(folder / "scratch").iterdir()] == []
    assert command.workers(folder) == []


@pytest.mark.parametrize("by", interrupts.ENDING, ids=lambda by: by.name)
def test_a_signal_ends_a_run_as_an_interrupt_does(
    tmp_path: Path, scratch: Path, by: signal.Signals
) -> None:
    small.layer(tmp_path / "layer.onnx")

    ended = command.interrupted(
        *("bench", "layer.onnx", *LONG),
        cwd=tmp_path,
        when=measured(tmp_path),
        by=by,
        env={"TMPDIR": str(scratch)},
    )

    assert (ended.code, ended.out, ended.err.strip()) == (130, "", KEPT)
    kept(tmp_path)


def test_a_signal_to_all_processes_of_a_command_ends_it_in_order(
    tmp_path: Path, scratch: Path
) -> None:
    """As a service manager does it; the workers have sessions of their own here."""
    small.layer(tmp_path / "layer.onnx")

    def when(process: psutil.Process) -> bool:
        if not measured(tmp_path)(process):
            return False
        for keeper in process.children():
            keeper.terminate()
        process.terminate()
        return True

    ended = command.interrupted(
        *("bench", "layer.onnx", *LONG),
        cwd=tmp_path,
        when=when,
        by=signal.SIGTERM,
        env={"TMPDIR": str(scratch)},
    )

    assert ended.code == 130
    kept(tmp_path)


def test_a_terminal_that_closes_ends_a_run_in_order(tmp_path: Path, scratch: Path) -> None:
    small.layer(tmp_path / "layer.onnx")
    child, terminal = pty.fork()
    if child == 0:
        command.hear_signals()
        os.chdir(tmp_path)
        os.environ["TMPDIR"] = str(scratch)
        os.execv(command.TOOLKIT, [str(command.TOOLKIT), "bench", "layer.onnx", *LONG])
    watched = psutil.Process(child)
    os.set_blocking(terminal, False)

    def holds() -> bool:
        with contextlib.suppress(BlockingIOError):
            os.read(terminal, 1 << 16)  # Else it would wait for somebody to look.
        return any(map(measured(tmp_path), command.working(watched)))

    command.until(holds)
    os.close(terminal)
    os.waitpid(child, 0)

    kept(tmp_path)


def test_a_signal_that_is_ignored_stays_so() -> None:
    """As by nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with parent._interrupts():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        interrupts.hear_ends()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGHUP, before)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def test_what_keeps_the_results_is_not_interrupted_again() -> None:
    numbers = (signal.SIGINT, *interrupts.ENDING)
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        interrupts.hear_once()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        for number in numbers:
            signal.raise_signal(number)
    finally:
        for number, was in before.items():
            signal.signal(number, was)


def test_the_program_that_called_a_function_ends_by_its_signal_and_leaves_nothing(
    tmp_path: Path, scratch: Path
) -> None:
    small.layer(tmp_path / "layer.onnx")
    program = "import toolkit; toolkit.bench('layer.onnx', ['fake,us=1000', 'fake,us=1500'])"
    with subprocess.Popen(
        [command.TOOLKIT.with_name("python"), "-c", program],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(scratch)},
        stderr=subprocess.DEVNULL,
    ) as caller:
        caller_process = psutil.Process(caller.pid)
        command.until(lambda: any(map(measured(tmp_path), caller_process.children())))
        caller.terminate()

    assert caller.returncode == -signal.SIGTERM
    kept(tmp_path)


# A run that goes on


class Kill(Exception):
    """Stands for the end of the process."""


def test_a_killed_run_that_goes_on_has_the_time_of_all_its_parts_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = small.layer(tmp_path / "layer.onnx")
    targets = [parse("fake,us=1000")]

    def killed(step: str, share: float | None, text: str) -> None:
        if step == "measure" and text.startswith("process start 2"):
            raise Kill

    order = BenchRequest(targets, pace=schedule.pace(0.01, 600))
    with monkeypatch.context() as patch:
        patch.setattr("toolkit.pipelines.bench._interrupted", lambda *_: None)
        with pytest.raises(Kill):
            bench(model, order, reports=tmp_path / "reports", watch=killed)
    folder = only(tmp_path)
    left = store.head(folder)
    (part,) = store.parts(folder, left.plan)
    assert left.state == "running"
    assert part.seconds > left.seconds > 0
    # As the process would have left them.
    for name in (".run.json.0123456789abcdef.part", "generations/.0001.npz.0123456789abcdef.part"):
        (folder / name).write_bytes(b"half")
    (folder / ".of.somebody.part").touch()

    finished: FinishedRun = bench(model, BenchRequest(targets, pace=QUICK), resume=folder)

    run = finished.run
    later = run.seconds - part.seconds
    assert later > run.generations[-1].ended - run.generations[0].ended
    (warning,) = [each for each in run.warnings if each.kind is WarningKind.RESUMED]
    assert warning.detail.startswith("after 1 process start, at 20")
    for report in ("report.md", "report.html"):
        assert "after 1 process start, at 20" in (folder / report).read_text()
    assert [path.name for path in folder.rglob(".*")] == [".of.somebody.part"]
