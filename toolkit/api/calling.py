"""Runs a task in a process of its own, and gives back what came of it as if it had run here."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from toolkit.api import crossing, senterror, tasks
from toolkit.api.child import START
from toolkit.api.senterror import SentError
from toolkit.api.tasks import Task
from toolkit.api.working import ASKED, ERROR, RESULT, TOLD
from toolkit.errors import InputError, typed_line
from toolkit.supervision import parent, progress
from toolkit.supervision.parent import Ended, Finished, Terminated
from toolkit.units import Bytes

R = TypeVar("R")

PROGRAM = """
import sys
root, folder = sys.argv[1:]
del sys.argv[1:]
sys.path.insert(0, root)
import pathlib, toolkit.api.child
toolkit.api.child.main(pathlib.Path(folder))
"""
"""Runs the very files of this process (A3)."""


def run(task: Task[R], watch: Callable[..., None], *, memory_limit: Bytes | None = None) -> R:
    """Runs a task and returns its result; `watch` is told within a second what the task tells.

    Raises what the task raises, Ended where it was ended or crashed, KeyboardInterrupt after ^C,
    and TypeError for arguments of other types than the task's.
    """
    if memory_limit is not None and memory_limit < 1:
        raise InputError(f"a memory limit of {memory_limit} bytes allows nothing")
    # What this process alone has can run nowhere else, and so is not bounded.
    if progress.is_watched() or tasks.is_only_here(task):  # A2
        return task.run(watch)
    try:
        with parent.scratch() as folder:
            _ask(folder, task, memory_limit)
            told = _Told(folder / TOLD, task, watch)
            root = Path(__file__).parent.parent.parent
            command = [sys.executable, "-P", "-c", PROGRAM, str(root), str(folder)]
            finished = parent.watch_over(command, folder, told.pass_on)
            told.pass_on()
            return _result(folder, task, finished)
    except Terminated as terminated:
        # The caller's program was to end: what it does with such a signal, it does now.
        signal.raise_signal(terminated.number)
        raise


def _ask(folder: Path, task: Task[object], memory_limit: Bytes | None) -> None:
    """Writes the task, and how to begin. Raises TypeError for an argument of another type."""
    start = {"path": [str(each) for each in sys.path], "memory_limit": memory_limit}
    (folder / START).write_text(json.dumps(start))
    crossing.write(folder / ASKED, task)
    try:
        crossing.read(folder / ASKED, type(task))
    except msgspec.ValidationError as error:
        raise TypeError(str(error)) from None


class _Told:
    """What the process tells while it works, passed on to the caller's `watch`."""

    def __init__(self, file: Path, task: Task[object], watch: Callable[..., None]) -> None:
        file.touch()
        self._file, self._watch, self._read = file, watch, 0
        self._decoder = msgspec.json.Decoder[tuple[Any, ...]](tasks.event_type(type(task)))

    def pass_on(self) -> None:
        """Passes on what is new. A line that is not whole yet has its turn the next time."""
        with self._file.open("rb") as stream:
            stream.seek(self._read)
            lines, newline, _ = stream.read().rpartition(b"\n")
        self._read += len(lines) + len(newline)
        for line in lines.splitlines():
            with _readable():
                event = self._decoder.decode(line)
            self._watch(*event)


def _result(folder: Path, task: Task[R], finished: Finished) -> R:
    """Returns the result, or raises the error."""
    failed: SentError | None = None
    if (folder / ERROR).exists():
        with _readable():
            failed = crossing.read(folder / ERROR, SentError)
    if finished.interrupted:  # Also where it had its result already: ^C was typed all the same.
        raise _interrupt(failed, finished.ended_by)
    if failed is not None:
        raise senterror.error_of(failed)
    if not (folder / RESULT).exists():
        code = finished.code
        raise Ended(f"the process that worked ended with the exit code {code} and said nothing")
    with _readable():
        return crossing.read(folder / RESULT, tasks.result_type(type(task)))


def _interrupt(failed: SentError | None, ended_by: int | None) -> KeyboardInterrupt:
    """^C, or what ends as it does, with the notes that say what was kept."""
    interrupt = KeyboardInterrupt() if ended_by is None else Terminated(ended_by)
    for note in failed.notes if failed is not None else ():
        interrupt.add_note(note)
    return interrupt


@contextlib.contextmanager
def _readable() -> Iterator[None]:
    """Raises Ended where the process wrote something else than it may (A1)."""
    try:
        yield
    except (ValueError, OSError, EOFError) as error:  # msgspec's are ValueErrors.
        raise Ended(
            f"what the process that worked wrote cannot be read: {typed_line(error)}"
        ) from error
