"""Describes a peer: a way to measure a pair of targets, and what it costs."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks.peers import environment

KINDS = {"A/A": 0.0, "2 %": 0.02, "3 %": 0.03}
"""Kind of pair → the share by which its second target is planted to be slower."""

SECONDS = 5
"""The time of a target. A pair has twice that, as in `benchmarks.trust`."""


@dataclass(frozen=True)
class Reading:
    """The outcome of one measurement of a pair."""

    ratio: float
    """Time of the second target by that of the first."""
    differs: bool | None = None
    """True where the two differ by the tool's own words; None: it leaves that to its user."""
    share: float = 1.0
    """The part of what it times that the calls are."""


Measure = Callable[[float, Path], Mapping[str, Reading]]
"""Measures a pair; takes the planted share and an empty folder, gives readings by their names."""


@dataclass(frozen=True)
class Peer:
    """One tool with its settings."""

    measure: Measure
    version: Callable[[], str]
    takes: float
    """The seconds that a measurement takes, about."""
    wanted: Mapping[str, int]
    """Kind → measurements."""


def percent(slower: float) -> str:
    """Writes a share as the option `slower` of the planted runtime takes it: 0.02 → '2%'."""
    return f"{slower:.0%}"


def program(name: str, *words: str) -> list[str]:
    """The command that starts one of our programs in the environment of the peers."""
    return [str(environment.PYTHON), str(environment.PROGRAMS / f"{name}.py"), *words]


def output(command: Sequence[str], folder: Path) -> str:
    """Runs a command and returns what it prints.

    Raises ClickException with its last line where it fails.
    """
    ended = subprocess.run(
        command, cwd=folder, env=environment.variables(), capture_output=True, text=True
    )
    if ended.returncode:
        last = (ended.stderr.strip() or ended.stdout.strip() or "no word").splitlines()[-1]
        raise click.ClickException(f"{Path(command[0]).name} failed: {last}")
    return ended.stdout
