"""How a command's lines look: a label, then what it says.

Results go to stdout, progress to stderr.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

LABEL = 9
"""Width of the first column."""


def line(label: str, text: str = "") -> None:
    """One line of the result; continuation lines have an empty label."""
    click.echo(f"{label:<{LABEL}}{text}".rstrip())


@contextmanager
def progress(label: str) -> Iterator[Callable[[float | None, str], None]]:
    """A status line on stderr while something long runs; nothing in a pipe or in CI.

    Yields a function of the share done (None: unknown) and a text. It draws only when it is called:
    no refresh thread runs beside a measurement.
    """
    if not sys.stderr.isatty():
        yield lambda share, text: None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn(f"{label:<{LABEL - 1}}"), BarColumn(20), TextColumn("{task.description}"))
    console = Console(stderr=True)
    # Drawn when told: a thread that refreshes would run beside a measurement.
    with Progress(*columns, console=console, auto_refresh=False, transient=True) as bar:
        task = bar.add_task("", total=None)

        def draw(share: float | None, text: str) -> None:
            total, done = (None, 0.0) if share is None else (1.0, share)
            bar.update(task, total=total, completed=done, description=escape(text), refresh=True)

        yield draw
