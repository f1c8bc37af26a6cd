"""`toolkit report`: shows a run again."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from toolkit import plaintext
from toolkit.cli import options, screen
from toolkit.cli.values import DURATION

if TYPE_CHECKING:
    from toolkit.report.view import View

REPORTS = Path("reports")
FORMATS = ("terminal", "markdown", "html", "csv", "json")
PAGE = "report.html"
STDOUT = Path("-")
IN_A_FILE = 80
"""Columns of the terminal's table where no terminal shows it: the customary width of one."""

EXAMPLES = """\b
Examples:
  toolkit report
  toolkit report --list
  toolkit report reports/latest --format csv -o run.csv
"""


@click.command("report", epilog=EXAMPLES)
@click.argument("run", required=False, type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="terminal",
    show_default=True,
    help="The form to show it in.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, allow_dash=True, dir_okay=False),
    help="Write to this file; - is stdout. Without it html goes into the run's folder.",
)
@click.option("--timeout", type=DURATION, help="The limit for reading and drawing, such as 600s.")
@options.memory_bound
@click.option(
    "--list",
    "as_list",
    is_flag=True,
    help="List the runs under RUN, default ./reports, the newest first.",
)
@click.option("--schema", is_flag=True, help="Print the JSON Schema of run.json, and nothing else.")
def command(
    run: Path | None,
    form: str,
    output: Path | None,
    timeout: float | None,
    as_list: bool,
    schema: bool,
) -> None:
    """Show a run again, or list the runs that are there.

    RUN is the folder of a run or its run.json; without one it is the newest under ./reports.
    """
    if schema:
        import json

        from toolkit.report.published import json_schema

        screen.json(json.dumps(json_schema(), indent=2))
        return
    from toolkit.supervision import progress

    with progress.bounded(timeout):
        if as_list:
            _list(run or REPORTS, form, output)
        else:
            _show(run, form, output)


def _list(root: Path, form: str, output: Path | None) -> None:
    """Lists the runs under a folder; what cannot be read is named on stderr."""
    import dataclasses
    import json

    from toolkit.errors import RunError, ToolkitError
    from toolkit.records import store
    from toolkit.report import overview
    from toolkit.supervision import progress

    if form not in ("terminal", "json"):
        raise click.UsageError("--list is shown by --format terminal or json")
    runs, unread = [], []
    for folder in store.runs(root):
        progress.step(f"reading {folder.name}")
        try:
            runs.append(overview.listed_run(folder.name, store.read(folder)))
        except ToolkitError as error:
            unread.append(f"{folder.name}: {error.what}")
    screen.left_out(unread)
    runs.sort(key=lambda each: each.started, reverse=True)
    if not runs:
        raise RunError(f"there is no run in {root}", "toolkit bench    makes one")
    if form == "json":
        text = json.dumps([dataclasses.asdict(each) for each in runs], indent=2)
        emit(f"{text}\n", output)
    else:
        emit(overview.terminal(runs, screen.columns()), output)


def _show(run: Path | None, form: str, output: Path | None) -> None:
    """Reads a run and shows it. A stranger may have made it: all this is within limits."""
    from toolkit.records import store
    from toolkit.report.summary import summarize
    from toolkit.supervision import progress

    path = store.newest(REPORTS) if run is None else _found(run)
    record = store.read(path)
    screen.left_out(store.damage(path))
    folder = path if path.is_dir() else path.parent
    if form == "json":
        if output in (None, STDOUT):
            screen.json(store.encode(record).decode())
        else:
            emit(store.encode(record).decode(), output)
        return
    samples = store.read_samples(folder)
    progress.step("summing the run up")
    view = summarize(record, samples)
    if form == "terminal":
        if output in (None, STDOUT):
            screen.say(on_screen(view, output), end="", styled=True)
        else:
            emit(on_screen(view, output), output)
    elif form == "csv":
        from toolkit.report import csv

        emit(csv.render(view), output)
    elif form == "markdown":
        as_markdown(view, output)
    else:
        as_page(view, output or folder / PAGE)


def _found(run: Path) -> Path:
    """The folder of a run; a name that `--list` prints is looked for under ./reports too."""
    listed = REPORTS / run
    return listed if not run.exists() and listed.exists() else run


def as_markdown(view: View, output: Path | None) -> None:
    """Prints the text alone; into a file it is written with its plots beside it."""
    from toolkit.report import files, markdown

    if output is None or output == STDOUT:
        emit(markdown.render(view), None)
    else:
        files.write_markdown(view, output)


def as_page(view: View, output: Path) -> None:
    """Writes the page and prints its path, so that it can be opened."""
    from toolkit.report import files, page

    if output == STDOUT:
        emit(page.render(view), None)
    else:
        screen.say(plaintext.line(str(files.write_page(view, output))))


def on_screen(view: View, output: Path | None) -> str:
    """Returns the terminal's table, as wide as the terminal is; colour only there."""
    from toolkit.report import terminal

    shown = output is None and sys.stdout.isatty()
    columns = screen.columns() if shown else IN_A_FILE
    return terminal.render(view, columns=columns, colour=shown and not os.environ.get("NO_COLOR"))


def emit(text: str, output: Path | None) -> None:
    """Prints a text that a program may read, or writes it whole into a file."""
    if output is None or output == STDOUT:
        screen.data(text)
        return
    from toolkit.records import untrusted

    untrusted.write(output, text.encode())
