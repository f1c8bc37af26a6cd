"""A bench under faults: every row stays, what was measured stays, and nothing is left running."""

from __future__ import annotations

import json
import resource
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from onnx import helper, numpy_helper

from tests import command, plugin, small
from toolkit.errors import InputError, RunError
from toolkit.measure import schedule
from toolkit.pipelines.bench import BenchRequest, FinishedRun, bench
from toolkit.records import store
from toolkit.records.schema import Run, TargetRecord
from toolkit.runtimes.target import parse
from toolkit.workers.jobs import Patience

pytestmark = pytest.mark.process

QUICK = schedule.pace(time=1.0, quick=True)
LONG = ("--target", "fake,us=1000", "--target", "fake,us=1500", "--time", "200s")

FAULTS = {
    "crash": "crashed with SIGSEGV while ",
    "kill": "crashed with SIGKILL while ",
    "exit": "ended by itself with exit code 0 while ",
    "nonsense": "answered nonsense: '\\x00 not a message'",
    "hang": "no answer to ",
    "error": "this runtime was told to fail",
}
STEPS = ("hello", "load", "bind", "answer", "sample")
MATRIX = [(fault, step) for fault in FAULTS for step in STEPS]
MATRIX.remove(("hang", "hello"))  # As long as the load's, which is there.


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.layer(tmp_path_factory.mktemp("model") / "layer.onnx")


def typed(fault: str, step: str) -> str:
    return f"fake,fault={fault},at={step}"


@pytest.fixture(scope="module")
def matrix(model: Path) -> FinishedRun:
    """Every fault at every step in one run, between two targets that are well."""
    texts = ["fake,us=1000", *(typed(*each) for each in MATRIX), "fake,us=1500"]
    texts += ["fake,fault=flood,at=answer", "fake,turns=later"]
    order = BenchRequest([parse(text) for text in texts], pace=QUICK, patience=Patience(2.5, 8.0))
    return bench(model, order, reports=model.parent / "reports")


def row(finished: FinishedRun, text: str) -> TargetRecord:
    names = [target.name for target in finished.run.plan.targets]
    wanted = bench_name(text)
    return finished.run.records[names.index(wanted)]


def bench_name(text: str) -> str:
    head, _, options = text.partition(",")
    return ",".join([f"{head}:cpu", *sorted(options.split(","))])


@pytest.mark.parametrize(("fault", "step"), MATRIX)
def test_a_fault_is_a_row_that_says_what_happened_and_when(
    matrix: FinishedRun, fault: str, step: str
) -> None:
    record = row(matrix, typed(fault, step))

    assert record.failure is not None
    assert record.failure.what.startswith(FAULTS[fault])
    assert record.failure.verb == step
    assert not record.timings


def test_no_other_row_is_lost(matrix: FinishedRun) -> None:
    run = matrix.run

    assert len(run.records) == len(run.plan.targets) == len(MATRIX) + 4
    for text, latency in (("fake,us=1000", 1e6), ("fake,us=1500", 1.5e6)):
        record = row(matrix, text)
        assert record.failure is None
        assert {*record.timings[0].series[0].medians} == {latency}


def test_megabytes_on_stdout_cost_nothing(matrix: FinishedRun) -> None:
    record = row(matrix, "fake,fault=flood,at=answer")

    assert record.failure is None
    assert record.timings


def test_a_runtime_whose_timed_call_computes_something_else_has_no_latency(
    matrix: FinishedRun,
) -> None:
    record = row(matrix, "fake,turns=later")

    assert record.failure is not None
    assert record.failure.what.startswith("its answers changed after the verdict: ")
    assert not record.timings


def test_every_target_that_was_named_and_failed_is_unmet(matrix: FinishedRun) -> None:
    assert len(matrix.unmet) == len(MATRIX) + 1


def test_nothing_is_left_running_and_no_scratch_is_left(matrix: FinishedRun) -> None:
    assert matrix.folder is not None

    assert not command.workers(matrix.folder)
    assert not (matrix.folder / "work").exists()


# The end comes from outside


def measured(folder: Path) -> Callable[[psutil.Process], bool]:
    """Holds in the middle of the blocks after the first generation."""

    def holds(process: psutil.Process) -> bool:
        return bool([*folder.glob("reports/*/generations/*.npz")]) and len(process.children()) == 2

    return holds


def only(folder: Path) -> Path:
    (run,) = (path for path in (folder / "reports").iterdir() if not path.is_symlink())
    return run


def test_a_killed_bench_leaves_no_process_and_goes_on_where_it_was(tmp_path: Path) -> None:
    small.layer(tmp_path / "layer.onnx")

    ended = command.interrupted(
        "bench", "layer.onnx", *LONG, cwd=tmp_path, when=measured(tmp_path), by=signal.SIGKILL
    )

    assert ended.code == -signal.SIGKILL
    command.until(lambda: not command.workers(tmp_path), 10)
    before = store.read(only(tmp_path))
    assert (before.state, bool(before.generations)) == ("running", True)
    after = resumed(tmp_path)
    assert after.generations[: len(before.generations)] == before.generations


HANGING = """
    import time
    from pathlib import Path


    class Theirs(Fake):
        name = "elsewhere"

        def load(self, program, provider, options):
            Path({marker!r}).touch()
            time.sleep(1e6)
"""


def test_a_kill_ends_a_worker_that_hangs_and_reads_no_more(tmp_path: Path) -> None:
    small.layer(tmp_path / "layer.onnx")
    marker = tmp_path / "hangs"
    listed = plugin.package(tmp_path / "site", HANGING.format(marker=str(marker)))

    command.interrupted(
        *("bench", "layer.onnx", "--target", "elsewhere"),
        cwd=tmp_path,
        when=lambda process: marker.exists(),
        by=signal.SIGKILL,
        env={"PYTHONPATH": str(plugin.installed(tmp_path / "site", listed))},
    )

    command.until(lambda: not command.workers(tmp_path), 10)


ONE_ROW = """
    from toolkit.errors import ShapeRefused


    class Theirs(Fake):
        name = "elsewhere"

        def load(self, program, provider, options):
            return OneRow(program, options)


    class OneRow(FakeSession):
        def bind(self, feed):
            if len(feed["x"]) != 1:
                raise ShapeRefused("it takes one row")
            return super().bind(feed)
"""


def test_a_target_that_takes_one_shape_alone_is_timed_there(tmp_path: Path) -> None:
    """The first call at a new shape is what it does not have."""
    small.layer(tmp_path / "layer.onnx")
    listed = plugin.package(tmp_path / "site", ONE_ROW)

    done = command.run(
        *("bench", "layer.onnx", "--target", "elsewhere", "--batch", "1", *command.QUICK),
        cwd=tmp_path,
        env={"PYTHONPATH": str(plugin.installed(tmp_path / "site", listed))},
    )

    assert (done.code, done.err) == (0, "")
    record = store.read(only(tmp_path)).records[0]
    assert record.timings
    assert not record.cold.new_shape


def resumed(folder: Path) -> Run:
    """The run's end, by `toolkit bench --resume` with no further flags."""
    interrupted = only(folder)
    shorten(interrupted)
    done = command.run("bench", "--resume", cwd=folder)
    assert (done.code, done.err) == (0, "")
    run = store.read(interrupted)
    assert run.state == "done"
    numbers = [generation.number for generation in run.generations]
    assert numbers == [*range(len(numbers))]
    assert not command.workers(folder)
    return run


def shorten(folder: Path) -> None:
    """Lets the rest of the run take one process start more."""
    record: dict[str, Any] = json.loads((folder / "run.json").read_bytes())
    record["command"] = [*record["command"][:-2], *command.QUICK]
    (folder / "run.json").write_text(json.dumps(record))


KEPT = "interrupted\n  toolkit bench --resume    goes on with what was measured"


def phase(name: str, folder: Path) -> Callable[[psutil.Process], bool]:
    """Holds in one phase of a bench."""

    def asking(process: psutil.Process) -> bool:
        return bool([*folder.glob("reports/*/work/worker-*")])

    def judging(process: psutil.Process) -> bool:
        return bool([*folder.glob("reports/*/run.json")]) and bool(process.children())

    return {"asking": asking, "judging": judging, "measuring": measured(folder)}[name]


@pytest.mark.parametrize("name", ["asking", "judging"])
def test_an_interrupt_before_anything_is_measured_leaves_nothing(tmp_path: Path, name: str) -> None:
    small.layer(tmp_path / "layer.onnx")

    ended = command.interrupted(
        "bench", "layer.onnx", *LONG, cwd=tmp_path, when=phase(name, tmp_path)
    )

    assert (ended.code, ended.out, ended.err.strip()) == (130, "", "interrupted")
    assert not (tmp_path / "reports").exists()
    assert not command.workers(tmp_path)


def test_an_interrupt_keeps_what_was_measured_and_the_run_goes_on(tmp_path: Path) -> None:
    small.layer(tmp_path / "layer.onnx")

    ended = command.interrupted(
        "bench", "layer.onnx", *LONG, cwd=tmp_path, when=phase("measuring", tmp_path)
    )

    assert (ended.code, ended.out, ended.err.strip()) == (130, "", KEPT)
    assert not command.workers(tmp_path)
    before = store.read(only(tmp_path))
    assert before.state == "interrupted"
    assert not (only(tmp_path) / "work").exists()
    after = resumed(tmp_path)
    assert after.generations[: len(before.generations)] == before.generations


# A run that goes on is the same run


class Stop:
    """Interrupts a run after its first generation."""

    def __call__(self, step: str, share: float | None, text: str) -> None:
        if step == "measure" and text.startswith("process start 2"):
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which `toolkit bench layer.onnx` was interrupted; nobody writes there."""
    folder = tmp_path_factory.mktemp("cut")
    model = small.layer(folder / "layer.onnx")
    words = ["toolkit", "bench", str(model), "--target", "fake,us=1000", *command.QUICK]
    order = BenchRequest([parse("fake,us=1000")], pace=schedule.pace(0.01, 600), command=words)
    with pytest.raises(KeyboardInterrupt):
        bench(model, order, reports=folder / "reports", watch=Stop())
    return folder


@pytest.fixture
def copied(cut: Path, tmp_path: Path) -> Path:
    shutil.copytree(cut / "reports", tmp_path / "reports", symlinks=True)
    return only(tmp_path)


def again(cut: Path, copied: Path) -> FinishedRun:
    return bench(
        cut / "layer.onnx", BenchRequest([parse("fake,us=1000")], pace=QUICK), resume=copied
    )


DIFFERENT: dict[str, tuple[str, object, str]] = {
    "model": ("plan.model.sha256", "f" * 64, "model was ffffffffffff, now it is "),
    "machine": ("machine.identity", "another", "machine was another, now it is "),
    "toolkit": ("toolkit", "0.0.1", "toolkit was 0.0.1, now it is "),
}


@pytest.mark.parametrize(("field", "value", "said"), DIFFERENT.values(), ids=DIFFERENT)
def test_a_run_of_another_model_machine_or_toolkit_does_not_go_on(
    cut: Path, copied: Path, field: str, value: object, said: str
) -> None:
    before = plant(copied, field, value)

    done = command.run("bench", "--resume", cwd=copied.parent.parent)

    assert (done.code, done.out) == (1, "")
    assert len(done.errors) == 1
    assert done.errors[0].startswith(f"error: this run cannot go on: its {said}")
    assert (copied / "run.json").read_bytes() == before
    assert len([*copied.glob("generations/*.npz")]) == 1
    assert not (copied / "work").exists()


def plant(folder: Path, field: str, value: object) -> bytes:
    """Changes one field of run.json; returns its bytes."""
    record: dict[str, Any] = json.loads((folder / "run.json").read_bytes())
    holder = record
    *path, last = field.split(".")
    for key in path:
        holder = holder[key]
    assert holder[last] != value
    holder[last] = value
    (folder / "run.json").write_text(json.dumps(record))
    return (folder / "run.json").read_bytes()


def test_a_run_with_another_version_of_a_runtime_does_not_go_on(cut: Path, copied: Path) -> None:
    record: dict[str, Any] = json.loads((copied / "run.json").read_bytes())
    record["records"][0]["library"]["version"] = "0.9"
    (copied / "run.json").write_text(json.dumps(record))

    with pytest.raises(RunError) as caught:
        again(cut, copied)

    assert caught.value.what == "this run cannot go on: fake was 0.9, now it is 1.0"
    assert len(store.read(copied).generations) == 1


def test_a_run_that_is_being_measured_is_not_measured_twice(cut: Path, copied: Path) -> None:
    with store.RunFolder(copied).held(), pytest.raises(RunError) as caught:
        again(cut, copied)

    assert caught.value.what == f"{copied} is being measured by another process"


def test_a_finished_run_keeps_its_numbers_when_it_is_told_to_go_on(cut: Path, copied: Path) -> None:
    again(cut, copied)
    before = (copied / "run.json").read_bytes()

    with pytest.raises(RunError, match="is finished: there is nothing to go on with"):
        again(cut, copied)

    assert (copied / "run.json").read_bytes() == before


class Fill:
    """From a step on no file is longer than so many bytes: the disk is full."""

    def __init__(self, step: str) -> None:
        self.step = step

    def __call__(self, step: str, share: float | None, text: str) -> None:
        if step == self.step:
            resource.setrlimit(resource.RLIMIT_FSIZE, (300, resource.RLIM_INFINITY))


def test_a_disk_that_fills_while_it_is_measured_keeps_what_was_measured(
    cut: Path, copied: Path
) -> None:
    order = BenchRequest([parse("fake,us=1000")], pace=schedule.pace(0.01, 600))
    try:
        with pytest.raises(InputError, match=r"cannot be written: File too large$"):
            bench(cut / "layer.onnx", order, resume=copied, watch=Fill("measure"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)

    assert len(store.read(copied).generations) == 1
    assert not command.workers(copied)
    assert len(again(cut, copied).run.generations) >= 1


def test_a_bench_in_a_relative_folder_simulates_lower_formats(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two weights that each form rounds: of a folder that was named by a relative path, the file
    beside the graph was taken for one from elsewhere, and copied when half of it was written."""
    pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(draw.normal(0, 0.1, (64, 64)).astype(np.float32), name)
        for name in ("w", "v")
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"]),
        helper.make_node("MatMul", ["h", "v"], ["y"]),
    ]
    small.save(Path("m.onnx"), nodes, {"x": ["n", 64]}, {"y": ["n", 64]}, weights)

    done = bench("m.onnx", BenchRequest([parse("fake,compute=bfloat16")], pace=QUICK))

    assert [*done.notes] == []
    (record,) = done.run.records
    assert record.verdict is not None
    assert record.verdict.text == "bfloat16"
