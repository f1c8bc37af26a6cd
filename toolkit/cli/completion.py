"""toolkit completion: what a shell needs to complete the command's names, options and values."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from toolkit.cli import screen

SHELLS = ("bash", "zsh", "fish")


@click.command("completion", epilog="Example: toolkit completion bash >> ~/.bashrc")
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Prints what a shell needs to complete toolkit's commands, options and values.

    The shell asks `toolkit` itself for them, each time that the Tab key is pressed.
    """
    from toolkit.cli import root

    kind = get_completion_class(shell)
    assert kind is not None  # All of SHELLS are click's.
    screen.data(kind(root, {}, "toolkit", "_TOOLKIT_COMPLETE").source())
