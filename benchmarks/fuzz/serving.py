"""A process that answers requests, a line each, and is replaced where one ends it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
from collections.abc import Callable

from benchmarks.ledger import Line
from toolkit.supervision import limits
from toolkit.units import Bytes, Seconds

MEMORY: Bytes = 3 * 1024**3
"""Bytes that a serving process may hold."""
PATIENCE: Seconds = 60.0
"""Time that one request gets: as long as a command gives one node. The first of a process imports
what it needs, which takes many seconds on a machine that is busy."""
START: Seconds = 300.0
"""Time that the process gets to import what it needs."""


def serve(answer: Callable[[str], Line]) -> None:
    """Answers the requests that come on stdin, one a line, each with a line of JSON."""
    limits.apply(MEMORY)
    # Libraries print to stdout: the answers have another way.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    answers.write(json.dumps({"ready": True}) + "\n")
    for line in sys.stdin:
        answers.write(json.dumps(answer(line.rstrip("\n"))) + "\n")


class Server:
    """A process that serves, replaced when it died."""

    def __init__(self, program: str, patience: Seconds | None = None) -> None:
        """`program` is Python that ends in `serve`; a request gets so long, by default PATIENCE."""
        self._program = program
        self._patience = patience
        self._process: subprocess.Popen[str] | None = None

    def ask(self, request: str) -> Line:
        """The answer to one request; that it ends the process, or has none, is one, too."""
        process = self._started()
        patience = PATIENCE if self._patience is None else self._patience
        assert process.stdin is not None
        try:
            process.stdin.write(f"{request}\n")
            process.stdin.flush()
            answer = self._line(patience)
        except BrokenPipeError:  # It died between two requests.
            answer = ""
        if answer is None:
            self.stop()
            return {"outcome": "hang", "what": f"no answer in {patience:g} s"}
        if not answer:
            code = process.wait()
            self.stop()
            return {"outcome": "crash", "what": f"exit code {code}"}
        line: Line = json.loads(answer)
        return line

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-c", self._program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            if not self._line(START):
                raise SystemExit("the serving process does not start")
        return self._process

    def _line(self, seconds: Seconds) -> str | None:
        """The next line; empty where the process ended, None where none came in time."""
        assert self._process is not None
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], seconds)
        return self._process.stdout.readline() if ready else None

    def stop(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.kill()
            with contextlib.suppress(BrokenPipeError):  # What it was asked last is lost.
                self._process.communicate()
        self._process = None
