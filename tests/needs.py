"""What a test needs of the machine. In CI its absence fails; elsewhere it skips with the reason."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def program(name: str) -> str:
    """The path of a program."""
    found = shutil.which(name)
    if found is None:
        absent(f"there is no {name} on the PATH")
    return found


def absent(reason: str) -> NoReturn:
    """Skips, or fails where nothing may be skipped."""
    if os.environ.get("TOOLKIT_NO_SKIP"):
        pytest.fail(f"must not be skipped here: {reason}")
    pytest.skip(reason)
