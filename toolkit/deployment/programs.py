"""Runs the programs that a proof needs, each to its end, and quotes those that fail."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from toolkit.errors import LONGEST, EnvironmentFault, TargetError, full_disk, lines, signal_name
from toolkit.units import Seconds

LEAKS = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PYTHONSAFEPATH", "NODE_PATH", "NODE_OPTIONS")
"""Variables by which something of toolkit's environment would reach into a clean one."""

INSTALL: Seconds = 900
"""The limit for one installation or build: the largest, PyTorch for ExecuTorch, is a download of
hundreds of megabytes."""
RUN: Seconds = 300
"""The limit for one run of a client on all feeds."""


def find(name: str, *cures: str) -> str:
    """Returns the path of a program. Raises EnvironmentFault where there is none."""
    path = shutil.which(name)
    if path is None:
        raise EnvironmentFault(f"there is no {name} on the PATH", *cures)
    return path


def prepare(command: Sequence[str | Path], folder: Path, **variables: str) -> str:
    """Runs a program that installs or builds, in `folder`, with the user's own settings for the
    network; returns its output.

    Raises EnvironmentFault where it fails: the machine is at fault then, and not the client.
    """
    kept = {key: value for key, value in os.environ.items() if key not in LEAKS}
    code, output = _run(command, folder, {**kept, **variables}, INSTALL)
    if code != 0:
        if (full := full_disk(output, folder)) is not None:
            raise full
        raise EnvironmentFault(f"{_name(command)} {_ending(code, INSTALL)}: {_error_line(output)}")
    return output


def run(command: Sequence[str | Path], folder: Path, home: Path, **variables: str) -> str:
    """Runs a client in `folder` as a user of the folder does: no variable of this session reaches
    it, and `home` is its user's home. Returns its output.

    Raises TargetError where it fails.
    """
    home.mkdir(parents=True, exist_ok=True)
    own = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(home), "LANG": "C.UTF-8"}
    code, output = _run(command, folder, {**own, **variables}, RUN)
    if code != 0:
        error = TargetError(f"the client {_ending(code, RUN)}: {_error_line(output)}")
        error.last_words = tuple(lines(output)[-5:])
        raise error
    return output


def _run(
    command: Sequence[str | Path], folder: Path, env: Mapping[str, str], limit: Seconds
) -> tuple[int | None, str]:
    """Returns the exit code, None where the time was up, and all that was printed."""
    with subprocess.Popen(
        [str(part) for part in command],
        cwd=folder,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            _kill(process)
            output, _ = process.communicate()
            return None, output.decode(errors="replace")
        except BaseException:
            _kill(process)
            raise
    return process.returncode, output.decode(errors="replace")


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Ends the process and all that it started: it is the head of a session of its own."""
    os.killpg(process.pid, signal.SIGKILL)


def _ending(code: int | None, limit: Seconds) -> str:
    if code is None:
        return f"was stopped after {limit:g} s without an end"
    if code < 0:
        return f"crashed with {signal_name(-code)}"
    return f"ended with code {code}"


def _error_line(output: str) -> str:
    """Returns the last line that names an error, else the last line: npm and pip end with advice
    or a path of their log."""
    printed = lines(output)
    errors = [line for line in printed if "error" in line.lower()]
    return (errors or printed or ["it printed nothing"])[-1][:LONGEST]


def _name(command: Sequence[str | Path]) -> str:
    """Returns 'pip install' for '…/python -m pip install …', else the first two words."""
    words = [Path(command[0]).name, *map(str, command[1:])]
    if words[1:3] == ["-m", "pip"]:
        words = words[2:]
    return " ".join(words[:2])
