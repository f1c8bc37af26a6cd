"""Prints a command's lines: a label, then a text. Results go to stdout, progress to stderr."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import click

LABEL = 9
"""Width of the first column: that of the longest command's name, and a space."""
WIDEST = 120
"""Columns that a table takes at most: beyond, eyes lose the line."""

Draw: TypeAlias = Callable[[float | None, str], None]
"""Shows the share that is done (None: unknown) and a text."""


def line(label: str, text: str = "") -> None:
    """Prints one line of the result; continuation lines have an empty label."""
    click.echo(f"{label:<{LABEL}}{text}".rstrip())


def columns() -> int:
    """Returns the columns that a table may take in this terminal; 80 where there is none."""
    return min(WIDEST, shutil.get_terminal_size().columns)


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
