"""How a command's lines look: a label, then what it says.

Results go to stdout, progress to stderr.
"""

from __future__ import annotations

import shutil
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
    width = 20

    def draw(share: float | None, text: str) -> None:
        bar = (
            ""
            if share is None
            else "━" * round(share * width) + "╌" * (width - round(share * width))
        )
        room = shutil.get_terminal_size().columns
        row = f"{label:<{LABEL}}{bar} {text}"[: room - 1]
        sys.stderr.write(f"\r\x1b[2K{row}")
        sys.stderr.flush()

    try:
        yield draw
    finally:
        sys.stderr.write("\r\x1b[2K")
        sys.stderr.flush()
