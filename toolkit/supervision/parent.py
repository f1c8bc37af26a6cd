"""Starts a process that does the work, waits for it, and ends it in time.

It runs in the process that a user started as a command, or in a user's own Python program: there
other threads may be alive, and it may itself be called from one.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import select
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from toolkit.errors import InputError, ToolkitError, os_reason, signal_name, temporary_folder
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


@dataclass(frozen=True)
class Finished:
    """How a process ended that was watched over."""

    code: int
    """Its exit code; 130 where ^C ended it."""
    interrupted: bool
    """There was a ^C, whatever the process made of it."""


def supervise(command: Sequence[str]) -> int:
    """Runs a command to its end and returns its exit code; 130 after ^C.

    The command gets this process's terminal and environment, a folder for temporary files that goes
    at the end, and a page to tell what it does. Raises Ended where it took too long or crashed, and
    KeyboardInterrupt where it had to be ended by force after ^C.
    """
    with scratch() as folder:
        return watch_over(command, folder).code


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
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
            what = f"no temporary file can be written to {temporary_folder()}: {os_reason(error)}"
            raise InputError(what, "TMPDIR=FOLDER toolkit …    takes a folder with room") from error
        yield folder


def watch_over(
    command: Sequence[str], folder: Path, glance: Callable[[], None] = lambda: None
) -> Finished:
    """Runs a command to its end, with a folder that `scratch` made. Raises as `supervise`.

    `glance` is called whenever the page is looked at; what it raises ends the command.
    """
    with open(folder / PAGE, "r+b") as file, mmap.mmap(file.fileno(), SIZE) as page:
        try:
            return _run(command, folder, page, glance)
        finally:
            _sweep(folder)


def _run(
    command: Sequence[str], folder: Path, page: mmap.mmap, glance: Callable[[], None]
) -> Finished:
    environment = {**os.environ, VARIABLE: str(folder), "TMPDIR": str(folder / "tmp")}
    with _interrupts() as interrupts:
        process = subprocess.Popen(command, env=environment, start_new_session=True)
        guard = ProcessGuard(process.pid)
        try:
            with _alarm(process) as alarm:
                interrupts.pass_on_to(process)
                return _watched(process, page, interrupts, alarm, glance)
        finally:
            guard.end()
            process.wait()


class _Interrupts:
    """The moments of ^C, each of which is passed on to the process that works."""

    def __init__(self) -> None:
        self.times: list[Seconds] = []
        self._process: subprocess.Popen[bytes] | None = None

    def hear(self, number: int, frame: FrameType | None) -> None:
        """Handles SIGINT. It raises nothing: the process may have something to keep."""
        self.times.append(time.monotonic())
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)

    def pass_on_to(self, process: subprocess.Popen[bytes]) -> None:
        """Names the process, which gets the ^C that came while it was started, too."""
        self._process = process
        if self.times:
            process.send_signal(signal.SIGINT)


@contextlib.contextmanager
def _interrupts() -> Iterator[_Interrupts]:
    """Hears ^C as long as the block lasts, where this is the main thread, which alone can.

    A handler, and not a mask: a mask holds for one thread, and the kernel gives ^C to any that is
    left, such as one of numpy's, after which Python raises KeyboardInterrupt here all the same. A
    handler of the user's own stays: what it raises ends the process that works.
    """
    interrupts = _Interrupts()
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield interrupts
        return
    signal.signal(signal.SIGINT, interrupts.hear)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


_Alarm = Callable[[Seconds], object]
"""Sleeps so long, or until a process ends."""


@contextlib.contextmanager
def _alarm(process: subprocess.Popen[bytes]) -> Iterator[_Alarm]:
    """Gives what sleeps until the process ends. It may be called in any thread."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except OSError:  # Linux has it from 5.3 on. Without it the end is looked for 20 times a second.
        yield lambda rest: _wait(process, rest)
        return
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    try:
        yield lambda rest: poll.poll(1000 * rest)
    finally:
        os.close(descriptor)


def _wait(process: subprocess.Popen[bytes], rest: Seconds) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(rest)


def _watched(
    process: subprocess.Popen[bytes],
    page: mmap.mmap,
    interrupts: _Interrupts,
    alarm: _Alarm,
    glance: Callable[[], None],
) -> Finished:
    """Waits for the process, and ends it where it takes too long or is interrupted."""
    while True:
        state, code = progress.look(page), process.poll()
        glance()
        times = interrupts.times
        if code is not None:
            return Finished(_code(code, state, interrupted=bool(times)), bool(times))
        if times:
            grace = GRACE if state.bounded else LONG_GRACE
            if len(times) > 1 or time.monotonic() - times[0] > grace:
                raise KeyboardInterrupt
        elif state.bounded and (state.seconds > state.limit or state.left < 0):
            raise _too_slow(state)
        alarm(GLANCE if state.bounded or times else REST)


def _code(code: int, state: Look, *, interrupted: bool) -> int:
    """Gives the exit code of a process that ended; raises Ended where a signal ended it."""
    if code >= 0:
        return code
    if interrupted:
        return 130
    name = signal_name(-code)
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


def _sweep(folder: Path) -> None:
    """Removes what the command named as not to stay, where it could not do so itself."""
    for line in (folder / LEAVINGS).read_text().splitlines():
        path = Path(line)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
