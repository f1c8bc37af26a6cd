"""Makes a fresh Python environment with what a folder's requirements.txt names."""

from __future__ import annotations

import sys
from pathlib import Path

from toolkit.deployment import programs


def fresh(folder: Path, requirements: Path) -> Path:
    """Makes the environment in `folder` and returns its Python.

    Raises EnvironmentFault where the packages cannot be had.
    """
    python = folder / "bin" / "python"
    # Apart: venv by itself keeps what ensurepip says, and tells its exit code alone.
    programs.prepare([sys.executable, "-m", "venv", "--without-pip", folder], folder.parent)
    programs.prepare([python, "-m", "ensurepip", "--default-pip"], folder)
    programs.prepare(
        [python, "-m", "pip", "install", "--disable-pip-version-check", "-r", requirements],
        folder,
    )
    return python
