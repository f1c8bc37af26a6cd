"""The process that a user started: it starts the real command, waits, and ends it in time."""

from __future__ import annotations

import contextlib
import mmap
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from toolkit.errors import InputError, ToolkitError
from toolkit.supervision import progress
from toolkit.supervision.progress import LEAVINGS, PAGE, SIZE, VARIABLE, Look
from toolkit.units import Seconds
from toolkit.workers.guard import ProcessGuard

GRACE: Seconds = 0.6
"""How long a command that is at bounded steps gets to end by itself after ^C: it has nothing to
keep, and it may be in a library's call that hears no signal."""
LONG_GRACE: Seconds = 20.0
"""How long one gets that measures: it keeps what was measured."""
GLANCE: Seconds = 0.1
"""How often its page is looked at while it is at bounded steps."""
REST: Seconds = 1.0
"""How often it is looked at while it measures: a process that wakes takes time from another."""


class Ended(ToolkitError):
    """The command was ended, or ended by itself, before it could tell its own error."""


def supervise(command: Sequence[str]) -> int:
    """Runs a command to its end and returns its exit code; 130 after ^C.

    The command gets this process's terminal and environment, a folder for temporary files that goes
    at the end, and a page to tell what it does. Raises Ended where it took too long or crashed, and
    KeyboardInterrupt where it had to be ended by force after ^C.
    """
    with (
        _scratch() as folder,
        open(folder / PAGE, "r+b") as file,
        mmap.mmap(file.fileno(), SIZE) as page,
    ):
        try:
            return _run(command, folder, page)
        finally:
            _sweep(folder)


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    """The folder of the page, and of the command's temporary files. Raises InputError where none
    can be written."""
    with contextlib.ExitStack() as stack:
        try:
            name = stack.enter_context(
                tempfile.TemporaryDirectory(prefix="toolkit-", ignore_cleanup_errors=True)
            )
            folder = Path(name)
            (folder / "tmp").mkdir()
            (folder / PAGE).write_bytes(bytes(SIZE))
            (folder / LEAVINGS).touch()
        except OSError as error:
            what = f"no temporary file can be written: {error.strerror}"
            raise InputError(what, "TMPDIR=FOLDER toolkit …    takes a folder with room") from error
        yield folder


def _run(command: Sequence[str], folder: Path, page: mmap.mmap) -> int:
    environment = {**os.environ, VARIABLE: str(folder), "TMPDIR": str(folder / "tmp")}
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    guard = ProcessGuard(process.pid)
    try:
        with _held(signal.SIGINT, signal.SIGCHLD) as signals:
            return _watched(process, page, signals)
    finally:
        guard.end()
        process.wait()


def _watched(
    process: subprocess.Popen[bytes], page: mmap.mmap, signals: Sequence[signal.Signals]
) -> int:
    """Waits for the process, and ends it where it takes too long or is interrupted."""
    interrupts: list[Seconds] = []
    while True:
        state = progress.look(page)
        if (code := process.poll()) is not None:
            return _code(code, state, interrupted=bool(interrupts))
        if interrupts:
            grace = GRACE if state.bounded else LONG_GRACE
            if len(interrupts) > 1 or time.monotonic() - interrupts[0] > grace:
                raise KeyboardInterrupt
        elif state.bounded and (state.seconds > state.limit or state.left < 0):
            raise _too_slow(state)
        # It sleeps until a signal comes: that its child ended, or ^C.
        rest = GLANCE if state.bounded or interrupts else REST
        heard = signal.sigtimedwait(signals, rest)
        if heard is not None and heard.si_signo == signal.SIGINT:
            interrupts.append(time.monotonic())
            process.send_signal(signal.SIGINT)


def _code(code: int, state: Look, *, interrupted: bool) -> int:
    """Gives the exit code of a process that ended; raises Ended where a signal ended it."""
    if code >= 0:
        return code
    if interrupted:
        return 130
    name = signal.Signals(-code).name
    doing = f" while at {state.text}" if state.text else ""
    if -code == signal.SIGKILL:
        raise Ended(
            f"the command was killed{doing}: as a rule since the machine had no memory left",
            "--memory-limit 4GB    ends it with an error before that",
        )
    if -code == signal.SIGBUS:
        raise Ended(
            f"the command crashed with SIGBUS{doing}: a file that it had mapped became shorter, or"
            " its disk failed",
            "run it again when nothing writes to the model's files",
        )
    raise Ended(f"the command crashed with {name}{doing}: a library did not survive this model")


def _too_slow(state: Look) -> Ended:
    if state.left < 0:
        what = f"it was not done after {state.began:.0f} s, at {state.text}"
    else:
        what = f"{state.text} was not done after {state.seconds:.0f} s"
    return Ended(
        f"{what}: the command was ended, and no number is shown",
        f"--timeout {max(600, 10 * round(state.began)):d}s    waits longer",
        "--dim NAME=N    asks for smaller sizes, where the model has dynamic ones",
        "--source FILE.py:NAME    judges by the PyTorch module that the file was made from",
    )


@contextlib.contextmanager
def _held(*signals: signal.Signals) -> Iterator[Sequence[signal.Signals]]:
    """Holds signals back, so that they can be waited for; processes started before hear them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield signals
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _sweep(folder: Path) -> None:
    """Removes what the command named as not to stay, where it could not do so itself."""
    for line in (folder / LEAVINGS).read_text().splitlines():
        path = Path(line)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
