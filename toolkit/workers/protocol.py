"""The messages between parent and worker: JSON, one line each, on two pipes of their own.

A request is an object with a `verb`; the reply is an object with the verb's results, or with
`error` (one line), `cures` and, where it is one of KINDS, its `kind`. Tensors
travel as .npy files that a message names. A worker may be written in any language: its last three
arguments are the numbers of its two pipes (to read, to write) and of the parent process, with which
it must end.

verb    request                                  reply
hello   runtime, module, attribute, provider,    version, file, python, seconds (of the import),
        options                                  precision, providers, starts_from, converts,
                                                 empty (ns of an empty interval)
convert program, options, tensors, folder        seconds
        fills the empty folder with the runtime's own form of the model
load    program, provider, options               seconds, placement, copies, computes
        computes: ids of its processes, where others compute than this one; may be absent
bind    feed (its name), tensors                 {}
answer  feed, folder, again                      tensors, seconds (of the call)
        again: false writes what the last timed call left behind and calls nothing
sample  feed, calls, discard                     ns (one a call), start (ns), switches
copies  feed, calls                              into, out (ns, medians of so many; 0 where the call
                                                 makes none; null where it cannot be told)
inputs  feed                                     changed (names of those that its calls wrote into)
usage                                            resident, peak (bytes)
close                                            {}

A program: model (a path, or null), inputs and outputs (name, type, shape each), threads, source
(factory, weights, folder; or null), converted (the folder that `convert` filled, or null).
"""

from __future__ import annotations

import json
import os
import select
import time
from collections.abc import Mapping
from typing import Any, NoReturn, TypeAlias

from toolkit.errors import LibraryError, ProviderFailed, ShapeRefused, TargetError, ToolkitError
from toolkit.units import Seconds

Message: TypeAlias = dict[str, Any]

KINDS: Mapping[str, type[TargetError]] = {
    "shape": ShapeRefused,
    "provider": ProviderFailed,
    "library": LibraryError,
}
"""The kinds of error that the parent tells apart, by their name in a message."""

LONGEST = 64 * 1024 * 1024
"""The bytes of one line; a longer one is nonsense. The longest reply has some ten bytes for each of
the calls of a block."""


class Closed(Exception):
    """The other end is gone."""


class Late(Exception):
    """No whole line within the time."""


class Nonsense(Exception):
    """A line that is not a message."""


def kind(error: ToolkitError) -> str | None:
    """The name of an error's kind in a message; None for any other."""
    return next((name for name, kind in KINDS.items() if isinstance(error, kind)), None)


def send(pipe: int, message: Message) -> None:
    """Writes one line. Raises Closed."""
    data = json.dumps(message, allow_nan=False).encode() + b"\n"
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(pipe, view) :]
    except (BrokenPipeError, OSError) as error:
        raise Closed from error


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


class Reader:
    """Reads messages from a pipe, blocking: a reader that waited in a loop would take the time of
    whatever is measured."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self._rest = b""

    def receive(self, timeout: Seconds | None = None) -> Message:
        """The next message. Raises Closed, Late or Nonsense."""
        line = self._line(None if timeout is None else time.monotonic() + timeout)
        try:
            message = json.loads(line, parse_constant=_no_number)
        except ValueError as error:
            raise Nonsense(line[:80].decode(errors="replace")) from error
        if not isinstance(message, dict):
            raise Nonsense(line[:80].decode(errors="replace"))
        return message

    def _line(self, deadline: float | None) -> bytes:
        parts = [self._rest]
        length = len(self._rest)
        while b"\n" not in parts[-1]:
            patience = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not select.select([self._pipe], [], [], patience)[0]:
                self._rest = b"".join(parts)
                raise Late
            part = os.read(self._pipe, 1 << 20)
            if not part:
                raise Closed
            parts.append(part)
            length += len(part)
            if length > LONGEST:
                raise Nonsense(parts[0][:80].decode(errors="replace"))
        line, _, self._rest = b"".join(parts).partition(b"\n")
        return line
