"""The worker's side of the contract of a runtime, by plug-ins that use one part of it each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from tests import plugin, small
from toolkit.errors import ShapeRefused
from toolkit.runtimes.base import Program
from toolkit.workers import environments
from toolkit.workers.jobs import Patience, WorkerSpec
from toolkit.workers.launch import Worker

pytestmark = pytest.mark.process

COUNTING = """
    from toolkit.runtimes.base import Call, Session
    import numpy as np

    class Theirs(Fake):
        warm_calls = 2

        def load(self, program, provider, options):
            return Counting()

    class Counting(Session):
        # Gives the number of its calls, and takes no more than four rows.
        def bind(self, feed):
            calls = 0

            def run():
                nonlocal calls
                calls += 1
                if len(feed["input"]) > 4:
                    raise ValueError("too many rows\\nand a page of more")
                return np.full((len(feed["input"]), 2), calls, np.float32)

            return Call(run, lambda left: {"output": left})
"""
DEPENDING = """
    import os

    class Theirs(Fake):
        environment = {"THEIRS": "at all times"}

        def environment_for(self, options):
            return {**super().environment_for(options), "US": options["us"]}

        def version(self):
            return f"{os.environ['THEIRS']}, {os.environ['US']}"
"""
LAZY = """
    from toolkit.runtimes.base import Call, Moves, Session
    import numpy as np

    class Theirs(Fake):
        def load(self, program, provider, options):
            return Lazy()

    class Lazy(Session):
        # Gives the number of times that its copies were made ready.
        made = 0

        def bind(self, feed):
            return Call(
                lambda: np.full((len(feed["input"]), 2), self.made, np.float32),
                lambda left: {"output": left},
                moves=self.ready,
            )

        def ready(self):
            self.made += 1
            return Moves(out=lambda: np.ones(1 << 16).copy())
"""
OLD = """
    from toolkit.runtimes.base import Call
    import numpy as np

    class Theirs:  # Derives from nothing of ours, and has what the first contract asked for.
        name = "elsewhere"
        distributions = ()
        requirements = ()
        provider_requirements = {}
        licence = "MIT"
        module = "numpy"
        providers = ("cpu", "cuda")
        starts_from = "model"
        options = {}
        variants = ()
        environment = {}

        def version(self):
            return "1.0"

        def library(self):
            return None

        def precision(self, options):
            return "float32"

        def load(self, program, provider, options):
            return OldSession()

    class OldSession:
        def bind(self, feed):
            return Call(lambda: np.zeros((len(feed["input"]), 2), np.float32), self.named)

        def named(self, left):
            return {"output": left}

        def placement(self):
            return Placement({"cpu": 1})

        def output_types(self):
            return {}

        def copies(self):
            return "none"

        def close(self):
            pass
"""


def feed(rows: int) -> dict[str, np.ndarray]:
    return {"input": np.zeros((rows, 64), np.float32)}


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return small.mlp_program(small.mlp(tmp_path / "mlp.onnx"))


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Starts a worker of the plug-in with this code, which has been asked to import its library."""
    with ExitStack() as stack:

        def start(body: str, **options: str) -> Worker:
            listed = plugin.package(tmp_path / "site", body)
            job = WorkerSpec(listed, environments.find(None), "cpu", options)
            rooms = environments.lay(tmp_path / "rooms", [listed])
            worker = stack.enter_context(Worker(job, rooms, patience=Patience()))
            worker.post_hello()
            return worker

        yield start


def loaded(worker: Worker, program: Program) -> Worker:
    worker.hello()
    worker.post_load(program)
    worker.load()
    return worker


def test_the_calls_in_which_a_library_compiles_are_made_when_a_feed_is_bound(
    started: Callable[..., Worker], program: Program
) -> None:
    worker = loaded(started(COUNTING), program)

    worker.bind("a", feed(1), {})
    outputs, _ = worker.answer("a")

    assert outputs["output"].tolist() == [[3, 3]]


def test_a_shape_that_fails_in_such_a_call_is_refused_in_one_line(
    started: Callable[..., Worker], program: Program
) -> None:
    worker = loaded(started(COUNTING), program)

    with pytest.raises(ShapeRefused) as caught:
        worker.bind("a", feed(5), {})
    worker.bind("b", feed(4), {})

    assert caught.value.what == "at the shape input (5, 64): ValueError: too many rows"
    assert len(worker.answer("b")[0]["output"]) == 4


def test_copies_that_need_a_call_are_made_ready_when_they_are_timed(
    started: Callable[..., Worker], program: Program
) -> None:
    worker = loaded(started(LAZY), program)

    worker.bind("a", feed(1), {})
    before, _ = worker.answer("a")
    into, out = worker.copies("a", 3) or (0.0, 0.0)
    after, _ = worker.answer("a")

    assert before["output"].tolist() == [[0, 0]]
    assert (into, out > 0) == (0, True)
    assert after["output"].tolist() == [[1, 1]]


def test_the_variables_of_a_worker_may_depend_on_its_options(
    started: Callable[..., Worker],
) -> None:
    worker = started(DEPENDING, us="20")

    assert worker.hello().version == "at all times, 20"


def test_a_plug_in_of_the_first_contract_still_runs(
    started: Callable[..., Worker], program: Program
) -> None:
    worker = started(OLD)
    hello = worker.hello()
    worker.post_load(program)
    loading = worker.load()
    worker.bind("a", feed(3), {})
    outputs, _ = worker.answer("a")

    assert (hello.providers, hello.converts) == (("cpu", "cuda"), False)
    assert loading.placement.nodes == {"cpu": 1}
    assert outputs["output"].shape == (3, 2)
