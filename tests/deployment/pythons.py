"""Python environments for clients that cost nothing: they see the packages of the tests' own."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import textwrap
from collections.abc import Callable
from pathlib import Path

from toolkit.deployment.base import MakePython


def shared(folder: Path, requirements: Path) -> Path:
    """A new environment that sees our packages. What is required must be among them."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    _packages(folder).joinpath("own.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin" / "python"


SILENT = "import os\nos.environ['ORT_DISABLE_TELEMETRY'] = '1'\n"
"""What the client does first: our program runs before it."""


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
