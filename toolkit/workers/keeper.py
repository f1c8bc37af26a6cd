"""The program of a keeper: it starts one worker, and ends all that came of it.

A process group is left by whoever calls setsid, and a process whose parent is gone belongs to
nobody. So the keeper asks Linux to be given such children (PR_SET_CHILD_SUBREAPER): all that the
worker started, and what that started, stays below the keeper. When the worker ends, or the pipe
closes that only toolkit's own process holds open, the keeper ends all of them, and then itself, in
the way in which the worker ended. On a system that has no such request it ends the worker's group.

    keeper.py PIPE TOLD COMMAND …

PIPE is the end to read of that pipe; to TOLD it writes the worker's process id, or '!' and why
there is none. Its own process id becomes the last argument of the command. It imports nothing but
the standard library, and waits by blocking.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import select
import signal
import sys
import time
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that somebody may send to all processes of a command."""
PR_SET_CHILD_SUBREAPER = 36
"""The number of prctl's request in <linux/prctl.h>."""
LONGEST = 10.0
"""Seconds in which all must have ended: a process that waits for a broken disk does not."""
PAUSE = 5
"""Milliseconds until what was killed is looked for again."""


def main(pipe: int, told: int, command: list[str]) -> None:
    """Keeps a worker, and ends as it did."""
    for end in (pipe, told):
        os.set_inheritable(end, False)
    with contextlib.suppress(AttributeError):  # A system without prctl.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    ended = _ended_children()
    for number in ENDING:  # Its parent ends it, in order. A handler is not handed down.
        signal.signal(number, _go_on)
    try:
        # A group of its own. Python ignores two signals, which no other program expects.
        worker = os.posix_spawn(
            command[0],
            [*command, str(os.getpid())],
            os.environ,
            setsid=True,
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
        )
    except OSError as error:
        os.write(told, f"!{error.strerror}\n".encode())
        os._exit(1)
    os.write(told, f"{worker}\n".encode())
    os.close(told)
    status = _waited(worker, pipe, ended)
    with contextlib.suppress(OSError):  # It is gone, or none of ours.
        os.killpg(worker, signal.SIGKILL)
    _end_all(worker)
    _end_like(status)


def _go_on(number: int, frame: FrameType | None) -> None:
    """Handles a signal by nothing but waking up."""


def _ended_children() -> int:
    """A pipe that can be read when a child has ended."""
    read, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.signal(signal.SIGCHLD, _go_on)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    return read


def _waited(worker: int, pipe: int, ended: int) -> int | None:
    """Waits for the worker's end and returns its status; None where it is to be ended."""
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    poll.register(ended, select.POLLIN)
    while True:
        statuses = _reaped()
        if worker in statuses:
            return statuses[worker]
        ready = [descriptor for descriptor, _ in poll.poll()]
        if pipe in ready:
            return None
        with contextlib.suppress(BlockingIOError):
            os.read(ended, 4096)


def _reaped() -> dict[int, int]:
    """Process id → wait status, of all children that have ended. Raises ChildProcessError where
    there is no child."""
    statuses: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            if statuses:
                return statuses
            raise
        if pid == 0:
            return statuses
        statuses[pid] = status


def _end_all(worker: int) -> None:
    """Kills all below this process, until there is none."""
    deadline = time.monotonic() + LONGEST
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < deadline:
            for pid in _below(os.getpid()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            _reaped()
            select.poll().poll(PAUSE)


def _below(ancestor: int) -> list[int]:
    """The processes below one, from /proc; none on a system without it."""
    children: dict[int, list[int]] = {}
    with contextlib.suppress(FileNotFoundError):
        for name in filter(str.isdigit, os.listdir("/proc")):
            with (
                contextlib.suppress(OSError),
                open(f"/proc/{name}/stat", "rb") as stream,
            ):
                # The name of a program stands in brackets, and may hold any.
                parent = int(stream.read().rpartition(b")")[2].split()[1])
                children.setdefault(parent, []).append(int(name))
    below, left = [], [ancestor]
    while left:
        found = children.get(left.pop(), [])
        below += found
        left += found
    return below


def _end_like(status: int | None) -> None:
    """Ends this process with the exit code, or by the signal, of the worker."""
    if status is not None and os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # It was the worker that crashed.
        with contextlib.suppress(OSError):  # SIGKILL has no handler.
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(0 if status is None else os.waitstatus_to_exitcode(status) & 0xFF)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
