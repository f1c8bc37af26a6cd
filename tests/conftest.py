"""What all tests share: one thread, and the guard over the tests that start no process."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

# One thread: the tests run side by side, and no number here may depend on the number of cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

STARTS = frozenset(
    {"subprocess.Popen", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"}
)
"""The audit events of CPython that come before a process is started (docs: Audit events table)."""

FREE = ("process", "export", "slow")
"""Marks whose tests may start processes. `make check` runs the tests that have none of them."""

_path: set[str] = set()
"""The folders that Python imports from before any test ran."""

_guarded: list[str] = []
"""The test that runs now and may start no process, by its id; empty otherwise."""


def pytest_configure() -> None:
    """Lets no garbage be looked for while the tests are collected: next to nothing that the imports
    of a thousand modules make is any, and the looks took a quarter of that time."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Looks for garbage from here on, and never again among what stays until the end."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that opens a browser starts a process too. What imports need is known by now."""
    _path.update(sys.path)
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker("process")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(
    item: pytest.Item, nextitem: pytest.Item | None
) -> Generator[None, object, object]:
    """Watches a test, with the set-up and the tear-down of its fixtures."""
    if not any(item.get_closest_marker(mark) for mark in FREE):
        _guarded.append(item.nodeid)
    try:
        return (yield)
    finally:
        _guarded.clear()
        if nextitem is None or nextitem.path != item.path:
            _forget_folders()


def _forget_folders() -> None:
    """Takes back what the tests of a file left for imports: the next file's net.py is its own."""
    left = {folder for folder in sys.path if folder not in _path}
    sys.path[:] = [folder for folder in sys.path if folder not in left]
    for name, module in [*sys.modules.items()]:
        file = getattr(module, "__file__", None)
        if file and any(Path(file).is_relative_to(folder) for folder in left):
            del sys.modules[name]


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    if event in STARTS and _guarded:
        pytest.fail(f"starts a process without @pytest.mark.process: {event} {arguments[0]!r}")


# It stays for the life of the process: Python lets no audit hook be removed.
sys.addaudithook(_refuse)
