"""What crosses between a caller and the process that works for it arrives as it was."""

from __future__ import annotations

import inspect
import typing
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pytest

import toolkit
from toolkit.answers.verdict import Limits
from toolkit.api import crossing, senterror, tasks
from toolkit.api.tasks import AnyTask, CheckTask, DeployTask, ExportTask
from toolkit.deployment.verifying import Trusted
from toolkit.engine.assignment import FeedRequest
from toolkit.errors import InputError, LibraryError, ToolkitError
from toolkit.measure import schedule
from toolkit.pipelines import bench, check, compare, conformance, deploy, export
from toolkit.pipelines.deploy import DeployRequest
from toolkit.pipelines.request import BenchRequest
from toolkit.runtimes.target import parse
from toolkit.sources.source import Source
from toolkit.tensors import Array
from toolkit.workers.jobs import Patience

FULL = BenchRequest(
    targets=[parse("onnxruntime:cpu,io=bound"), parse("fake,us=5")],
    everything=True,
    baseline="fake,us=5",
    wanted=FeedRequest({"batch": [1, 8]}, [2], {"x": (1, 3)}, Path("feeds.npz"), 7),
    source=Source("net.py:Net", Path("w.npz"), Path("/src")),
    pace=schedule.pace(0.01, 20.0),
    limits=Limits(atol=1e-3),
    threads=[1, 2],
    patience=Patience(3.0, 30.0),
    deadline=3.0,
    command=["toolkit", "bench"],
)


@dataclass(frozen=True)
class Held:
    """What a result may hold."""

    path: Path
    arrays: dict[str, Array]
    counts: dict[str, int]
    error: float
    folder: Path | None = None


@pytest.mark.parametrize(
    "task",
    [
        CheckTask(model=Path("m.onnx"), order=FULL, verify=Trusted(Path("acme.pub"))),
        CheckTask(model=Path("m.onnx"), order=BenchRequest(), verify=None),
        DeployTask(
            model=Path("m.onnx"), to=("web",), out=None, request=DeployRequest(deadline=2.0)
        ),
        ExportTask(
            of=Source("net.py:Net"),
            out=Path("out.onnx"),
            input=("x:float32[batch]",),
            weights=None,
            opset=20,
            exporter="dynamo-strict",
            proof=True,
            stateful=False,
            allow_fixed=False,
            cast_missing=True,
            keep_traces=True,
            force=False,
            sign=Path("key.pem"),
            timeout=None,
        ),
    ],
    ids=["a request with everything", "a request of defaults", "deploy", "export"],
)
def test_a_task_arrives_as_it_was_sent(tmp_path: Path, task: AnyTask) -> None:
    crossing.write(tmp_path / "task", task)
    arrived: AnyTask = crossing.read(tmp_path / "task", AnyTask)  # type: ignore[arg-type]

    assert type(arrived) is type(task)
    assert crossing.read(tmp_path / "task", type(task)) == arrived
    # As JSON: a sequence may arrive as a list.
    assert msgspec.json.encode(arrived, enc_hook=str) == msgspec.json.encode(task, enc_hook=str)


@pytest.mark.parametrize("kind", ["float64", "int8", "bool", "uint16", "complex64", "<U3"])
def test_arrays_arrive_with_their_types_and_shapes(tmp_path: Path, kind: str) -> None:
    arrays = {"many": np.ones((2, 0, 3), kind), "one": np.ones((), kind)}
    sent = Held(Path("a/b"), arrays, Counter(a=2), float("nan"))

    crossing.write(tmp_path / "held", sent)
    arrived = crossing.read(tmp_path / "held", Held)

    assert (arrived.path, arrived.folder, arrived.counts) == (Path("a/b"), None, {"a": 2})
    assert np.isnan(arrived.error)
    assert list(arrived.arrays) == ["many", "one"]
    for name, array in arrays.items():
        assert (arrived.arrays[name].dtype, arrived.arrays[name].shape) == (
            array.dtype,
            array.shape,
        )
        np.testing.assert_array_equal(arrived.arrays[name], array)


def test_what_holds_code_does_not_cross(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="a function cannot be given to another process"):
        crossing.write(tmp_path / "code", {"f": lambda: None})
    with pytest.raises(ValueError, match="allow_pickle=False"):
        crossing.write(tmp_path / "code", {"f": np.array([print], object)})


def test_an_array_of_pickles_is_not_read(tmp_path: Path) -> None:
    crossing.write(tmp_path / "held", Held(Path(), {"x": np.ones(1)}, {}, 0.0))
    np.save(tmp_path / "held-0.npy", np.array([print], object), allow_pickle=True)

    with pytest.raises(ValueError, match="allow_pickle=False"):
        crossing.read(tmp_path / "held", Held)


def test_a_result_of_another_type_is_not_taken(tmp_path: Path) -> None:
    crossing.write(tmp_path / "held", {"path": 3})

    with pytest.raises(msgspec.ValidationError, match=r"at `\$\.path`"):
        crossing.read(tmp_path / "held", Held)


@pytest.mark.parametrize("task", typing.get_args(AnyTask), ids=lambda task: str(task.__name__))
def test_the_types_that_cross_are_those_of_the_tasks_signature(
    task: type[tasks.Task[object]],
) -> None:
    msgspec.msgpack.Decoder(tasks.result_type(task), dec_hook=lambda kind, part: part)
    msgspec.json.Decoder(tasks.event_type(task))


@pytest.mark.parametrize(
    "module",
    [bench, check, compare, conformance, deploy, export],
    ids=lambda module: str(module.__name__.rpartition(".")[2]),
)
def test_a_function_takes_all_that_its_pipeline_takes(module: object) -> None:
    name = getattr(module, "__name__", "").rpartition(".")[2]
    own = inspect.signature(getattr(toolkit, name)).parameters
    pipelines = inspect.signature(getattr(module, name)).parameters
    # It is code, which does not cross.
    shared = [each for each in pipelines if each != "make_python"]

    # A request holds the data, too.
    assert [each for each in own if each not in ("timeout", "memory_limit", "data")] == [
        each for each in shared if each != "timeout"
    ]
    assert {each: own[each].kind for each in shared} == {
        each: pipelines[each].kind for each in shared
    }


def raised(error: BaseException, tmp_path: Path) -> BaseException:
    """An error, as it is raised by the caller."""
    crossing.write(tmp_path / "failure", senterror.of(error))
    return senterror.error_of(crossing.read(tmp_path / "failure", senterror.SentError))


def test_an_error_of_ours_arrives_with_all_that_it_says(tmp_path: Path) -> None:
    sent = LibraryError("it broke", "mend it", "or leave it")
    sent.verb, sent.last_words = "load", ("segfault",)
    sent.add_note("what was measured is kept")

    arrived = raised(sent, tmp_path)

    assert isinstance(arrived, LibraryError)
    assert (arrived.what, arrived.cures, str(arrived)) == (sent.what, sent.cures, "it broke")
    assert (arrived.verb, arrived.last_words) == ("load", ("segfault",))
    assert arrived.__notes__ == ["what was measured is kept"]


def test_an_error_that_the_caller_does_not_know_is_the_nearest_that_it_does(
    tmp_path: Path,
) -> None:
    sent = senterror.of(InputError("no such file", "give one"))
    strange = msgspec.structs.replace(sent, kinds=("Strange", *sent.kinds))

    assert type(senterror.error_of(strange)) is InputError


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        (IndexError("list index"), IndexError),
        (msgspec.ValidationError("odd"), ValueError),
        (UnicodeDecodeError("utf8", b"x", 0, 1, "odd"), UnicodeError),
        (SystemExit(3), RuntimeError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
    ids=["python's own", "a library's", "of many arguments", "an exit", "^C"],
)
def test_a_bug_is_the_nearest_error_of_pythons(
    tmp_path: Path, sent: BaseException, kind: type[BaseException]
) -> None:
    assert type(raised(sent, tmp_path)) is kind


def test_a_bug_tells_where_it_rose(tmp_path: Path) -> None:
    try:
        [].pop()
    except IndexError as error:
        (note,) = raised(error, tmp_path).__notes__

    assert note.startswith("In the process that did the work:\nTraceback")
    assert "[].pop()" in note


def test_a_memory_that_does_not_suffice_is_the_users_to_mend(tmp_path: Path) -> None:
    arrived = raised(MemoryError(), tmp_path)

    assert type(arrived) is ToolkitError
    assert arrived.what == "there is no memory left"
