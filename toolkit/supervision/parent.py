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
from typing import TYPE_CHECKING

from toolkit.errors import InputError, ToolkitError, os_reason, signal_name, temporary_folder
from toolkit.supervision import progress
from toolkit.supervision.interrupts import ENDING
from toolkit.supervision.progress import IF_EMPTY, LEAVINGS, PAGE, SIZE, VARIABLE, Look
from toolkit.units import Seconds
from toolkit.workers.guard import ProcessGuard

if TYPE_CHECKING:
    import psutil

GRACE: Seconds = 0.25
"""How long a command that is at bounded steps gets to end by itself after ^C: it has nothing to
keep, and it may be in a library's call that hears no signal. To end it by force, with the gigabytes
that it holds, takes a few tenths more."""
LONG_GRACE: Seconds = 20.0
"""How long one gets that measures: it keeps what was measured."""
GONE: Seconds = 5.0
"""How long its processes are waited for that were ended by force; one that waits for a disk may
take that long."""
GLANCE: Seconds = 0.1
"""How often its page is looked at while it is at bounded steps."""
REST: Seconds = 1.0
"""How often it is looked at while it measures: a process that wakes takes time from another."""


DEFAULTS = (signal.SIG_DFL, signal.default_int_handler)
"""Handlers that nobody chose: of ^C Python's own."""


class Ended(ToolkitError):
    """The command was ended, or ended by itself, before it could tell its own error."""


@dataclass(frozen=True)
class Finished:
    """How a process ended that was watched over."""

    code: int
    """Its exit code; 130 where it ended itself after ^C."""
    interrupted: bool
    """There was a ^C, SIGTERM or SIGHUP, whatever the process made of it."""
    ended_by: int | None = None
    """The number of that signal, where it was no ^C."""


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP ended the command as ^C would have."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def supervise(command: Sequence[str]) -> int:
    """Runs a command to its end and returns its exit code; 130 after ^C, SIGTERM and SIGHUP.

    The command gets this process's terminal and environment, a folder for temporary files that goes
    at the end, and a page to tell what it does. Raises Ended where it took too long or crashed, and
    KeyboardInterrupt where a signal ended it after ^C, so that it told nothing itself.
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
                interrupts.pass_on_to(process, page)
                return _watched(process, page, interrupts, alarm, glance)
        finally:
            _end(process, guard)


def _end(process: subprocess.Popen[bytes], guard: ProcessGuard) -> None:
    """Ends what is left of the process and of all that it started, and waits until they are gone:
    a worker that still writes would fill a folder again that is being removed."""
    if process.poll() is not None:
        guard.end()
        return
    import psutil

    descendants: list[psutil.Process] = []
    with contextlib.suppress(psutil.NoSuchProcess):  # It ended a moment ago.
        descendants = psutil.Process(process.pid).children(recursive=True)
    guard.end()
    for descendant in descendants:
        with contextlib.suppress(psutil.NoSuchProcess):  # Most end with their parent.
            descendant.kill()
    process.wait()
    end = time.monotonic() + GONE
    while time.monotonic() < end and not all(map(_is_gone, descendants)):
        time.sleep(0.01)


def _is_gone(process: psutil.Process) -> bool:
    """Says whether a process has ended. Its number may stay for seconds: whoever inherits it from
    a parent that ended, in a container, may look for it now and then only."""
    import psutil

    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


class _Interrupts:
    """The moments of ^C, SIGTERM and SIGHUP; the first is passed on to the process that works."""

    def __init__(self) -> None:
        self.times: list[Seconds] = []
        self.ended_by: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._page: mmap.mmap | None = None

    def hear(self, number: int, frame: FrameType | None) -> None:
        """Handles the signals. It raises nothing: the process may have something to keep."""
        is_first = not self.times
        if number == signal.SIGINT:
            self.times.append(time.monotonic())
        elif is_first:
            # Only the first: a terminal that closes sends several, and none is an impatient user.
            self.times.append(time.monotonic())
            self.ended_by = number
        if is_first:
            self._pass_on()

    def pass_on_to(self, process: subprocess.Popen[bytes], page: mmap.mmap) -> None:
        """Names the process, which gets what came while it was started, too."""
        self._process, self._page = process, page
        if self.times:
            self._pass_on()

    def _pass_on(self) -> None:
        """Sends the signal on. A process that is still at its imports is killed instead: Python
        that is not set up yet dies of ^C with a page of its own, and imports may swallow it."""
        if self._process is None or self._page is None:
            return
        if not progress.look(self._page).began_once:
            self._process.send_signal(signal.SIGKILL)
        else:
            # A process that was started in the background ignores ^C, and hears SIGTERM.
            self._process.send_signal(signal.SIGINT if self.ended_by is None else signal.SIGTERM)


@contextlib.contextmanager
def _interrupts() -> Iterator[_Interrupts]:
    """Hears ^C, SIGTERM and SIGHUP as long as the block lasts, where this is the main thread, which
    alone can.

    A handler, and not a mask: a mask holds for one thread, and the kernel gives ^C to any that is
    left, such as one of numpy's, after which Python raises KeyboardInterrupt here all the same. A
    handler of the user's own stays: what it raises ends the process that works. So does a signal
    that is ignored, as by nohup.
    """
    interrupts, before = _Interrupts(), {}
    if threading.current_thread() is threading.main_thread():
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, *ENDING)}
        before = {number: was for number, was in handlers.items() if was in DEFAULTS}
    for number in before:
        signal.signal(number, interrupts.hear)
    try:
        yield interrupts
    finally:
        for number, was in before.items():
            signal.signal(number, was)


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
            if code < 0 and times:
                raise _interrupt(interrupts.ended_by)
            return Finished(_code(code, state), bool(times), interrupts.ended_by)
        if times:
            grace = GRACE if state.bounded else LONG_GRACE
            if len(times) > 1 or time.monotonic() - times[0] > grace:
                raise _interrupt(interrupts.ended_by)
        elif state.bounded and (state.seconds > state.limit or state.left < 0):
            raise _too_slow(state)
        alarm(GLANCE if state.bounded or times else REST)


def _interrupt(ended_by: int | None) -> KeyboardInterrupt:
    return KeyboardInterrupt() if ended_by is None else Terminated(ended_by)


def _code(code: int, state: Look) -> int:
    """Gives the exit code of a process that ended; raises Ended where a signal ended it."""
    if code >= 0:
        return code
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
    raise Ended(
        f"the command crashed with {name}{doing}: a library did not survive what it was given"
    )


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
        path = Path(line.removeprefix(IF_EMPTY))
        if line.startswith(IF_EMPTY):
            with contextlib.suppress(OSError):  # Something stands in it, or it was never made.
                path.rmdir()
        elif path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
