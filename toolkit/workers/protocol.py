"""The messages between parent and worker: JSON, one line each, on two pipes of their own.

A request is an object with a `verb` and a `number`, which no other request of its worker has; the
reply is an object with that `number` and the verb's results, or with `error` (one line), `cures`
and, where it is one of KINDS, its `kind`. Tensors
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
(factory, weights, folder; or null), converted (the folder that `convert` filled, or null), external
(the location that the model names → the path of its file of external data, which the parent has
looked at), optimised (the file into which the runtime writes the graph that its optimizer leaves,
or null). A worker opens no file that no request names, but for its library's own.
"""

from __future__ import annotations

import json
import math
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

LONGEST = 4 << 20
"""The bytes of one line, without the times of a block; a longer one is nonsense. Requests and
replies have some kilobytes."""
DIGITS = 24
"""The bytes of one time in the reply to `sample`: those of the largest int64 and what parts two."""
PART = 1 << 16
"""Bytes that are read at once: what a pipe holds."""


class Closed(Exception):
    """The other end is gone."""


class Late(Exception):
    """No whole line was read, or written, within the time."""


class Nonsense(Exception):
    """A line that is not a message."""


class Unasked(Exception):
    """A reply to another request than the last."""


def kind(error: ToolkitError) -> str | None:
    """The name of an error's kind in a message; None for any other."""
    return next((name for name, kind in KINDS.items() if isinstance(error, kind)), None)


def send(pipe: int, message: Message, timeout: Seconds | None = None) -> None:
    """Writes one line. Raises Closed; and Late, where a pipe that does not block was given a time.

    A pipe holds 64 KiB: more waits for the other end to read, which it may never do.
    """
    data = json.dumps(message, allow_nan=False).encode() + b"\n"
    view, deadline = memoryview(data), _deadline(timeout)
    while view:
        if timeout is not None and not _ready(pipe, select.POLLOUT, deadline):
            raise Late
        try:
            view = view[os.write(pipe, view) :]
        except BlockingIOError:
            continue  # It has room for less than the kernel writes at once.
        except OSError as error:
            raise Closed from error


def _deadline(timeout: Seconds | None) -> Seconds:
    return math.inf if timeout is None else time.monotonic() + timeout


def _ready(pipe: int, what: int, deadline: Seconds) -> bool:
    """Waits, without a loop, until a pipe can be read or written; False: not within the time."""
    left = deadline - time.monotonic()
    if left <= 0:
        return False
    poll = select.poll()  # Not select.select, which takes no pipe above the number 1,023.
    poll.register(pipe, what)
    return bool(poll.poll(None if left == math.inf else 1000 * left))


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


class Reader:
    """Reads messages from a pipe, blocking: a reader that waited in a loop would take the time of
    whatever is measured."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self._rest = b""

    def receive(self) -> Message:
        """The next request, as an object. Raises Closed or Nonsense."""
        line = self.line(longest=64 * LONGEST)
        try:
            message = json.loads(line, parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            raise Nonsense(shown(line)) from error
        if not isinstance(message, dict):
            raise Nonsense(shown(line))
        return message

    def line(self, timeout: Seconds | None = None, longest: int = LONGEST) -> bytes:
        """The next line. Raises Closed, Late, or Nonsense for one that is longer."""
        deadline = _deadline(timeout)
        parts, length = [self._rest], len(self._rest)
        while b"\n" not in parts[-1]:
            # Asked each time: whoever sends a byte now and then is late all the same.
            if not _ready(self._pipe, select.POLLIN, deadline):
                self._rest = b"".join(parts)
                raise Late
            part = os.read(self._pipe, PART)
            if not part:
                raise Closed
            parts.append(part)
            length += len(part)
            if length > longest:
                raise Nonsense(shown(b"".join(parts[:2])))
        line, _, self._rest = b"".join(parts).partition(b"\n")
        return line

    def holds_more(self) -> bool:
        """Says whether something was sent that nobody has asked for yet."""
        poll = select.poll()
        poll.register(self._pipe, select.POLLIN)
        return bool(self._rest) or any(what & select.POLLIN for _, what in poll.poll(0))


def shown(line: bytes) -> str:
    """The beginning of a line that is no message, for an error."""
    return line[:80].decode(errors="replace")
