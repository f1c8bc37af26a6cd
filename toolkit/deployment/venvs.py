"""Makes a fresh Python environment with what a folder's requirements.txt names."""

from __future__ import annotations

import sys
from pathlib import Path

from toolkit.deployment import programs

UNHASHED = "requirements-unhashed.txt"
"""The pins beside it for which no hash holds everywhere (rule K2 of workers/locks.py)."""


def fresh(folder: Path, requirements: Path) -> Path:
    """Makes the environment in `folder` and returns its Python.

    What stands in UNHASHED beside the requirements is installed first. Raises EnvironmentFault
    where the packages cannot be had, or a file has another hash.
    """
    python = folder / "bin" / "python"
    # Apart: venv by itself keeps what ensurepip says, and tells its exit code alone.
    programs.prepare([sys.executable, "-m", "venv", "--without-pip", folder], folder.parent)
    programs.prepare([python, "-m", "ensurepip", "--default-pip"], folder)
    install: list[str | Path] = [python, "-m", "pip", "install", "--disable-pip-version-check"]
    install += ["--only-binary", ":all:", "--no-deps"]
    unhashed = requirements.with_name(UNHASHED)
    if unhashed.exists():
        programs.prepare([*install, "-r", unhashed], folder)
    programs.prepare([*install, "--require-hashes", "-r", requirements], folder)
    return python
