"""Workers that misbehave: each ends its own target, in one line and in time, and no other."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests import command, small
from tests.hostile import runtime
from tests.hostile.runtime import NAME, Reply
from tests.plugin import installed
from toolkit.errors import TargetError, WorkerDied
from toolkit.records import store
from toolkit.records.schema import Run, TargetRecord
from toolkit.runtimes.base import Program
from toolkit.tensors import TensorSpec
from toolkit.workers import environments, log, protocol, replies
from toolkit.workers.jobs import Patience, WorkerSpec
from toolkit.workers.launch import Worker
from toolkit.workers.replies import (
    AnswerReply,
    CopiesReply,
    HelloReply,
    InputsReply,
    LoadReply,
    SampleReply,
    SecondsReply,
    UsageReply,
)

pytestmark = pytest.mark.process

HELLO = {
    "version": "1.0",
    "file": None,
    "python": "3.11.0",
    "seconds": 0.1,
    "precision": "float32",
    "providers": ["cpu"],
    "starts_from": "model",
    "empty": 30.0,
    "converts": False,
}
PLACED = {"nodes": {"cpu": 1}, "elsewhere": {}, "copies": None}
LOADED = {"seconds": 0.1, "placement": PLACED, "copies": "nothing is run"}


ROW = {"name": "y", "type": "float32", "file": "FOLDER/0.npy"}
ANSWERED = {"tensors": [ROW], "seconds": 0.0}
SAMPLED = {"ns": [1], "start": 0, "switches": 0}
COPIED = {"into": 1.0, "out": None}
USED = {"resident": 1, "peak": 1}


def replied(verb: str, whole: Mapping[str, object], **changed: object) -> Reply:
    """A reply with other fields than it has to have."""
    line = json.dumps({**whole, **changed})
    return Reply(verb, line, f"answered nonsense to {verb}: ")


def answered(file: str) -> Reply:
    line = json.dumps({**ANSWERED, "tensors": [{**ROW, "file": file}]})
    return Reply("answer", line, "its outputs cannot be read: ")


REPLIES = {
    "deep": Reply("load", '{"a":' + "[" * 100_000, "answered nonsense"),
    "endless": Reply("load", "{" + " " * (5 << 20), "answered nonsense: '{   "),
    "list": Reply("load", "[1, 2]", "answered nonsense: '[1, 2]'"),
    "infinite": Reply("load", json.dumps(LOADED).replace("0.1", "1e999"), "answered nonsense to "),
    "hello-nul": replied("hello", HELLO, file="/lib/\0/numpy.py"),
    "hello-escape": replied("hello", HELLO, version="\x1b]0;owned\x07"),
    "load-nothing": replied("load", {}),
    "answer-nul": answered("FOLDER/\0.npy"),
    "answer-device": answered("/dev/zero"),
    "answer-above": answered("FOLDER/../0.npy"),
    "answer-missing": answered("FOLDER/0.npy"),
    "sample-beyond": replied("sample", SAMPLED, ns=[2**63]),
    "sample-more": Reply(
        "sample", json.dumps({**SAMPLED, "ns": [1, 2, 3]}), "gave 3 times of the "
    ),
    "copies-negative": replied("copies", COPIED, into=-1.0),
    "usage-huge": replied("usage", USED, resident=10**30),
}
"""Deed → the reply that it is."""

DEEDS = {
    "pipe": "its outputs cannot be read: an output is no regular file",
    "claims": "its outputs cannot be read: an array has not the size that its header claims",
    "negative": "its outputs cannot be read: an array has not the size that its header claims",
    "sparse": "its outputs cannot be read: ",
    "pickled": "its outputs cannot be read: an array of the type |O is no tensor",
    "linked": "its outputs cannot be read: Too many levels of symbolic links",
    "dribble": "no answer to usage within 4 s",
    "twice": "answered what nobody had asked for",
    "deaf": "no answer to usage within 4 s",
}
"""Deeds that are more than a reply → the beginning of the error that each has to be."""

WELL = ("fake,us=1000", "fake,us=1500")
STILL = "fake,us=0"
"""Its clock does not move."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One bench of every deed, between two targets that are well."""
    folder = tmp_path_factory.mktemp("hostile")
    listed = runtime.package(folder / "site", REPLIES, folder / "notes")
    small.layer(folder / "layer.onnx")
    deeds = [f"{NAME},deed={deed}" for deed in (*REPLIES, *DEEDS)]
    targets = [WELL[0], *deeds, STILL, WELL[1]]
    ended = command.run(
        *("bench", "layer.onnx", *command.QUICK, "--timeout", "4"),
        *(word for target in targets for word in ("--target", target)),
        cwd=folder,
        env={"PYTHONPATH": searched(installed(folder / "site", listed))},
    )
    assert ended.code == 1, ended.err  # Targets that were named have failed.
    assert command.workers(folder) == []
    return store.read(folder / "reports" / "latest")


def searched(site: Path) -> str:
    """The folders of the plug-in, and of the tests' own toolkit where it is not installed."""
    return os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))


def record(run: Run, target: str) -> TargetRecord:
    runtime_name, _, option = target.partition(",")
    names = [planned.name for planned in run.plan.targets]
    return run.records[names.index(f"{runtime_name}:cpu,{option}")]


@pytest.mark.parametrize(
    ("deed", "what"),
    [*((deed, reply.what) for deed, reply in REPLIES.items()), *DEEDS.items()],
    ids=[*REPLIES, *DEEDS],
)
def test_a_worker_that_misbehaves_ends_its_own_target_in_one_line(
    run: Run, deed: str, what: str
) -> None:
    failure = record(run, f"{NAME},deed={deed}").failure

    assert failure is not None
    assert failure.what.startswith(what)
    assert failure.what.isprintable()
    assert len(failure.what) < 400


def test_a_clock_that_stands_still_ends_its_target_before_a_record_has_its_times(run: Run) -> None:
    failure = record(run, STILL).failure

    assert failure is not None
    assert failure.what == "its clock does not move within a call: it times nothing here"


@pytest.mark.parametrize("target", WELL)
def test_it_ends_no_other_target(run: Run, target: str) -> None:
    well = record(run, target)

    assert (run.state, well.failure) == ("done", None)
    assert well.timings[0].series[0].medians


# One reply

Fields = Mapping[str, object]
CHANGED: list[tuple[type[object], Fields, list[Fields]]] = [
    (
        HelloReply,
        HELLO,
        [
            {"file": 3},
            {"version": ["1"]},
            {"version": "1\n2"},
            {"version": "1" * 10_000},
            {"python": None},
            {"precision": "\u202e"},
            {"providers": "cpu"},
            {"providers": ["a\nb"]},
            {"seconds": -1.0},
            {"empty": 1e300},
            {"converts": "no"},
        ],
    ),
    (
        LoadReply,
        LOADED,
        [
            {"placement": None},
            {"placement": {**PLACED, "nodes": {"cpu": -1}}},
            {"placement": {**PLACED, "nodes": {"\x07": 1}}},
            {"placement": {**PLACED, "elsewhere": {"cuda": ["\x1b[2J"]}}},
            {"placement": {**PLACED, "copies": -1}},
            {"copies": "a\nb"},
            {"computes": ["1"]},
            {"computes": [-1]},
        ],
    ),
    (AnswerReply, ANSWERED, [{"tensors": [3]}, {"tensors": {}}, {"seconds": -0.1}]),
    (
        SampleReply,
        SAMPLED,
        [
            {"ns": [2**63 - 1]},
            {"ns": [-1]},
            {"ns": [1.5]},
            {"ns": [True]},
            {"ns": 1},
            {"start": 2**63},
            {"start": -1},
            {"switches": 10**30},
        ],
    ),
    (CopiesReply, COPIED, [{"into": "1"}, {"out": 1e30}, {"out": -1.0}]),
    (InputsReply, {"changed": []}, [{"changed": "x"}, {"changed": ["\x1b"]}]),
    (UsageReply, USED, [{"resident": -1}, {"peak": "1"}, {"peak": 1.5}]),
    (SecondsReply, {"seconds": 1}, [{"seconds": -1}, {"seconds": None}]),
]
"""Kind of reply, one that fits, and fields with which it no longer does."""
NUMBERED = {"number": 7}
UNFIT: Mapping[str, tuple[type[object], bytes]] = {
    "deep-and-whole": (LoadReply, b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "no utf-8": (LoadReply, b'{"\xff": 1}'),
    "half a pair of surrogates": (LoadReply, b'{"number": 7, "error": "\\ud800"}'),
    "no number": (LoadReply, json.dumps({**NUMBERED, **LOADED, "seconds": math.nan}).encode()),
    "a number of 401 digits": (
        SampleReply,
        json.dumps({**NUMBERED, **SAMPLED, "ns": [10**400]}).encode(),
    ),
    "no request's": (LoadReply, json.dumps(LOADED).encode()),
    "a number that is none": (LoadReply, json.dumps({**LOADED, "number": "7"}).encode()),
    "an error that is a number": (LoadReply, b'{"number": 7, "error": 3}'),
    "cures that are none": (LoadReply, b'{"number": 7, "error": "x", "cures": "y"}'),
    **{
        f"{kind.__name__} {json.dumps(changed)[:40]}": (
            kind,
            json.dumps({**NUMBERED, **whole, **changed}).encode(),
        )
        for kind, whole, changes in CHANGED
        for changed in changes
    },
}
"""Replies that are none → the kind that was asked for, and the line."""


@pytest.mark.parametrize(("kind", "line"), UNFIT.values(), ids=UNFIT)
def test_a_reply_that_does_not_fit_is_none(kind: type[object], line: bytes) -> None:
    with pytest.raises((replies.Unfit, protocol.Nonsense)) as caught:
        replies.decoded(line, kind, 7)

    assert ascii(str(caught.value)).isprintable()
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("kind", "whole"),
    [
        (HelloReply, HELLO),
        (LoadReply, LOADED),
        (AnswerReply, ANSWERED),
        (SampleReply, SAMPLED),
        (CopiesReply, COPIED),
        (UsageReply, USED),
    ],
)
def test_a_reply_that_fits_is_read(kind: type[object], whole: Mapping[str, object]) -> None:
    line = json.dumps({**whole, "number": 7, "more": 1}).encode()

    assert isinstance(replies.decoded(line, kind, 7), kind)
    with pytest.raises(protocol.Unasked):
        replies.decoded(line, kind, 8)


# One worker

Start = Callable[..., Worker]
ENTRY_FEED = {"x": np.ones((1, 8), np.float32)}


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """Where a deed notes something."""
    return tmp_path / "notes"


@pytest.fixture
def start(tmp_path: Path, notes: Path) -> Iterator[Start]:
    """Starts a worker that does a deed and has imported its library."""
    listed = runtime.package(tmp_path / "site", REPLIES, notes)
    worker_code = environments.lay(tmp_path / "work" / "rooms", [listed])
    own = environments.find(None)
    with ExitStack() as stack:

        def make(deed: str, patience: Patience | None = None) -> Worker:
            spec = WorkerSpec(listed, own, "cpu", {"deed": deed})
            patience = patience or Patience()
            worker = stack.enter_context(Worker(spec, worker_code, patience=patience))
            worker.post_hello()
            worker.hello()
            return worker

        yield make


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(
        small.layer(tmp_path / "layer.onnx"),
        (TensorSpec("x", "float32", ("batch", 8)),),
        (TensorSpec("y", "float32", ("batch", 16)),),
    )


def test_a_large_request_to_a_worker_that_reads_nothing_is_given_up(
    start: Start, program: Program
) -> None:
    worker = start("deaf", Patience(1.0, 60.0))
    worker._post("usage")
    worker._patience = Patience(1.0, 1.0)
    long = Program(program.model, (TensorSpec("x" * 300_000, "float32", None),), program.outputs)

    with pytest.raises(WorkerDied) as caught:
        worker.post_load(long)

    assert caught.value.what == "did not read the request to load within 1 s"
    assert not psutil.pid_exists(worker.pid)


def test_a_worker_that_reads_nothing_is_stopped_all_the_same(start: Start) -> None:
    worker = start("deaf")
    worker._post("usage")
    os.write(worker._write, bytes(1 << 20))  # As much as the pipe holds.

    worker.stop(grace=0.5)

    assert not psutil.pid_exists(worker.pid)


def test_an_error_of_many_lines_and_control_characters_becomes_one_line(
    start: Start, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "\x1b[31mred\x07\nsecond" + "x" * 100_000
    lines = {"number": 2, "error": text, "cures": [text] * 100, "kind": "unheard of"}
    worker = start("none")
    monkeypatch.setattr(worker._reader, "line", lambda *_: json.dumps(lines).encode())

    with pytest.raises(TargetError) as caught:
        worker.load_program(program)

    assert caught.value.what == "�[31mred�"
    assert caught.value.cures == ("�[31mred�",) * 8


def test_of_a_flooded_log_the_end_is_kept_and_nothing_lies_on_the_disk(
    start: Start, program: Program, tmp_path: Path
) -> None:
    worker = start("flood")

    worker.load_program(program)

    assert worker.last_words()[-1] == "the last words"
    assert [path.name for path in (tmp_path / "work").rglob("*log*") if path.is_file()] == [
        "log.py"
    ]
    assert len(worker._log._end) <= log.KEPT


def test_the_scratch_files_of_a_worker_go_with_it(
    start: Start, program: Program, tmp_path: Path, notes: Path
) -> None:
    worker = start("litter")
    worker.load_program(program)
    temporary = Path(notes.read_text())
    assert temporary.is_relative_to(tempfile.gettempdir())
    assert [*temporary.iterdir()] != []

    worker.stop()

    assert not temporary.exists()
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["rooms"]


def daemon_of(notes: Path) -> psutil.Process:
    process = psutil.Process(int(notes.read_text()))
    assert process.name() == "sleep" or "sleep" in " ".join(process.cmdline())
    return process


def test_a_daemon_of_another_session_ends_with_the_worker(
    start: Start, program: Program, notes: Path
) -> None:
    worker = start("daemon")
    worker.load_program(program)
    daemon = daemon_of(notes)
    assert os.getsid(daemon.pid) != os.getsid(worker.pid)

    worker.stop()

    assert not daemon.is_running()


def test_a_daemon_ends_with_a_worker_that_crashed(
    start: Start, program: Program, notes: Path
) -> None:
    worker = start("orphan")

    with pytest.raises(WorkerDied) as caught:
        worker.load_program(program)

    assert caught.value.what == "crashed with SIGKILL while loading the model"
    assert not psutil.pid_exists(int(notes.read_text()))


def test_a_daemon_ends_with_a_command_that_is_killed(
    program: Program, tmp_path: Path, notes: Path
) -> None:
    script = textwrap.dedent(f"""
        import time
        from pathlib import Path
        from tests import small
        from tests.hostile import runtime
        from toolkit.runtimes.base import Program
        from toolkit.tensors import TensorSpec
        from toolkit.workers import environments
        from toolkit.workers.jobs import Patience, WorkerSpec
        from toolkit.workers.launch import Worker
        folder = Path({str(tmp_path)!r})
        listed = runtime.package(folder / "site", {{}}, Path({str(notes)!r}))
        worker_code = environments.lay(folder / "rooms", [listed])
        spec = WorkerSpec(listed, environments.find(None), "cpu", {{"deed": "daemon"}})
        worker = Worker(spec, worker_code, patience=Patience())
        worker.post_hello()
        worker.hello()
        model = small.layer(folder / "layer.onnx")
        sides = [(TensorSpec(name, "float32", None),) for name in "xy"]
        worker.load_program(Program(model, *sides))
        print(worker.pid, flush=True)
        time.sleep(1000)
    """)
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        worker = psutil.Process(int(parent.stdout.readline()))
        started = [worker, daemon_of(notes)]
        os.kill(parent.pid, signal.SIGKILL)

    assert psutil.wait_procs(started, timeout=60)[1] == []
