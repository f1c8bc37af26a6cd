"""Prints a command's lines: a label, then a text. Results go to stdout, progress to stderr."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import click

LABEL = 9
"""Width of the first column: that of the longest command's name, and a space."""
PAUSE = 10.0
"""Seconds between two lines of progress in a pipe."""
WIDEST = 120
"""Columns that a table takes at most: beyond, eyes lose the line."""

Draw: TypeAlias = Callable[[float | None, str], None]
"""Shows the share that is done (None: unknown) and a text."""


def line(label: str, text: str = "") -> None:
    """Prints one line of the result; continuation lines have an empty label."""
    click.echo(f"{label:<{LABEL}}{text}".rstrip())


def left_out(lines: Iterable[str]) -> None:
    """Names on stderr what cannot be read and is not shown, a line each."""
    for text in lines:
        click.echo(f"left out: {text}", err=True)


def columns() -> int:
    """Returns the columns that a table may take in this terminal; 80 where there is none."""
    return min(WIDEST, shutil.get_terminal_size().columns)


def restore() -> None:
    """Clears the status line of a process that was ended by force, and shows the cursor again."""
    if sys.stderr.isatty():
        click.echo("\r\x1b[2K\x1b[?25h", nl=False, err=True)


@contextmanager
def progress(label: str) -> Iterator[Draw]:
    """Shows a status line on stderr while something long runs; nothing in a pipe or in CI.

    Yields the function that draws it. It draws only when it is called: a thread that refreshes the
    line would run beside a measurement.
    """
    if not sys.stderr.isatty():
        yield lambda share, text: None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn

    shown = (TextColumn(f"{label:<{LABEL - 1}}"), BarColumn(20), TextColumn("{task.description}"))
    console = Console(stderr=True)
    with Progress(*shown, console=console, auto_refresh=False, transient=True) as bar:
        task = bar.add_task("", total=None)

        def draw(share: float | None, text: str) -> None:
            total, done = (None, 0.0) if share is None else (1.0, share)
            bar.update(task, total=total, completed=done, description=escape(text), refresh=True)

        from toolkit.supervision import progress as steps

        with steps.listening(draw):
            yield draw


@contextmanager
def long_progress(label: str) -> Iterator[Draw]:
    """Shows a status line as `progress` does, with the time that is left; in a pipe a line every
    ten seconds, so that nobody takes a long command for a dead one."""
    began, shown = time.monotonic(), time.monotonic()
    with progress(label) as draw:

        def tell(share: float | None, text: str) -> None:
            nonlocal shown
            now = time.monotonic()
            left = (now - began) * (1 - share) / share if share else None
            told = text if left is None else f"{text} · about {left:.0f} s left"
            draw(share, told)
            if not sys.stderr.isatty() and now - shown >= PAUSE:
                shown = now
                click.echo(f"{label:<{LABEL}}{share or 0:.0%} · {told}", err=True)

        yield tell
