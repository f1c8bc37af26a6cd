"""An error of the process that worked, as it crosses, and as the caller raises it."""

from __future__ import annotations

import builtins
import traceback
from collections.abc import Iterator

from toolkit.errors import TargetError, ToolkitError
from toolkit.pipelines.export import Exported, NotProven
from toolkit.strict import Strict
from toolkit.supervision import exhausted


class SentError(Strict, frozen=True):
    """An error by the names of its classes: the caller takes the first that it knows."""

    kinds: tuple[str, ...]
    """The error's class and those that it derives from, in the order of their resolution."""
    what: str
    cures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    trace: str = ""
    """The lines where a bug rose; empty for what a user can mend."""
    verb: str = ""
    last_words: tuple[str, ...] = ()
    exported: Exported | None = None


def of(error: BaseException) -> SentError:
    """The error as it is sent; a memory or a disk that did not suffice is the user's to mend."""
    error = exhausted.in_words(error) or error
    kinds = tuple(kind.__name__ for kind in type(error).__mro__)
    notes = tuple(getattr(error, "__notes__", ()))
    if not isinstance(error, ToolkitError):
        trace = "".join(traceback.format_exception(error))
        return SentError(kinds, str(error), notes=notes, trace=trace)
    target = error if isinstance(error, TargetError) else TargetError("")
    return SentError(
        kinds,
        error.what,
        error.cures,
        notes,
        verb=target.verb,
        last_words=target.last_words,
        exported=error.exported if isinstance(error, NotProven) else None,
    )


def error_of(sent: SentError) -> BaseException:
    """The error to be raised, of the class that the process raised where this one knows it."""
    error = _toolkits(sent) or _pythons(sent)
    if sent.trace and not isinstance(error, KeyboardInterrupt):
        error.add_note(f"In the process that did the work:\n{sent.trace}")
    for note in sent.notes:
        error.add_note(note)
    return error


def _toolkits(sent: SentError) -> ToolkitError | None:
    """The error as one that a user can mend; None where it is none."""
    known = {kind.__name__: kind for kind in _family(ToolkitError)}
    kind = next((known[name] for name in sent.kinds if name in known), None)
    if kind is None:
        return None
    # Not by its own constructor: some take other arguments.
    error = kind.__new__(kind)
    ToolkitError.__init__(error, sent.what, *sent.cures)
    if isinstance(error, TargetError):
        error.verb, error.last_words = sent.verb, sent.last_words
    if isinstance(error, NotProven) and sent.exported is not None:
        error.exported = sent.exported
    return error


def _family(kind: type[ToolkitError]) -> Iterator[type[ToolkitError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _family(child)


def _pythons(sent: SentError) -> BaseException:
    """The error as the nearest of Python's own that is made of one text."""
    if "KeyboardInterrupt" in sent.kinds:
        return KeyboardInterrupt()
    for name in sent.kinds:
        kind = getattr(builtins, name, None)
        if isinstance(kind, type) and issubclass(kind, Exception):
            try:
                return kind(sent.what)
            except TypeError:  # UnicodeDecodeError needs more: its parent does not.
                continue
    return RuntimeError(sent.what)  # SystemExit, from the user's code, ends no caller.
