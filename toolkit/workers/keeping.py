"""The parent's end of a worker's keeper (`keeper.py`)."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from toolkit.units import Seconds
from toolkit.workers import keeper

PATIENCE: Seconds = 60.0
"""How long the start of two processes may take on a machine that is busy."""
GRACE: Seconds = 5.0
"""How much longer than its own limit a keeper gets to end before it is ended."""


class Keeper:
    """A process that keeps one worker: it ends all that came of it, even where this process is
    killed."""

    def __init__(
        self, command: Sequence[str], *, env: Mapping[str, str], out: int, pass_fds: Sequence[int]
    ) -> None:
        """Starts a worker, which prints to `out`. Raises OSError where its program does not start.

        The process id of the keeper becomes the last argument of the command.
        """
        asked, self._pipe = os.pipe()  # Not inherited: a worker must not hold it open.
        answer, told = os.pipe()
        self._handle: int | None = None
        program = [sys.executable, "-I", "-S", str(Path(keeper.__file__)), str(asked), str(told)]
        try:
            self._process = subprocess.Popen(
                [*program, *command],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                pass_fds=(asked, told, *pass_fds),
                start_new_session=True,  # ^C reaches the parent only, which ends in order.
            )
        except OSError:
            os.close(self._pipe)
            os.close(answer)
            raise
        finally:
            os.close(asked)
            os.close(told)
        try:
            self.worker = _process_id(answer)
            """The id of the worker's process."""
        except BaseException:
            self.end()
            raise
        finally:
            os.close(answer)
        self._handle = _handle(self.worker)

    def wait(self, timeout: Seconds) -> int:
        """The worker's exit code, negative for a signal, once all that came of it has ended.
        Raises subprocess.TimeoutExpired."""
        return self._process.wait(timeout)

    def end(self) -> None:
        """Ends the worker and all that came of it; twice does no harm."""
        if self._pipe < 0:
            return
        os.close(self._pipe)
        self._pipe = -1
        try:
            self._process.wait(keeper.LONGEST + GRACE)
        except subprocess.TimeoutExpired:  # Somebody stopped it.
            self._process.kill()
            self._process.wait()
        if self._handle is not None:
            # Somebody may have killed the keeper alone.
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)
            os.close(self._handle)


def _handle(process: int) -> int | None:
    """What names this very process, whose number may be another's later; None where the kernel has
    no such thing, and for one that is gone."""
    with contextlib.suppress(OSError, AttributeError):
        return os.pidfd_open(process)
    return None


def _process_id(answer: int) -> int:
    """The id that a keeper tells. Raises OSError where it tells why there is none."""
    poll = select.poll()
    poll.register(answer, select.POLLIN)
    line = os.read(answer, 4096).decode() if poll.poll(1000 * PATIENCE) else ""
    if not line.endswith("\n") or line.startswith("!"):
        raise OSError(0, line[1:].strip() or "its keeper ended")
    return int(line)
