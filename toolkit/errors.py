"""Declares everything that can go wrong, as a tree.

    ToolkitError              a user can mend it; exit code 1
    ├── InputError            a file, a folder or a value that the user gave
    ├── ExportError           PyTorch could not export the model
    ├── ProofError            the exported file is not the same function
    ├── EnvironmentFault      a Python environment or a library in it
    ├── TargetError           one target could not be loaded or run; the other targets go on
    │   ├── ShapeRefused      it cannot take a feed of this shape, though the model can
    │   ├── ProviderFailed    the provider that was asked for is not there or did not start
    │   ├── LibraryError      the library itself raised
    │   └── WorkerDied        its process crashed, hung or talked nonsense
    └── RunError              a run folder: unfinished, of another machine, of another model

Everything else that is raised is a bug of ours (exit code 3).
"""

from __future__ import annotations

import difflib
import signal
from collections.abc import Iterable


class ToolkitError(Exception):
    """Says what is wrong in one line, then what to do, a line each, in commands to paste."""

    def __init__(self, what: str, *cures: str) -> None:
        super().__init__(what)
        self.what = what
        self.cures = cures


class InputError(ToolkitError):
    """A file, a folder or a value that the user gave."""


class ExportError(ToolkitError):
    """PyTorch could not export the model."""


class ProofError(ToolkitError):
    """The exported file is not the module's function, or not of the form that was asked."""


class EnvironmentFault(ToolkitError):
    """A Python environment, or a library in it, that cannot be used."""


class TargetError(ToolkitError):
    """One target could not be loaded or run.

    `verb` is what its worker was doing, `last_words` the end of that worker's log.
    """

    verb: str = ""
    last_words: tuple[str, ...] = ()


class ShapeRefused(TargetError):
    """A runtime cannot take a feed of this shape, though the model can."""


class ProviderFailed(TargetError):
    """The provider that was asked for is not there, or did not start: why, the library says on its
    log alone."""


class LibraryError(TargetError):
    """The library itself raised: the words are its own."""


class WorkerDied(TargetError):
    """A worker crashed, hung, exited early or answered nonsense."""


class RunError(ToolkitError):
    """A run folder that cannot be read, resumed or compared."""


def unknown(what: str, name: str, choices: Iterable[str]) -> str:
    """One line that names what is unknown, all choices and, where one is near, a suggestion.

    >>> unknown("runtime", "onnxrt", ["torch", "onnxruntime"])
    "no runtime is called 'onnxrt'; there are: onnxruntime, torch. Did you mean onnxruntime?"
    """
    known = sorted(choices)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    guess = f" Did you mean {near[0]}?" if near else ""
    return f"no {what} is called {name!r}; there are: {', '.join(known)}.{guess}"


LONGEST = 300
"""Characters of a foreign library's line that are shown: some print whole graphs in one."""


def lines(text: object) -> list[str]:
    """The lines of a text that are not blank, without the spaces around them."""
    return [line.strip() for line in str(text).splitlines() if line.strip()]


def first_line(error: object) -> str:
    """The first line that an error or a text says; the type's name where it says nothing."""
    said = lines(error)
    return said[0][:LONGEST] if said else type(error).__name__


def signal_name(number: int) -> str:
    """The name of a signal: 'SIGSEGV'; 'signal 35' where Python has none, as for most of the
    real-time signals."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def typed_line(error: BaseException) -> str:
    """An error in one line: its type, then the first line of its text where it has one."""
    kind, line = type(error).__name__, first_line(error)
    return kind if line == kind else f"{kind}: {line}"
