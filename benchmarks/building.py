"""Compiles the bare loop in C, with the headers that `toolkit deploy` proves its C++ client by."""

from __future__ import annotations

import os
from pathlib import Path

from toolkit.deployment import headers, programs

SOURCE = Path(__file__).parent / "bare" / "bare" / "loop.c"
BUILT = SOURCE.with_suffix(".so")
FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-shared", "-fPIC")


def build() -> Path:
    """Compiles the loop where it is not; returns its library.

    It lies beside its source, so that it is copied with the plug-in's folder.

    Raises EnvironmentFault without a compiler or the headers.
    """
    if BUILT.exists() and BUILT.stat().st_mtime > SOURCE.stat().st_mtime:
        return BUILT
    compiler = programs.find("gcc", "apt install gcc")
    include = headers.prefix() / "include" / "onnxruntime"
    # Renamed when it is whole: two programs may build at once.
    beside = BUILT.with_name(f".{BUILT.name}-{os.getpid()}")
    programs.prepare([compiler, *FLAGS, f"-I{include}", SOURCE, "-o", beside], SOURCE.parent)
    beside.replace(BUILT)
    return BUILT
