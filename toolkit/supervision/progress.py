"""Tells the process that watches over this one what is being done, through a page of shared memory.

A step is one piece of work that is expected to end soon: reading a file, one node of a graph. Where
none ends for long, the watching process ends this one, and tells the step that did not end. Without
a page, as where a pipeline is called by itself, nothing is told and nothing is ended.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from toolkit.units import Seconds

VARIABLE = "TOOLKIT_SUPERVISED"
"""The variable that names the folder of the page to the process that is watched."""
PAGE = "page"
LEAVINGS = "leavings"
"""The file with a line for each path that must go if the process is ended by force."""
IF_EMPTY = "if empty: "
"""Begins the line of a folder that goes only where nothing is in it."""
SIZE = 4096
_HEAD = struct.Struct("<ddddIIH")
"""Began, changed, deadline, quiet limit; the number of the step and of all, the text's length."""
NODE_LIMIT: Seconds = 60.0
"""How long one step may take, where the user states nothing."""
WHOLE_LIMIT: Seconds = 1800.0
"""How long all steps together may take, where the user states nothing."""
REFRESH: Seconds = 0.2
"""How often a listener is told at most: it draws on a terminal."""

Listener = Callable[[float | None, str], None]
"""Told the share of the steps that is done (None: unknown) and the step in words."""


@dataclass(frozen=True)
class Look:
    """The state of a watched process at one moment, as its page tells it."""

    bounded: bool
    """It is at steps that must end; else it measures, waits for a worker or is done."""
    text: str
    """The step in words."""
    seconds: Seconds
    """How long the step has been running."""
    limit: Seconds
    """How long it may."""
    began: Seconds
    """How long all steps have been running."""
    left: Seconds
    """How long they may go on; infinite without a deadline."""
    began_once: bool
    """It told a step already, so its imports are behind it."""


class _Page:
    """The page of this process; nothing is written where it has none."""

    def __init__(self) -> None:
        self.map: mmap.mmap | None = None
        self.folder: Path | None = None
        self.listener: Listener | None = None
        self.began = self.deadline = 0.0
        self.limit = 0.0
        self.listened = 0.0

    def write(self, text: str, number: int, total: int) -> None:
        now = time.monotonic()
        if self.map is not None:
            words = text.encode(errors="replace")[: SIZE - _HEAD.size]
            head = (self.began, now, self.deadline, self.limit, number, total, len(words))
            self.map[: _HEAD.size + len(words)] = _HEAD.pack(*head) + words
        if self.listener is not None and now - self.listened >= REFRESH:
            self.listened = now
            self.listener(number / total if total else None, text)


_page = _Page()


def join() -> bool:
    """Opens the page that the watching process made; says whether there is one."""
    folder = os.environ.pop(VARIABLE, None)  # No process that this one starts has it.
    if folder is None:
        return False
    with open(Path(folder) / PAGE, "r+b") as file:
        _page.map = mmap.mmap(file.fileno(), SIZE)
    _page.folder = Path(folder)
    return True


def is_watched() -> bool:
    """Says whether another process watches over this one."""
    return _page.map is not None


@contextlib.contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Tells a listener of the steps, too, as long as the block lasts."""
    before, _page.listener = _page.listener, listener
    try:
        yield
    finally:
        _page.listener = before


@contextlib.contextmanager
def bounded(limit: Seconds | None = None) -> Iterator[None]:
    """Makes the block one of steps that must end: each within 60 s and all within half an hour, or
    all within `limit`. A block within a block keeps the limits of the outer one."""
    if _page.began:
        yield
        return
    _page.began = time.monotonic()
    _page.deadline = _page.began + (limit or WHOLE_LIMIT)
    _page.limit = limit or NODE_LIMIT
    try:
        yield
    finally:
        _page.began = _page.deadline = _page.limit = 0.0
        _page.write("", 0, 0)


@contextlib.contextmanager
def waiting(text: str) -> Iterator[None]:
    """Marks a block that others bound, such as a worker's answer, or that may take its time, such
    as the user's own module: only the end of all steps holds."""
    before, _page.limit = _page.limit, 0.0
    _page.write(text, 0, 0)
    try:
        yield
    finally:
        _page.limit = before
        _page.write(text, 0, 0)


def step(text: str, number: int = 0, total: int = 0) -> None:
    """Tells the next step: its words, its number from 0 on, and how many there are where known."""
    _page.write(text, number, total)


@contextlib.contextmanager
def leaving(path: Path, made: Sequence[Path] = ()) -> Iterator[None]:
    """Names a file or folder that must not stay if this process is ended by force in the block.

    `made` are folders that were made for it, the innermost first: they go where they are empty.
    """
    if _page.folder is None:
        yield
        return
    leavings = _page.folder / LEAVINGS
    lines = [str(path.absolute()), *(f"{IF_EMPTY}{folder.absolute()}" for folder in made)]
    with open(leavings, "a") as file:
        file.write("".join(f"{line}\n" for line in lines))
    try:
        yield
    finally:
        kept = [line for line in leavings.read_text().splitlines() if line not in lines]
        leavings.write_text("".join(f"{line}\n" for line in kept))


def look(page: mmap.mmap) -> Look:
    """Reads the page of a watched process."""
    began, changed, deadline, limit, _, _, length = _HEAD.unpack(page[: _HEAD.size])
    text = page[_HEAD.size : _HEAD.size + length].decode(errors="replace")
    now = time.monotonic()
    return Look(
        bounded=began > 0,
        text=text,
        seconds=now - changed,
        limit=limit or float("inf"),
        began=now - began if began else 0.0,
        left=deadline - now if deadline else float("inf"),
        began_once=changed > 0,
    )
