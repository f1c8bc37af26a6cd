"""Rooms laid once, and a way to start a worker in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests import small
from toolkit.runtimes import listing
from toolkit.runtimes.base import Program
from toolkit.workers import environments, managed
from toolkit.workers.jobs import Patience, WorkerSpec
from toolkit.workers.launch import Worker

Start = Callable[..., Worker]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return small.mlp_program(small.mlp(tmp_path / "mlp.onnx"))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a worker of a runtime with options; all are stopped at the end."""
    with starting(tmp_path) as make:
        yield make


@contextmanager
def starting(folder: Path) -> Iterator[Start]:
    """Starts workers as long as it lasts; `folder` holds our code for them."""
    worker_code = environments.lay(folder / "rooms", [])
    with ExitStack() as stack:

        def make(
            runtime: str,
            provider: str = "cpu",
            *,
            env: str | None = None,
            patience: Patience | None = None,
            **options: str,
        ) -> Worker:
            listed = listing.find(runtime)
            job = WorkerSpec(listed, managed.home(listed, provider, env=env), provider, options)
            return stack.enter_context(Worker(job, worker_code, patience=patience or Patience()))

        yield make
