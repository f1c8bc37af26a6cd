"""Keeps what PyTorch says while it exports out of the terminal, and hands it over."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Chatter:
    """All that a library printed, logged or warned of; complete when the block has ended."""

    parts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The parts, one below the other, without those that are blank."""
        return "\n".join(part.rstrip() for part in self.parts if part.strip())


@contextlib.contextmanager
def quiet(chatter: Chatter) -> Iterator[None]:
    """Collects stdout, stderr and warnings of the block, from Python and from C++.

    PyTorch's log handlers hold the stream that stood in sys.stderr when torch was imported, so
    that only the file descriptors catch them; a test or a notebook replaces sys.stderr itself, so
    that only the redirection catches the rest.
    """
    printed = io.StringIO()
    with tempfile.TemporaryFile() as file, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            with _descriptors(file.fileno()):
                with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
                    yield
        finally:
            file.seek(0)
            chatter.parts.append(printed.getvalue())
            chatter.parts.append(file.read().decode(errors="replace"))
            chatter.parts.extend(f"{w.category.__name__}: {w.message}" for w in warned)


@contextlib.contextmanager
def _descriptors(to: int) -> Iterator[None]:
    """Sends the file descriptors of stdout and stderr to another one, and gives them back."""
    # sys.__stdout__ is None in a process without a terminal (pythonw, some services).
    streams = [stream for stream in (sys.__stdout__, sys.__stderr__) if stream is not None]
    for stream in streams:
        stream.flush()  # What was printed before belongs to the terminal.
    saved = {number: os.dup(number) for number in (1, 2)}
    try:
        for number in saved:
            os.dup2(to, number)
        yield
    finally:
        for stream in streams:
            stream.flush()
        for number, copy in saved.items():
            os.dup2(copy, number)
            os.close(copy)
