"""Ends a process and all that it started when this process ends, even by SIGKILL.

PR_SET_PDEATHSIG reaches one process: a compiler that a worker started would go on. So a shell waits
at a pipe that only this process holds open, and ends the whole group when the pipe closes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

_WAIT = 'read -r _; kill -s KILL -- "-$0" 2>/dev/null'
"""The shell's program: `read` returns when the pipe closes, and $0 is the group's number."""


class ProcessGuard:
    """Watches over one process group, until it is released."""

    def __init__(self, group: int) -> None:
        read, self._write = os.pipe()  # Not inherited: a worker must not hold it open.
        self._group = group
        try:
            self._shell = subprocess.Popen(
                ["/bin/sh", "-c", _WAIT, str(group)],
                stdin=read,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        finally:
            os.close(read)

    def end(self) -> None:
        """Ends the group, then the shell. In this order: once the group is gone its number may be
        another's, which the shell must not end."""
        with contextlib.suppress(ProcessLookupError):  # All of them are gone.
            os.killpg(self._group, signal.SIGKILL)
        self._shell.kill()
        self._shell.wait()
        os.close(self._write)


def run(
    command: Sequence[str], *, env: Mapping[str, str], cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end and keeps its output; it ends with this process, and with ^C."""
    with subprocess.Popen(
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        guard = ProcessGuard(process.pid)
        try:
            out, err = process.communicate()
        finally:
            guard.end()
    return subprocess.CompletedProcess(command, process.returncode, out, err)
