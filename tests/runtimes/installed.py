"""Where a test finds a runtime that `make test` does not install."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from toolkit.runtimes import listing


def environment(runtime: str) -> str | None:
    """The environment with the runtime: None for our own, else a folder of its name in that which
    TOOLKIT_TEST_ENVIRONMENTS names. Skips where there is neither."""
    listed = listing.find(runtime)
    module = listing.load(listed.module, listed.attribute).module
    if importlib.util.find_spec(module) is not None:
        return None
    named = os.environ.get("TOOLKIT_TEST_ENVIRONMENTS")
    folder = Path(named, runtime) if named else None
    if folder is None or not folder.is_dir():
        pytest.skip(f"{runtime} is not installed in this environment")
    return str(folder)
