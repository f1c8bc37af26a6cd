"""What every peer is: a name, and a way to measure the pair."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks.peers import environment

KINDS = {"A/A": 0.0, "2 %": 0.02, "3 %": 0.03}
"""Pairs, by what is planted in the second target."""

SECONDS = 5
"""Of a target. A pair has twice that, as in `benchmarks.trust`."""


@dataclass(frozen=True)
class Reading:
    """What one measurement said of the pair."""

    ratio: float
    """Time of the second target by that of the first."""
    differs: bool | None = None
    """By the tool's own words; None: it leaves that to its user."""
    share: float = 1.0
    """Of what it times, the part that the calls are."""


Measure = Callable[[float, Path], Mapping[str, Reading]]
"""From the planted share and an empty folder to the readings, by their names."""


@dataclass(frozen=True)
class Peer:
    """One tool with its settings."""

    measure: Measure
    version: Callable[[], str]
    takes: float
    """Seconds of a measurement, about."""
    wanted: Mapping[str, int]
    """Kind → measurements."""


def percent(slower: float) -> str:
    """0.02 → '2%': as the option `slower` of the planted runtime takes it."""
    return f"{slower:.0%}"


def program(name: str, *words: str) -> list[str]:
    """The command that starts one of our programs in the environment of the peers."""
    return [str(environment.PYTHON), str(environment.PROGRAMS / f"{name}.py"), *words]


def output(command: Sequence[str], folder: Path) -> str:
    """What it prints. Raises ClickException with its last line where it fails."""
    done = subprocess.run(
        command, cwd=folder, env=environment.variables(), capture_output=True, text=True
    )
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no word").splitlines()[-1]
        raise click.ClickException(f"{Path(command[0]).name} failed: {last}")
    return done.stdout
