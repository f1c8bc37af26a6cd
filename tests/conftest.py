"""What all tests share: one thread, and the guard over the tests that start no process."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator

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

_guarded: list[str] = []
"""The test that runs now and may start no process, by its id; empty otherwise."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that opens a browser starts a process too."""
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker("process")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Watches a test, with the set-up and the tear-down of its fixtures."""
    if not any(item.get_closest_marker(mark) for mark in FREE):
        _guarded.append(item.nodeid)
    try:
        return (yield)
    finally:
        _guarded.clear()


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    if event in STARTS and _guarded:
        pytest.fail(f"starts a process without @pytest.mark.process: {event} {arguments[0]!r}")


# It stays for the life of the process: Python lets no audit hook be removed.
sys.addaudithook(_refuse)
