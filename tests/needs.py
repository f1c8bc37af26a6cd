"""What a test needs of the machine. In CI its absence fails; elsewhere it skips with the reason."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

from toolkit.errors import EnvironmentFault
from toolkit.runtimes import listing
from toolkit.workers import managed


def program(name: str) -> str:
    """The path of a program."""
    found = shutil.which(name)
    if found is None:
        absent(f"there is no {name} on the PATH")
    return found


def runtime(name: str) -> None:
    """An environment of a runtime."""
    try:
        managed.home(listing.find(name), "cpu")
    except EnvironmentFault as error:
        absent(f"{error.what}; {error.cures[0]}")


def absent(reason: str) -> NoReturn:
    """Skips, or fails where nothing may be skipped."""
    if os.environ.get("TOOLKIT_NO_SKIP"):
        pytest.fail(f"must not be skipped here: {reason}")
    pytest.skip(reason)


def bfloat16_products() -> bool:
    """Whether oneDNN multiplies in bfloat16 here: the processor can, and no switch masks it."""
    masked = "ONEDNN_MAX_CPU_ISA" in os.environ
    return not masked and "avx512_bf16" in Path("/proc/cpuinfo").read_text()
