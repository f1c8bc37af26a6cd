"""A worker that goes wrong is told by its error, and nothing of it is left running."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.workers.conftest import Start
from toolkit.errors import TargetError, WorkerDied
from toolkit.runtimes.base import Program
from toolkit.sources.source import Source
from toolkit.workers import protocol
from toolkit.workers.jobs import Patience
from toolkit.workers.launch import Worker

pytestmark = pytest.mark.process

FEED = {"input": np.random.default_rng(1).normal(size=(3, 64)).astype(np.float32)}
TYPES = {"input": "float32"}


def whole(worker: Worker, program: Program) -> None:
    """Every verb once."""
    worker.post_hello()
    worker.hello()
    worker.load_program(program)
    worker.evaluate("a", FEED, TYPES)
    worker.sample("a", 10)


@pytest.mark.parametrize("at", ["hello", "load", "bind", "answer", "sample"])
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("crash", "crashed with SIGSEGV while"),
        ("kill", "crashed with SIGKILL while"),
        ("exit", "ended by itself with exit code 0 while"),
        ("nonsense", "answered nonsense: '\\x00 not a message'"),
    ],
)
def test_a_dead_worker_is_told_by_how_it_died_and_when(
    start: Start, program: Program, fault: str, said: str, at: str
) -> None:
    worker = start("fake", fault=fault, at=at)

    with pytest.raises(WorkerDied) as caught:
        whole(worker, program)

    assert caught.value.what.startswith(said)
    assert caught.value.verb == at
    assert not psutil.pid_exists(worker.pid)


def test_a_signal_without_a_name_is_told_by_its_number(start: Start) -> None:
    worker = start("fake", fault="hang", at="hello")
    worker.post_hello()
    os.kill(worker.pid, 35)

    with pytest.raises(WorkerDied) as caught:
        worker.hello()

    assert caught.value.what.startswith("crashed with signal 35 while")


@dataclass(frozen=True)
class ShortOf(Patience):
    """Gives one verb little time and all others as much as a slow machine may need: what has to be
    done in time is nothing, since the worker hangs at that verb."""

    short: str = ""

    def of(self, verb: str) -> float:
        return 0.3 if verb == self.short else 600.0


def test_a_hanging_worker_is_ended_after_the_time_it_was_given(
    start: Start, program: Program
) -> None:
    worker = start("fake", fault="hang", at="answer", patience=ShortOf(short="answer"))

    with pytest.raises(WorkerDied) as caught:
        whole(worker, program)

    assert caught.value.what == "no answer to answer within 0.3 s"
    assert caught.value.cures == ("--timeout 600    waits longer",)
    assert not psutil.pid_exists(worker.pid)


def test_megabytes_on_stdout_disturb_no_answer(start: Start, program: Program) -> None:
    worker = start("fake", fault="flood", at="answer")

    whole(worker, program)

    assert all(len(line) <= 300 for line in worker.last_words())


def test_an_error_of_the_runtime_leaves_the_worker_alive(start: Start, program: Program) -> None:
    worker = start("onnxruntime")
    worker.post_hello()
    worker.hello()
    worker.load_program(program)

    with pytest.raises(TargetError, match=r"input 'input' takes \('batch', 64\), the feed has"):
        worker.bind("a", {"input": np.zeros((3, 63), np.float32)}, TYPES)

    assert worker.evaluate("a", FEED, TYPES)["output"].shape == (3, 2)


def test_tensors_on_their_way_do_not_stay_on_the_disk(
    start: Start, program: Program, tmp_path: Path
) -> None:
    worker = start("onnxruntime")
    whole(worker, program)

    for number in range(3):
        worker.evaluate(str(number), FEED, TYPES)
        worker.answer(str(number), again=False)

    assert [*tmp_path.rglob("*.npy")] == []


def test_a_program_that_is_loaded_takes_the_place_of_the_last(
    start: Start, program: Program
) -> None:
    """The calls of the first one are gone with it: they would keep its memory."""
    worker = start("onnxruntime")
    whole(worker, program)

    worker.load_program(program)

    with pytest.raises(TargetError, match="'a'"):
        worker.answer("a")
    assert worker.evaluate("a", FEED, TYPES)["output"].shape == (3, 2)


def test_the_last_words_of_a_crashed_worker_are_kept(
    start: Start, program: Program, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model at all")
    worker = start("onnxruntime")
    worker.post_hello()
    worker.hello()

    with pytest.raises(TargetError) as caught:
        worker.load_program(Program(broken, program.inputs, program.outputs))
    assert caught.value.what.startswith("InvalidProtobuf: ")
    assert any("InvalidProtobuf" in line for line in caught.value.last_words)


def test_a_kill_of_the_parent_in_the_middle_of_a_block_leaves_no_process(tmp_path: Path) -> None:
    script = textwrap.dedent(f"""
        import sys
        from pathlib import Path
        import numpy as np
        from tests import small
        from toolkit.runtimes import listing
        from toolkit.workers import environments
        from toolkit.workers.jobs import Patience, WorkerSpec
        from toolkit.workers.launch import Worker
        folder = Path({str(tmp_path)!r})
        worker_code = environments.lay(folder / "rooms", [])
        spec = WorkerSpec(listing.find("onnxruntime"), environments.find(None), "cpu", {{}})
        worker = Worker(spec, worker_code, patience=Patience())
        worker.post_hello(); worker.hello()
        worker.load_program(small.mlp_program(small.mlp(folder / "mlp.onnx")))
        worker.bind("a", {{"input": np.zeros((1, 64), np.float32)}}, {{"input": "float32"}})
        print(worker.pid, flush=True)
        worker.sample("a", 10_000_000)
    """)
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    with parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        time.sleep(0.2)  # It is in the block by then; earlier, it dies all the same.
        os.kill(parent.pid, signal.SIGKILL)
    # As generous as any machine needs: a worker that outlives its parent does so for good.
    try:
        left = [psutil.Process(child)]
    except psutil.NoSuchProcess:  # It may go between a question for it and its own.
        left = []
    _, alive = psutil.wait_procs(left, timeout=60)

    assert not alive


@pytest.mark.parametrize(
    ("runtime", "options", "told"),
    [
        ("onnxruntime", {}, (False, True)),
        ("onnxruntime", {"io": "bound"}, (False, False)),
        ("torch", {}, (False, False)),
        ("fake", {}, None),
    ],
    ids=["onnxruntime", "bound", "torch", "fake"],
)
def test_a_worker_tells_the_copies_that_its_call_holds(
    start: Start, program: Program, runtime: str, options: dict[str, str], told: object
) -> None:
    """(in, out): on the CPU inputs are read where they lie, and outputs are new arrays."""
    worker = start(runtime, **options)
    worker.post_hello()
    worker.hello()
    source = Source("toolkit.sources.reference:net")
    worker.load_program(replace(program, source=source))
    worker.bind("a", FEED, {})

    copies = worker.copies("a", 20)

    assert (copies and tuple(nanoseconds > 0 for nanoseconds in copies)) == told


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The verbs that are sent to workers."""
    verbs: list[object] = []
    send = protocol.send

    def note(pipe: int, fields: protocol.Message, limit: float) -> None:
        verbs.append(fields["verb"])
        send(pipe, fields, limit)

    monkeypatch.setattr(protocol, "send", note)
    return verbs


def test_a_worker_at_a_verb_is_ended_without_being_asked(start: Start, sent: list[object]) -> None:
    """It would not hear it before it is done."""
    worker = start("fake", fault="hang", at="hello")
    worker.post_hello()

    worker.stop()

    assert sent == ["hello"]
    assert not psutil.pid_exists(worker.pid)


def test_an_idle_worker_is_asked_to_free_its_session_but_not_after_an_interrupt(
    start: Start, sent: list[object]
) -> None:
    for interrupted in (False, True):
        worker = start("fake")
        worker.post_hello()
        worker.hello()
        with contextlib.suppress(KeyboardInterrupt), worker:
            if interrupted:
                raise KeyboardInterrupt
        assert not psutil.pid_exists(worker.pid)

    assert sent == ["hello", "close", "hello"]
