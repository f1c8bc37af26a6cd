"""Makes the environment that the peers run in: none of their packages comes into toolkit's own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(__file__).parent / "programs"
REQUIREMENTS = ROOT / "benchmarks/peers-requirements.txt"
VENV = ROOT / "build/peers/venv"
PYTHON = VENV / "bin/python"
MADE = VENV / "made-from.txt"
"""The requirements that it was made from: another text makes it anew."""


def make() -> None:
    """Makes the environment where it is missing or was made from other requirements."""
    wanted = REQUIREMENTS.read_text()
    if MADE.exists() and MADE.read_text() == wanted:
        return
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True)
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pinned = ["--constraint", str(ROOT / "constraints.txt"), "--requirement", str(REQUIREMENTS)]
    subprocess.run([*pip, *pinned], check=True)
    MADE.write_text(wanted)  # Last: an installation that was cut off is made anew.


def version(package: str) -> str:
    """The version of one of the requirements, which are all pinned."""
    pins = dict(line.split("==") for line in REQUIREMENTS.read_text().split() if "==" in line)
    return pins[package]


def variables() -> dict[str, str]:
    """The variables of a process in it, which finds our code.

    That code needs nothing but numpy and the runtimes.
    """
    return {**os.environ, "PYTHONPATH": str(ROOT)}
