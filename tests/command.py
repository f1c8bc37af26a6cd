"""The installed `toolkit` command, as a user runs it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

TOOLKIT = Path(sys.executable).with_name("toolkit")
PROGRESS = re.compile(
    r"(bench|check|compare|deploy|doctor|export|install|runtimes|tests|train) +\S"
)
"""The beginning of a line of progress."""
QUICK = ("--quick", "--time", "1s")
"""One process start of each target, and no interval."""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        """The lines that say what is wrong, without those that say what to do."""
        return [line for line in self.err.splitlines() if not line.startswith("  ")]


def run(*arguments: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> Ended:
    """Runs `toolkit` to its end."""
    return started([TOOLKIT, *arguments], cwd=cwd, env=env)


def started(command: list[str | Path], *, cwd: Path, env: Mapping[str, str] | None = None) -> Ended:
    """Runs any command line to its end."""
    done = subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=240,
    )
    # Strict: a control character or a broken letter in a pipe is a fault.
    return Ended(done.returncode, done.stdout.decode(), quiet(done.stderr.decode()))


def quiet(err: str) -> str:
    """What a command said on stderr, without the lines of progress that it has where it takes over
    ten seconds, as on a slow machine."""
    return "".join(line for line in err.splitlines(keepends=True) if not PROGRESS.match(line))


def interrupted(
    *arguments: str | Path,
    cwd: Path,
    when: Callable[[psutil.Process], bool],
    by: signal.Signals = signal.SIGINT,
    env: Mapping[str, str] | None = None,
) -> Ended:
    """Runs `toolkit` and sends it a signal as soon as `when` holds of the process that works."""
    with subprocess.Popen(
        [TOOLKIT, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_signals,
    ) as process:
        watched = psutil.Process(process.pid)
        until(lambda: process.poll() is not None or any(map(when, working(watched))))
        process.send_signal(by)
        out, err = process.communicate(timeout=120)
    return Ended(process.returncode, out, quiet(err))


def hear_signals() -> None:
    """Undoes what a shell that starts pytest in the background has told all its children, and what
    nohup has: to ignore ^C and the end of a terminal."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def working(command: psutil.Process) -> list[psutil.Process]:
    """The process that does the work of a command, where another one watches over it."""
    return [child for child in command.children() if "toolkit.cli" in " ".join(child.cmdline())]


def until(holds: Callable[[], bool], seconds: float = 120.0) -> None:
    """Waits until something holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.02)


def kept() -> list[psutil.Process]:
    """The workers of this process: each is the child of its keeper."""
    return [worker for keeper in psutil.Process().children() for worker in keeper.children()]


def workers(folder: Path) -> list[psutil.Process]:
    """The workers of runs in a folder, whoever started them."""
    return [process for process in psutil.process_iter() if _is_worker(process, folder)]


def _is_worker(process: psutil.Process, folder: Path) -> bool:
    """A worker's command names its rooms, by a path that starts at the current folder or at /."""
    try:
        program = " ".join(process.cmdline())
        inside = Path(process.cwd()).is_relative_to(folder.resolve())
    except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
        return False
    is_keeper = "keeper.py" in program  # It names the command of the worker that it starts.
    return "child.main" in program and not is_keeper and (inside or str(folder) in program)
