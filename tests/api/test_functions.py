"""The functions of `toolkit` do what their pipelines do, in a process that is ended in time."""

from __future__ import annotations

import dataclasses
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import psutil
import pytest
from msgspec.structs import replace

import toolkit
from tests import command, small
from tests.hostile.modelfiles import ENDLESS, HEAD, HUGE
from toolkit.api import calling
from toolkit.errors import InputError, ToolkitError
from toolkit.exporter.quiet import Chatter
from toolkit.measure import schedule
from toolkit.pipelines.bench import bench
from toolkit.pipelines.check import check
from toolkit.pipelines.compare import compare
from toolkit.pipelines.export import Exported, NotProven, export
from toolkit.pipelines.request import BenchRequest
from toolkit.records import store
from toolkit.records.schema import Run
from toolkit.runtimes.target import parse
from toolkit.supervision import parent, progress
from toolkit.supervision.parent import Ended
from toolkit.tensors import Array

pytestmark = pytest.mark.process

NET = """
import torch

class Net(torch.nn.Module):
    def forward(self, x):
        return torch.sin(x).repeat(1, 300)

class Branch(torch.nn.Module):
    def forward(self, x):
        return x * 2 if x.shape[1] > 12 else x * 3
"""
QUICK = schedule.pace(None, 1, True)
FAKES = BenchRequest([parse("fake,us=1000"), parse("fake,us=500")], pace=QUICK)


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of temporary files. When a test has ended nothing is left in it."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    # A pipeline that is called here leaves torch's, which ends with the process of a function.
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "torch"))
    yield folder
    assert [*folder.iterdir()] == []


@pytest.fixture(autouse=True)
def _no_process_is_left() -> Iterator[None]:
    before = children()
    yield
    command.until(lambda: children() <= before, seconds=10)


def children() -> set[psutil.Process]:
    return {*psutil.Process().children(recursive=True)}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a user's net.py."""
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "net.py").write_text(NET)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    return saved(tmp_path, ENDLESS)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return small.layer(tmp_path / "layer.onnx")


def saved(folder: Path, body: str) -> Path:
    path = folder / "m.onnx"
    onnx.save(onnx.parser.parse_model(f"{HEAD} {body}"), path)
    return path


def timeless(run: Run) -> Run:
    """Return the run without what a clock gave: when it began, how long it took, a timer's step."""
    return replace(run, started="", seconds=0.0, machine=replace(run.machine, timer=0.0))


@pytest.mark.parametrize("name", ["check", "bench", "compare", "deploy"])
def test_a_loop_without_an_end_is_ended_and_named(here: Path, endless: Path, name: str) -> None:
    both = {"new": endless} if name == "compare" else {}

    with pytest.raises(Ended, match="at Loop 'turn'"):
        getattr(toolkit, name)(endless, **both, timeout=3)

    assert [each.name for each in here.rglob("*") if each.is_file()] == ["net.py"]


def test_what_is_larger_than_the_memory_limit_is_named(tmp_path: Path) -> None:
    with pytest.raises(ToolkitError, match="Expand 'grow': Unable to allocate"):
        toolkit.check(saved(tmp_path, HUGE), ["reference"], memory_limit=2_000_000_000)


def test_a_check_gives_what_its_pipeline_gives(model: Path) -> None:
    told: list[tuple[str, float | None, str]] = []

    given = toolkit.check(model, ["reference"], watch=lambda *event: told.append(event))

    direct = check(model, ["reference"])
    # As it is written: a number that is none, as of an output without errors, equals itself there.
    assert store.encode(timeless(given.run)) == store.encode(timeless(direct.run))
    assert dataclasses.replace(given, run=direct.run) == direct
    assert told == [("ask", None, "finding out what is right"), ("judge", 0.0, "reference cpu")]


def test_a_bench_lands_where_it_is_asked_to(here: Path, model: Path) -> None:
    finished = toolkit.bench(model, FAKES, reports="runs")

    assert finished.folder is not None
    assert finished.folder.parent == Path("runs")
    assert (finished.folder / "report.html").is_file()
    assert finished.run.state == "done"
    assert finished.unmet == []


def test_a_comparison_gives_what_its_pipeline_gives(tmp_path: Path, model: Path) -> None:
    run = bench(model, FAKES, reports=tmp_path).folder
    assert run is not None

    assert toolkit.compare(run, run) == compare(run, run)


@pytest.mark.export
def test_an_export_gives_what_its_pipeline_gives(here: Path, tmp_path: Path) -> None:
    stages: list[str] = []
    chatter = Chatter()

    given = toolkit.export(
        "net.py:Net", "a.onnx", input=["x:float32[n,4]"], watch=stages.append, chatter=chatter
    )

    direct = export("net.py:Net", "b.onnx", input=["x:float32[n,4]"])
    assert Path("a.onnx").read_bytes() == Path("b.onnx").read_bytes()
    assert given.path == Path("a.onnx")
    assert (given.source, given.traced) == (direct.source, direct.traced)
    assert [step.outcome for step in given.proof.steps] == ["holds"] * 3
    assert given.proof.compared == direct.proof.compared
    assert answers(given) == answers(direct)
    assert stages == ["build", "convert", "prove", "write"]
    assert chatter.parts


def answers(exported: Exported) -> list[tuple[str, str, tuple[int, ...], bytes]]:
    """All arrays of a proof, with their names, types and shapes."""
    return [
        (name, str(array.dtype), array.shape, array.tobytes())
        for each in exported.proof.expected
        for name, array in [*each.feed.arrays.items(), *each.outputs.items()]
    ]


@pytest.mark.export
def test_a_file_that_is_not_proven_comes_with_its_proof(here: Path) -> None:
    with pytest.raises(NotProven, match="holds for seq ≥ 13 only") as caught:
        toolkit.export("net.py:Branch", input=["x:float32[batch,seq=16,64]"])

    assert "No file was written." in caught.value.cures
    assert caught.value.exported.proof.steps[1].outcome == "fails"
    assert all(np.isfinite(array).all() for array in arrays(caught.value.exported))
    assert not Path("net.onnx").exists()


def arrays(exported: Exported) -> list[Array]:
    return [array for each in exported.proof.expected for array in each.outputs.values()]


def test_an_error_has_its_class_and_its_cures(model: Path) -> None:
    with pytest.raises(InputError) as caught:
        toolkit.bench(model, ["reference"])

    assert caught.value.what == "reference is what the standard says, not a runtime to be timed"
    assert caught.value.cures == ("toolkit check --target reference    judges its answers",)


def test_an_argument_of_another_type_is_named_before_anything_is_started(model: Path) -> None:
    with pytest.raises(TypeError, match=r"Expected `int`, got `str` - at `\$\.order\.threads"):
        toolkit.check(model, BenchRequest(threads=["one"]))  # type: ignore[list-item]
    with pytest.raises(InputError, match="timeout=0: give a time in seconds"):
        toolkit.check(model, timeout=0)
    with pytest.raises(InputError, match="a memory limit of 0 bytes allows nothing"):
        toolkit.check(model, memory_limit=0)


def test_a_bug_is_raised_with_the_line_where_it_rose(model: Path) -> None:
    with pytest.raises(IndexError) as caught:
        toolkit.check(model, BenchRequest([parse("reference")], threads=()))

    assert "request.threads[0]" in caught.value.__notes__[0]


def test_what_watch_raises_ends_the_call(endless: Path) -> None:
    def watch(step: str, share: float | None, text: str) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        toolkit.check(endless, ["reference"], watch=watch)


@pytest.mark.parametrize("file", ["RESULT", "ERROR", "TOLD"])
def test_what_the_process_writes_is_not_believed(
    model: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    """It opened a hostile model: a pickle runs no code here."""
    name = getattr(calling, file)
    content = pickle.dumps(print) + b"\n"
    program = f"import sys; open(sys.argv[2] + {'/' + name!r}, 'wb').write({content!r})"
    monkeypatch.setattr(calling, "PROGRAM", program)

    with pytest.raises(Ended, match="what the process that worked wrote cannot be read"):
        toolkit.check(model)


def test_a_process_that_says_nothing_is_told(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calling, "PROGRAM", "import os; os._exit(7)")

    with pytest.raises(Ended, match="ended with the exit code 7 and said nothing"):
        toolkit.check(model)


def test_a_process_that_is_watched_starts_no_other(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "is_watched", lambda: True)
    monkeypatch.delattr(parent, "watch_over")

    given = toolkit.check(model, ["reference"])

    assert [record.right for record in given.run.records] == [True]


def test_it_works_in_any_thread(model: Path) -> None:
    rights: list[bool] = []

    def judge() -> None:
        rights.extend(each.right for each in toolkit.check(model, ["reference"]).run.records)

    thread = threading.Thread(target=judge)
    thread.start()
    thread.join()

    assert rights == [True]


def program(folder: Path, text: str) -> list[str | Path]:
    """A user's script that is started by its path."""
    (folder / "script.py").write_text(textwrap.dedent(text))
    return [sys.executable, folder / "script.py"]


ROOT = {"PYTHONPATH": str(Path(toolkit.__file__).parent.parent)}


def test_a_script_needs_no_guard_and_finds_modules_where_it_does(here: Path, model: Path) -> None:
    """Its own folder is on the path of modules, and so is what it put there."""
    (here / "more").mkdir()
    (here / "more/theirs.py").write_text(
        "import torch, neighbour\n"
        "class Layer(torch.nn.Identity):\n"
        "    def forward(self, x): return x\n"
    )
    (here / "neighbour.py").touch()
    script = program(
        here,
        f"""
        import sys
        sys.path.insert(0, {str(here / "more")!r})
        import toolkit
        from toolkit.pipelines.request import BenchRequest
        from toolkit.sources import source
        print("begun")
        order = BenchRequest(source=source.Source("theirs:Layer"))
        try:
            toolkit.check({str(model)!r}, order)
        except toolkit.errors.InputError as error:
            print(error)
        """,
    )

    ended = command.started(script, cwd=here.parent, env=ROOT)

    assert (ended.code, ended.err) == (0, "")
    begun, told = ended.out.splitlines()
    assert begun == "begun"
    assert told.startswith("the file is not the function of theirs:Layer")


@pytest.mark.export
def test_what_stands_in_the_script_alone_is_exported_there(here: Path) -> None:
    export = 'toolkit.export("__main__:Net", "own.onnx", input=["x:float32[n,4]"])'
    script = program(here, f"{NET}\nimport toolkit\nprint({export}.proof.holds)")

    ended = command.started(script, cwd=here, env=ROOT)

    assert (ended.out, ended.code) == ("True\n", 0)


# Another thread is there, which the kernel may give ^C to.
CHECKING = """
import sys, threading, time
import toolkit
threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
try:
    toolkit.check(sys.argv[1], ["reference"])
except KeyboardInterrupt:
    print("interrupted")
"""
MEASURING = """
import sys, threading, time
import toolkit
from toolkit.measure import schedule
from toolkit.pipelines.request import BenchRequest
from toolkit.runtimes.target import parse
threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
order = BenchRequest([parse("fake,us=1000"), parse("fake,us=500")], pace=schedule.pace(None, 600))
try:
    toolkit.bench(sys.argv[1], order)
except KeyboardInterrupt as interrupt:
    print(*interrupt.__notes__)
"""


def interrupted(
    script: list[str | Path], here: Path, when: Callable[[psutil.Process], bool]
) -> tuple[str, str, int]:
    """Sends ^C to a script as soon as something holds of it; returns what it wrote and its code
    when no process of it is left."""
    with subprocess.Popen(
        [*map(str, script)],
        cwd=here,
        env={**os.environ, **ROOT, "TMPDIR": str(here.parent / "scratch")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        caller = psutil.Process(process.pid)
        command.until(lambda: when(caller))
        started = caller.children(recursive=True)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert psutil.wait_procs(started, timeout=10)[1] == []
    return out, err, process.returncode


def test_an_interrupt_ends_the_call_and_all_its_processes(here: Path, endless: Path) -> None:
    def is_in_the_loop(caller: psutil.Process) -> bool:
        return any(child.cpu_times().user > 3 for child in caller.children())

    ended = interrupted([*program(here, CHECKING), endless], here, is_in_the_loop)

    assert ended == ("interrupted\n", "", 0)


def test_an_interrupted_bench_keeps_what_it_measured(here: Path, model: Path) -> None:
    def has_measured(caller: psutil.Process) -> bool:
        return any(here.glob("reports/*/generations/*"))

    ended = interrupted([*program(here, MEASURING), model], here, has_measured)

    assert ended == ("toolkit bench --resume    goes on with what was measured\n", "", 0)
    assert store.head(here / "reports/latest").state == "interrupted"


def test_labelled_data_is_a_path_or_a_request(tmp_path: Path) -> None:
    model = small.layer(tmp_path / "layer.onnx")
    np.savez(tmp_path / "data.npz", x=np.zeros((40, 8)), labels=np.zeros(40, int))

    finished = toolkit.check(model, ["onnxruntime"], data=tmp_path / "data.npz")

    (metric,) = finished.run.records[0].metrics
    assert (metric.name, metric.right, metric.examples) == ("accuracy", 40, 40)
