"""Keeps the end of what a worker prints, and no more of it.

A library may print hundreds of megabytes: in a file they would fill the disk. So stdout and stderr
are a pipe, which a thread empties: it sleeps while nothing is printed.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time

from toolkit.units import Bytes, Seconds

KEPT: Bytes = 64 << 10
"""The end that is kept."""
PART: Bytes = 64 << 10
"""Bytes that are read at once: what a pipe holds."""
REST: Seconds = 1e-3
"""The pause after a whole part: a worker that floods waits, and the others keep their cores."""
LAST_WORDS = 5
"""Lines of a dead worker's log that are kept: enough for an exception and its cause."""
WIDEST = 300
"""Characters of each of these lines: a record is read by people."""


class WorkerLog:
    """The pipe of one worker's stdout and stderr, and the end of what came through it."""

    def __init__(self) -> None:
        self._read, self.write = os.pipe()
        """`write` is the worker's end; `started` closes it here."""
        os.set_blocking(self._read, False)
        self._wake, self._stop = os.pipe()
        self._end = b""
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._follow, name="worker's log", daemon=True)

    def started(self) -> None:
        """Begins to read, now that the worker has its end."""
        os.close(self.write)
        self.write = -1
        self._thread.start()

    def last_words(self) -> list[str]:
        """The last lines that were printed until now, without the empty ones."""
        self._take()
        lines = self._end.decode(errors="replace").splitlines()
        return [line.strip()[:WIDEST] for line in lines if line.strip()][-LAST_WORDS:]

    def close(self) -> None:
        """Takes what is left in the pipe and closes it; twice does no harm."""
        if self._read < 0:
            return
        os.write(self._stop, b"x")
        if self._thread.ident is not None:
            self._thread.join()
        self._take()
        for end in (self._read, self._wake, self._stop, self.write):
            if end >= 0:
                os.close(end)
        self._read = self.write = -1

    def _follow(self) -> None:
        poll = select.poll()
        poll.register(self._read, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        while True:
            ready = [descriptor for descriptor, _ in poll.poll()]
            if self._wake in ready:
                return
            size = self._take()
            if size == 0:  # Its other end is closed.
                return
            if size is not None and size >= PART:
                time.sleep(REST)

    def _take(self) -> int | None:
        """Takes what the pipe holds at most, and returns its size; None where that is nothing, 0 at
        the end."""
        with self._lock, contextlib.suppress(BlockingIOError):
            if self._read < 0:
                return 0
            part = os.read(self._read, PART)
            self._end = (self._end + part)[-KEPT:]
            return len(part)
        return None
