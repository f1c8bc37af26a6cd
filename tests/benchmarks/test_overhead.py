"""Tests that the bare loops are right and hand out their own times, and the table of their runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import building, overhead
from benchmarks.bare.bare import compiled
from benchmarks.bare.bare.compiled import BareC
from benchmarks.bare.bare.dealt import Dealt, Driver
from benchmarks.ledger import Ledger, Line
from tests import command, needs, small
from toolkit.errors import EnvironmentFault, TargetError
from toolkit.runtimes.base import Call
from toolkit.tensors import Array
from toolkit.workers.child import WorkerLoop

ROOT = Path(__file__).parents[2]
PYTHONPATH = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(overhead.PLUGIN)])}


@pytest.fixture(scope="module")
def loop() -> Path:
    """The loop in C, built."""
    pytest.importorskip("onnxruntime")
    try:
        return building.build()
    except EnvironmentFault as error:
        needs.absent(str(error))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return small.mlp(tmp_path / "m.onnx")


@pytest.mark.process
def test_the_loop_in_c_gives_what_python_gives(loop: Path, model: Path) -> None:
    import onnxruntime

    feed = {"input": np.random.default_rng(1).normal(size=(3, 64)).astype(np.float32)}
    session = BareC().load(small.mlp_program(model), "cpu", {"driver": ""})
    call = session.bind(feed)
    call.forget()
    outputs = call.outputs(call.run())
    (expected,) = onnxruntime.InferenceSession(str(model)).run(None, feed)
    np.testing.assert_array_equal(outputs["output"], expected)
    assert call.clock() > 0


@pytest.mark.process
def test_a_call_that_writes_nothing_is_seen(loop: Path, model: Path) -> None:
    feed = {"input": np.zeros((1, 64), np.float32)}
    call = BareC().load(small.mlp_program(model), "cpu", {"driver": ""}).bind(feed)
    call.forget()
    assert np.isnan(call.outputs(None)["output"]).all()


@pytest.mark.process
def test_the_library_says_its_version(loop: Path) -> None:
    import onnxruntime

    assert BareC().version() == onnxruntime.__version__


@pytest.mark.process
def test_a_model_that_is_none_gives_one_line(loop: Path, model: Path) -> None:
    program = replace(small.mlp_program(model), model=Path("none.onnx"))
    with pytest.raises(TargetError, match=r"none\.onnx"):
        BareC().load(program, "cpu", {"driver": ""})


@pytest.mark.process
def test_the_loop_in_c_takes_no_text(loop: Path, model: Path) -> None:
    session = BareC().load(small.mlp_program(model), "cpu", {"driver": ""})
    with pytest.raises(TargetError, match="takes no str"):
        session.bind({"input": np.array([["a"]])})


@pytest.mark.process
def test_an_empty_interval_in_c_is_none_of_nothing(loop: Path) -> None:
    assert compiled.empty_interval() > 0


@pytest.mark.process
def test_the_loop_is_built_once(loop: Path) -> None:
    before = loop.stat().st_mtime_ns
    assert building.build().stat().st_mtime_ns == before


@pytest.mark.process
def test_the_plug_ins_pass_a_check(loop: Path, model: Path, tmp_path: Path) -> None:
    targets = ["bare", "bare,io=bound", "bare-c", "onnxruntime"]
    words = [word for target in targets for word in ("--target", target)]
    ended = command.run("check", model, *words, "--json", cwd=tmp_path, env=PYTHONPATH)
    assert ended.code == 0, ended.err
    records = json.loads(ended.out)["records"]
    assert [record["verdict"]["right"] for record in records] == [True] * 4


@pytest.mark.process
def test_a_bench_tells_what_the_parent_used(loop: Path, model: Path, tmp_path: Path) -> None:
    targets = ["bare,io=bound,driver=seen", "bare-c,driver=seen"]
    words = [word for target in targets for word in ("--target", target)]
    ended = command.run("bench", model, *words, *command.QUICK, cwd=tmp_path, env=PYTHONPATH)
    assert ended.code == 0, ended.err
    seen = [json.loads(line) for line in (tmp_path / "seen").read_text().splitlines()]
    # Each target has a worker that is judged and one or more that are timed.
    assert len(seen) >= 4
    assert all(span["lasted"] > span["used"] >= 0 and span["spans"] > 0 for span in seen)


# The times of a bare loop, handed out


def counting(asked: list[int]) -> Callable[[int], tuple[Sequence[int], str]]:
    """A loop whose calls take 1, 2, 3 … ns; it notes how many it was asked for."""

    def loop(calls: int) -> tuple[Sequence[int], str]:
        first = sum(asked) + 1
        asked.append(calls)
        return range(first, first + calls), f"after {first + calls - 1}"

    return loop


def test_a_worker_s_samples_are_the_loop_s_own_numbers() -> None:
    asked: list[int] = []
    worker = worker_of(counting(asked))
    worker.sample({"feed": "f", "calls": 20, "discard": 0})
    before = sum(asked)
    reply = worker.sample({"feed": "f", "calls": 18, "discard": 2})
    assert reply["ns"] == list(range(before + 3, before + 21))


def test_a_block_as_long_as_the_last_is_one_loop() -> None:
    asked: list[int] = []
    worker = worker_of(counting(asked))
    for _ in range(3):
        worker.sample({"feed": "f", "calls": 50, "discard": 3})
    assert asked[-2:] == [53, 53]


def test_what_is_judged_is_what_the_last_loop_left() -> None:
    dealt = Dealt(counting([]), Driver(""))
    dealt.begin()
    assert [dealt.run() for _ in range(2)] == ["after 1", "after 2"]


def worker_of(loop: Callable[[int], tuple[Sequence[int], str]]) -> WorkerLoop:
    """A worker with that loop as the call of the feed 'f'."""
    dealt = Dealt(loop, Driver(""))

    def outputs(result: str) -> dict[str, Array]:
        return {"output": np.array(result)}

    worker = WorkerLoop()
    worker._calls["f"] = Call(dealt.run, outputs, dealt.begin, clock=dealt.clock)
    return worker


# What the parent uses

WATCHED = """
import time
from benchmarks.bare.bare.dealt import Driver
driver = Driver("seen")
with driver:
    time.sleep(0.2)
driver.note()
"""


def watched(folder: Path, wait: Callable[[subprocess.Popen[bytes]], object]) -> int:
    """Nanoseconds of our CPU time that a child saw while we waited for it with `wait`."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", WATCHED], cwd=folder, env=env) as process:
        wait(process)
    assert process.returncode == 0
    used: int = json.loads((folder / "seen").read_text().splitlines()[-1])["used"]
    return used


def spin(process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        pass


@pytest.mark.process
def test_a_parent_that_spins_is_seen(tmp_path: Path) -> None:
    asleep, busy = (watched(tmp_path, wait) for wait in (subprocess.Popen.wait, spin))
    assert asleep < busy


# The table

EFFECTS = {"bound": (0, 2, 3), "numpy": (1,)}
"""Kind of run → the indices of its pairs."""


def line(kind: str, ratio: float, driver: int = 1) -> Line:
    """The line of a run: a bare loop takes 2 µs, the harness `ratio` times that, one in C 1 µs."""
    logs = np.log([ratio, ratio, 2.0, 2 * ratio])
    pairs = [(overhead.PAIRS[i].text, float(logs[i])) for i in EFFECTS[kind]]
    return {
        "kind": kind,
        "starts_ns": [[2000.0] * 10, [2000.0 * ratio] * 10, [1000.0] * 10],
        "empty_ns": [50.0, 52.0, 50.0],
        "empty_c_ns": 20.0 if kind == "bound" else None,
        "effects": {text: [effect] * 10 for text, effect in pairs},
        "driver_ns": driver,
        "timed_ns": 1000,
    }


def test_a_table_of_made_up_runs() -> None:
    lines = [line("bound", 1.005), line("bound", 1.005), line("numpy", 1.02, driver=28)]
    rows, beside = overhead.rows(lines), overhead.besides(lines)
    assert overhead.table(rows, beside).splitlines()[2:] == [
        "| the harness / a bare loop in Python, bound | 20 | 2.010 / 2.000 µs "
        "| 1.0050 (1.0050 to 1.0050) | 10 ns (10 to 10) |",
        "| the harness / a bare loop in Python, numpy | 10 | 2.040 / 2.000 µs "
        "| 1.0200 (1.0200 to 1.0200) | 40 ns (40 to 40) |",
        "| a bare loop in Python / one in C, bound | 20 | 2.000 / 1.000 µs "
        "| 2.0000 (2.0000 to 2.0000) | 1000 ns (1000 to 1000) |",
        "| the harness / a bare loop in C, bound | 20 | 2.010 / 1.000 µs "
        "| 2.0100 (2.0100 to 2.0100) | 1010 ns (1010 to 1010) |",
        "",
        "An empty interval: 50 ns in a worker, 20 ns in C.",
        "The parent used 1.0000% of a core in the 0.0 s in which a worker was timed.",
    ]
    assert list(overhead.goals(rows, beside).values()) == [True, False, True]


@pytest.mark.parametrize("ratio", [0.98, 1.02])
def test_a_ratio_on_either_side_misses_the_goal(ratio: float) -> None:
    (row, *_) = overhead.rows([line("bound", ratio)])
    assert not row.reached


def test_a_parent_over_the_goal_misses_it() -> None:
    assert not overhead.besides([line("numpy", 1.0, driver=11)]).reached


def test_a_few_process_starts_give_no_interval() -> None:
    few = {**line("numpy", 1.0), "effects": {overhead.PAIRS[1].text: [0.0] * 5}}
    (row,) = overhead.rows([few])
    assert row.ratio is None
    assert not row.reached


def test_what_was_measured_is_written_beside_the_ledger(tmp_path: Path) -> None:
    book = Ledger(tmp_path / "o.jsonl")
    book.append(line("bound", 1.0))
    overhead.publish(book)
    summary = json.loads((tmp_path / "o.json").read_text())
    assert summary["rows"][0]["ratio"]["n"] == 10
    assert "a bare loop in Python" in (tmp_path / "o.svg").read_text()


def test_a_command_names_every_target_and_no_file_of_this_machine() -> None:
    assert overhead.command("numpy", 3, 40) == [
        *("toolkit", "bench", "models/mlp/mlp.onnx"),
        *("--target", "bare:cpu,io=numpy,driver=FILE"),
        *("--target", "onnxruntime:cpu,io=numpy", "--time", "40s", "--seed", "3"),
    ]
