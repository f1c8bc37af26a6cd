"""Finds the line of the user's own code that an error came from."""

from __future__ import annotations

import linecache
import os
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FrameType, TracebackType


@dataclass(frozen=True)
class Line:
    """One line of source code."""

    file: str
    number: int
    text: str

    def __str__(self) -> str:
        """'net.py:21   if x.shape[1] > 12:'; the file as seen from the current folder."""
        return f"{seen_from_here(self.file)}:{self.number}   {self.text}".rstrip()


def of(error: BaseException) -> Line | None:
    """The innermost line of the user's code that the error, or what caused it, passed through."""
    for each in chain(error):
        if isinstance(each, SyntaxError) and each.filename and each.lineno:
            return Line(each.filename, each.lineno, (each.text or "").strip())
        users = [
            (frame, number)
            for frame, number in _frames(each.__traceback__)
            if theirs(frame.f_code.co_filename)
        ]
        if users:
            frame, number = users[-1]
            return at(frame.f_code.co_filename, number)
    return None


def at(file: str, number: int) -> Line:
    """A line with its text."""
    return Line(file, number, linecache.getline(file, number).strip())


def chain(error: BaseException) -> list[BaseException]:
    """The error's causes, the first one first, and the error itself last."""
    errors = [error]
    # A chain may run in a circle: `raise error from error` is Python.
    while (cause := errors[-1].__cause__) is not None and cause not in errors:
        errors.append(cause)
    return errors[::-1]


def theirs(file: str) -> bool:
    """Says whether a file is the user's: not Python's, not toolkit's, not torch's."""
    if file.startswith("<"):
        return False  # Code of no file: '<string>', '<frozen importlib>', what torch generates.
    path = Path(file)
    return _foreign().isdisjoint((path, *path.parents))


def seen_from_here(file: str) -> str:
    """A path relative to the current folder where it lies in it."""
    return os.path.relpath(file) if Path(file).is_relative_to(Path.cwd()) else file


@cache
def _foreign() -> frozenset[Path]:
    """The folders and files whose lines tell a user nothing. They are looked for once: an export
    asks for each file of each of torch's stacks."""
    packages = [Path(sysconfig.get_path(kind)) for kind in ("purelib", "platlib")]
    names = ("torch", "onnxscript", "onnx_ir", "sympy", "safetensors", "numpy")
    # A library of models in site-packages is the user's choice, and its lines are worth showing.
    standard = [Path(sysconfig.get_path("stdlib")) / name for name in _standard()]
    ours = Path(__file__).parents[1]
    libraries = (folder / name for folder in packages for name in names)
    return frozenset([ours, *standard, *libraries])


def _standard() -> Iterator[str]:
    """The files and folders of the standard library, whose folder holds site-packages too."""
    folder = Path(sysconfig.get_path("stdlib"))
    yield from (name for name in sorted(os.listdir(folder)) if not name.endswith("-packages"))


def _frames(trace: TracebackType | None) -> Iterator[tuple[FrameType, int]]:
    while trace is not None:
        yield trace.tb_frame, trace.tb_lineno
        trace = trace.tb_next
