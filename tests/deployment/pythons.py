"""Python environments for clients that cost nothing: they see the packages of the tests' own."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import textwrap
from collections.abc import Callable
from pathlib import Path

from tests import needs
from toolkit.deployment.base import MakePython
from toolkit.errors import EnvironmentFault
from toolkit.runtimes import listing
from toolkit.workers import managed
from toolkit.workers.environments import PythonEnvironment


def shared(folder: Path, requirements: Path) -> Path:
    """A new environment that sees our packages. What is required must be among them."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    _packages(folder).joinpath("own.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin" / "python"


def managed_of(runtime: str) -> MakePython:
    """One that sees the packages of a runtime's own environment. Skips where there is none."""
    try:
        environment = managed.home(listing.find(runtime), "cpu")
    except EnvironmentFault as error:
        needs.absent(f"{error.what}; {error.cures[0]}")
    assert isinstance(environment, PythonEnvironment)

    def make(folder: Path, requirements: Path) -> Path:
        subprocess.run([environment.python, "-m", "venv", "--without-pip", folder], check=True)
        theirs = subprocess.run(
            [
                environment.python,
                "-c",
                "import json, sysconfig as s; print(json.dumps(s.get_paths()))",
            ],
            capture_output=True,
            check=True,
        )
        packages = json.loads(theirs.stdout)["purelib"]
        _packages(folder).joinpath("managed.pth").write_text(f"{packages}\n")
        return folder / "bin" / "python"

    return make


SILENT = "import os\nos.environ['ORT_DISABLE_TELEMETRY'] = '1'\n"
"""The client's own first line: a program that is planted runs before the client."""


def changed(program: str) -> MakePython:
    """One in which `program` runs before the client does."""

    def make(folder: Path, requirements: Path) -> Path:
        python = shared(folder, requirements)
        text = SILENT + textwrap.dedent(program)
        (_packages(folder) / "sitecustomize.py").write_text(text)
        return python

    return make


def refusing(error: Exception) -> Callable[[Path, Path], Path]:
    """One that cannot be made."""

    def make(folder: Path, requirements: Path) -> Path:
        raise error

    return make


def _packages(folder: Path) -> Path:
    return next((folder / "lib").glob("python*/site-packages"))
