"""Programs that are run to prove a folder, each to its end, with its last words where it fails."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from toolkit.errors import LONGEST, EnvironmentFault, TargetError, lines
from toolkit.units import Seconds

OURS = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PYTHONSAFEPATH", "NODE_PATH", "NODE_OPTIONS")
"""Variables by which something of this environment would reach into a clean one."""

INSTALL: Seconds = 900
RUN: Seconds = 300


def find(name: str, *cures: str) -> str:
    """The path of a program. Raises EnvironmentFault where there is none."""
    found = shutil.which(name)
    if found is None:
        raise EnvironmentFault(f"there is no {name} on the PATH", *cures)
    return found


def prepare(command: Sequence[str | Path], folder: Path, **more: str) -> str:
    """Runs what installs or builds, with the user's own settings for the network; its output.

    Raises EnvironmentFault where it fails: that is this machine's fault and not the client's.
    """
    kept = {key: value for key, value in os.environ.items() if key not in OURS}
    code, text = _run(command, folder, {**kept, **more}, INSTALL)
    if code != 0:
        raise EnvironmentFault(f"{_name(command)} {_ended(code)}: {_last_word(text)}")
    return text


def run(command: Sequence[str | Path], folder: Path, home: Path, **more: str) -> str:
    """Runs a client as a user of the folder does: nothing of this session reaches it.

    Raises TargetError where it fails.
    """
    home.mkdir(parents=True, exist_ok=True)
    own = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(home), "LANG": "C.UTF-8"}
    code, text = _run(command, folder, {**own, **more}, RUN)
    if code != 0:
        error = TargetError(f"the client {_ended(code)}: {_last_word(text)}")
        error.last_words = tuple(lines(text)[-5:])
        raise error
    return text


def _run(
    command: Sequence[str | Path], folder: Path, env: Mapping[str, str], limit: Seconds
) -> tuple[int | None, str]:
    """Exit code (None: it was ended for its time) and all that was printed."""
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
            out, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            _end(process)
            out, _ = process.communicate()
            return None, out.decode(errors="replace")
        except BaseException:
            _end(process)
            raise
    return process.returncode, out.decode(errors="replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    """With all that it started: it is the head of its own session."""
    os.killpg(process.pid, signal.SIGKILL)


def _ended(code: int | None) -> str:
    if code is None:
        return "did not come to an end"
    if code < 0:
        return f"died of {signal.Signals(-code).name}"
    return f"ended with code {code}"


def _last_word(text: str) -> str:
    """The line that says what: the last that names an error, else the last."""
    said = lines(text)
    named = [line for line in said if "error" in line.lower()]
    return (named or said or ["it said nothing"])[-1][:LONGEST]


def _name(command: Sequence[str | Path]) -> str:
    """'pip install' of '…/python -m pip install …'."""
    words = [Path(command[0]).name, *map(str, command[1:])]
    if words[1:3] == ["-m", "pip"]:
        words = words[2:]
    return " ".join(words[:2])
