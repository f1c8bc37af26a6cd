"""The command line: one thin file for each command. No other room imports click, prints or exits.

Exit codes: 0 done, 1 the user's error or a failed check, 2 usage, 3 our bug, 130 interrupted: ^C,
SIGTERM or SIGHUP.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TextIO

import click

from toolkit import __version__, plaintext
from toolkit.cli import screen
from toolkit.errors import ToolkitError, full_disk, unknown

COMMANDS = {
    "run": "the whole chain on the reference model: train, export, check, bench, report",
    "train": "train the reference MLP",
    "export": "PyTorch model → proven .onnx",
    "check": "is the file right, on every runtime here?",
    "bench": "how fast, against which, and are the answers right?",
    "deploy": "a folder that runs elsewhere, with proof",
    "compare": "is the new file, version or run as good, and how much faster?",
    "conformance": "ONNX's own operator tests, on the oracle and on every runtime",
    "report": "show a run again: terminal, Markdown, HTML, CSV",
    "runtimes": "which runtimes are here; environments for more of them",
    "doctor": "what is wrong with this installation or machine, and the cure",
    "completion": "the completion of bash, zsh or fish, for its start-up file",
}

SUPERVISED = {"run", "export", "check", "bench", "deploy", "compare", "conformance", "report"}
"""Commands that read a model or a record, or run a model's code: each runs in a process that this
one watches over."""

AGAIN = """
import sys
root = sys.argv.pop(1)
sys.path.insert(0, root)
import toolkit.cli
sys.path.remove(root)
toolkit.cli.main()
"""
"""Runs the very files of this process: whatever else is called toolkit, and wherever it is started.
The current folder is on no path of the new process."""


class Lazy(click.Group):
    """Imports a command's file only when the command is used, so that --help stays fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"toolkit.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            raise click.UsageError(unknown("command", args[0], COMMANDS), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=Lazy,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with: toolkit run",
)
@click.version_option(__version__, prog_name="toolkit")
def root() -> None:
    """Takes a PyTorch model to a proven, measured .onnx on any runtime."""


def main() -> None:
    """Runs the `toolkit` command, and turns every error into a text and an exit code."""
    warnings.showwarning = _told(warnings.showwarning)
    sys.excepthook = _traced
    try:
        code = _run()
    except ToolkitError as error:
        complain(full_disk(error) or error)
        code = 1
    except click.ClickException as error:
        screen.usage(error)
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort) as error:
        screen.say("interrupted", err=True)
        # click raises its Abort from the KeyboardInterrupt, whose notes say what was kept.
        for note in getattr(error.__cause__ or error, "__notes__", ()):
            screen.say(plaintext.line(f"  {note}"), err=True)
        code = 130
        _leave_if_watched(code)
    except BrokenPipeError:
        # The reader of our output went away, as `| head` does. Python would complain once more when
        # it flushes stdout at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except Exception as error:  # The last handler: whatever comes here is a bug of ours.
        if os.environ.get("TOOLKIT_TRACE") and not isinstance(error, MemoryError):
            raise
        code = _unforeseen(error)
    # Python looks for garbage once more at its end; behind an export that takes a second.
    gc.freeze()
    sys.exit(code if isinstance(code, int) else 0)


def _run() -> int | None:
    """Runs the command that was typed: here, or in a process that this one watches over.

    The help of a command is told here, and so is what is wrong with how it was typed.
    """
    typed = sys.argv[1:]
    if not typed or typed[0] not in SUPERVISED or set(typed) & {"-h", "--help"}:
        return _here_alone()
    from toolkit.supervision import interrupts, limits, progress

    if progress.join():
        interrupts.hear_once()
        # Before memory is scarce: what tells that needs some.
        importlib.import_module("toolkit.supervision.exhausted")
        limits.apply()
        return _here()
    from toolkit.supervision import parent

    root = str(Path(__file__).parent.parent.parent)
    try:
        return parent.supervise([sys.executable, "-P", "-c", AGAIN, root, *typed])
    except (parent.Ended, KeyboardInterrupt):  # It could not clear its own status line.
        screen.restore()
        raise


def _leave_if_watched(code: int) -> None:
    """Ends the process that works without freeing what it holds, which takes time.

    All that stood in the way of ^C has been left in order by now, and its folder for temporary
    files goes with the process that watches over it.
    """
    from toolkit.supervision import progress

    if progress.is_watched():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _here_alone() -> int | None:
    """Runs a command that nobody watches over."""
    from toolkit.supervision import interrupts

    interrupts.hear_ends()
    return _here()


def _told(usual: Callable[..., None]) -> Callable[..., None]:
    """Shows a warning about the cache in one line, and any other with its place, as usual."""

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if category.__name__ == "CacheWarning":  # Not imported: most commands need no cache.
            screen.say(plaintext.line(f"warning: {message}"), err=True)
        elif file is not None:
            usual(message, category, filename, lineno, file, line)
        else:
            text = warnings.formatwarning(message, category, filename, lineno, line)
            screen.say(text, err=True, end="")

    return show


def _traced(
    category: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Prints the trace of a bug as Python does."""
    screen.say("".join(traceback.format_exception(category, error, trace)), err=True, end="")


def _here() -> int | None:
    code: int | None = root.main(prog_name="toolkit", standalone_mode=False)
    return code


def _unforeseen(error: Exception) -> int:
    """Tells an error that nobody foresaw. A full disk is the user's to mend, wherever it shows, and
    so is a memory that does not suffice; all else is our bug."""
    from toolkit.supervision import exhausted

    if (told := exhausted.in_words(error)) is not None:
        complain(told)
        return 1
    what = f"a bug in toolkit: {type(error).__name__}: {error}"
    screen.error(what, ["TOOLKIT_TRACE=1 toolkit …    shows where; please report it"])
    return 3


def complain(error: ToolkitError) -> None:
    """Prints one line that says what is wrong, then a line for each thing to do."""
    screen.error(error.what, filter(_taken, error.cures))


def _taken(cure: str) -> bool:
    """Says whether a cure that is an option is one of the command that was typed.

    Errors of memory and time rise where no one knows which command asked; `export` has no --dim.
    """
    typed = sys.argv[1] if len(sys.argv) > 1 else ""
    if not cure.startswith("--") or typed not in COMMANDS:
        return True
    command = importlib.import_module(f"toolkit.cli.{typed}").command
    options = {name for parameter in command.params for name in parameter.opts}
    return cure.split()[0] in options
