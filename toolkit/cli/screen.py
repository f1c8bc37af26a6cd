"""Prints: all that a command writes to a terminal goes through `say` or `data`, and is safe there.

Results go to stdout, progress and errors to stderr. Names of a model, of a record and of files, and
the words of libraries may hold control characters, which a terminal obeys. They are replaced here,
at the last moment, so that no caller can forget it; tests/cli/test_screen.py holds that no other
file of the command line writes.
"""

from __future__ import annotations

import io
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import click

from toolkit import plaintext

LABEL = 9
"""Width of the first column: that of the longest command's name, and a space."""
PAUSE = 10.0
"""Seconds between two lines of progress in a pipe."""
WIDEST = 120
"""Columns that a table takes at most: beyond, eyes lose the line."""

Draw: TypeAlias = Callable[[float | None, str], None]
"""Shows the share that is done (None: unknown) and a text."""


def say(text: str = "", *, err: bool = False, end: str = "\n", styled: bool = False) -> None:
    """Prints text for people, on the lines that it has, without control characters.

    Where it is `styled` by report/terminal.py and stdout is a terminal, those styles stay.
    """
    keeps = styled and sys.stdout.isatty()
    _write(plaintext.lines(text, styled=keeps) + end, err=err)


def data(text: str) -> None:
    """Prints what a program may read, to the letter; on a terminal without control characters."""
    _write(plaintext.lines(text) if sys.stdout.isatty() else text)


def json(text: str) -> None:
    """Prints JSON; it has the same values, and no control characters, wherever it goes."""
    _write(plaintext.json_text(text.rstrip("\n")) + "\n")


def line(label: str, text: str = "") -> None:
    """Prints one line of the result; continuation lines have an empty label."""
    say(f"{label:<{LABEL}}{plaintext.line(text)}".rstrip())


def error(what: str, cures: Iterable[str] = ()) -> None:
    """Prints what is wrong in one line, then a line for each thing to do."""
    say(plaintext.line(f"error: {what}"), err=True)
    for cure in cures:
        say(plaintext.line(f"  {cure}"), err=True)


def usage(mistake: click.ClickException) -> None:
    """Prints what click says of a command that was typed wrongly, and quotes."""
    text = io.StringIO()
    mistake.show(file=text)
    say(text.getvalue(), err=True, end="")


def confirmed(text: str) -> bool:
    """Asks at a terminal; no is the default."""
    return click.confirm(plaintext.line(text), default=False, err=True)


def secret(text: str) -> str:
    """Asks at a terminal for what nobody may read there."""
    answer: str = click.prompt(plaintext.line(text), hide_input=True, err=True)
    return answer


def left_out(texts: Iterable[str]) -> None:
    """Names on stderr what cannot be read and is not shown, a line each."""
    for text in texts:
        say(plaintext.line(f"left out: {text}"), err=True)


def columns() -> int:
    """Returns the columns that a table may take in this terminal; 80 where there is none."""
    return min(WIDEST, shutil.get_terminal_size().columns)


def restore() -> None:
    """Clears the status line of a process that was ended by force, and shows the cursor again."""
    if sys.stderr.isatty():
        _write("\r\x1b[2K\x1b[?25h", err=True)


@contextmanager
def progress(label: str) -> Iterator[Draw]:
    """Shows a status line on stderr while something long runs; in a pipe or in CI a line every ten
    seconds, so that nobody takes a long command for a dead one.

    Yields the function that draws it. It draws only when it is called: a thread that refreshes the
    line would run beside a measurement.
    """
    from toolkit.supervision import progress as steps

    if not sys.stderr.isatty():
        tell = _in_lines(label)
        with steps.listening(tell):
            yield tell
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
            # rich lets most control characters through.
            safe = escape(plaintext.line(text))
            bar.update(task, total=total, completed=done, description=safe, refresh=True)

        with steps.listening(draw):
            yield draw


def _in_lines(label: str) -> Draw:
    """Draws a line where the last one is ten seconds ago."""
    shown = time.monotonic()

    def tell(share: float | None, text: str) -> None:
        nonlocal shown
        now = time.monotonic()
        if now - shown >= PAUSE:
            shown = now
            done = "" if share is None else f"{share:.0%} · "
            say(plaintext.line(f"{label:<{LABEL}}{done}{text}"), err=True)

    return tell


@contextmanager
def long_progress(label: str) -> Iterator[Draw]:
    """Shows progress as `progress` does, with the time that is left."""
    began = time.monotonic()
    with progress(label) as draw:

        def tell(share: float | None, text: str) -> None:
            left = (time.monotonic() - began) * (1 - share) / share if share else None
            draw(share, text if left is None else f"{text} · about {left:.0f} s left")

        yield tell


def _write(text: str, *, err: bool = False) -> None:
    """Writes a text as it stands. Letters that the terminal's encoding lacks become question marks,
    and so do surrogates, of which no file or pipe takes any."""
    encoding = (sys.stderr if err else sys.stdout).encoding or "utf-8"
    click.echo(text.encode(encoding, "replace").decode(encoding), nl=False, err=err)
