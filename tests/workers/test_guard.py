"""A process ends with the one that started it, and so does all that it started itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests import command
from toolkit.workers import guard

NESTED = "sleep 1000 & sleep 1001 & wait"
PARENT = f"""
import os
from toolkit.workers import guard
guard.run(["/bin/sh", "-c", {NESTED!r}], env=os.environ)
"""


def sleepers(parent: psutil.Process) -> list[psutil.Process]:
    return [one for one in parent.children(recursive=True) if one.name() == "sleep"]


@pytest.mark.process
@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_children_of_children_end_with_the_process_that_started_them(by: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT],
        cwd=Path.cwd(),
        stderr=subprocess.DEVNULL,
        # A shell that starts pytest in the background has told all its children to ignore ^C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        parent = psutil.Process(process.pid)
        command.until(lambda: len(sleepers(parent)) == 2)
        started = parent.children(recursive=True)
        process.send_signal(by)
        process.wait()

    _, alive = psutil.wait_procs(started, timeout=10)
    assert alive == []


@pytest.mark.process
def test_a_command_that_ends_by_itself_gives_its_words_and_leaves_no_shell() -> None:
    before = psutil.Process().children()

    done = guard.run(["/bin/sh", "-c", "echo out; echo err >&2; exit 3"], env=os.environ)

    assert (done.returncode, done.stdout, done.stderr) == (3, "out\n", "err\n")
    assert psutil.Process().children() == before
