"""The plan of a run, and which differences keep an unfinished one from going on."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tests import small
from toolkit import __version__
from toolkit.answers import simulate
from toolkit.answers.verdict import Limits
from toolkit.engine import assignment, planning, selection
from toolkit.engine.assignment import FeedRequest
from toolkit.engine.planning import PlanOptions
from toolkit.errors import RunError
from toolkit.machine import describe
from toolkit.measure import schedule
from toolkit.records.schema import VERSION, Library, Plan, Run, TargetRecord
from toolkit.runtimes.target import parse


def planned(folder: Path, wanted: FeedRequest, *targets: str, threads: int = 1) -> Plan:
    folder.mkdir(exist_ok=True)
    asked = assignment.ask(
        small.layer(folder / "layer.onnx"), wanted, folder, simulate.reference_runner
    )
    shown = [selection.recorded(t) for t in selection.settled([*map(parse, targets)])]
    options = PlanOptions(schedule.pace(time=20.0), Limits(), threads, wanted.seed, 60.0)
    return planning.plan(asked, shown, 0, options)


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("old")
    return Run(
        version=VERSION,
        toolkit=__version__,
        state="interrupted",
        started="2026-11-23T10:00:00+00:00",
        command=["toolkit", "bench"],
        plan=planned(folder, FeedRequest(batch=(1, 8)), "fake", "onnxruntime"),
        machine=describe.describe(),
        records=[],
        generations=[],
    )


def test_the_plan_names_all_before_anything_is_measured(old: Run) -> None:
    plan = old.plan

    assert [target.name for target in plan.targets] == ["fake:cpu", "onnxruntime:cpu"]
    assert [case.name for case in plan.cases] == ["batch 1", "batch 8"]
    assert [(case.bytes_in, case.bytes_out) for case in plan.cases] == [(32, 64), (256, 512)]
    assert len(plan.model.sha256) == 64
    assert (plan.seed, plan.threads, plan.rounds, plan.time) == (0, 1, 20, 20.0)


@pytest.mark.parametrize(
    ("targets", "rounds"),
    [
        (("fake", "onnxruntime"), 20),
        (("fake", "fake:cpu,us=1,threads=2"), 50),
        (("fake", "onnxruntime-web:wasm"), 50),
    ],
    ids=["share a core", "more threads", "compiles while it runs"],
)
def test_more_rounds_where_they_pay(tmp_path: Path, targets: tuple[str, ...], rounds: int) -> None:
    assert planned(tmp_path, FeedRequest(batch=(1,)), *targets).rounds == rounds


def test_two_feeds_of_the_same_sizes_have_two_names(tmp_path: Path) -> None:
    for place, name in enumerate(("test_data_set_0", "test_data_set_1")):
        folder = tmp_path / "feeds" / name
        folder.mkdir(parents=True)
        from onnx import numpy_helper

        array = np.full((2, 8), place + 0.5, np.float32)
        (folder / "input_0.pb").write_bytes(numpy_helper.from_array(array, "x").SerializeToString())

    plan = planned(tmp_path / "m", FeedRequest(inputs=tmp_path / "feeds"), "fake")

    assert [case.name for case in plan.cases] == ["batch 2, feed 1", "batch 2, feed 2"]


def test_the_same_plan_on_the_same_machine_can_go_on(old: Run, tmp_path: Path) -> None:
    again = planned(tmp_path, FeedRequest(batch=(1, 8)), "fake", "onnxruntime")

    planning.check_same(old, again, old.machine)


@pytest.mark.parametrize(
    ("wanted", "targets", "threads", "said"),
    [
        (
            FeedRequest(batch=(1, 8)),
            ("fake", "fake,us=1"),
            1,
            "targets was fake:cpu, onnxruntime:cpu, now it is fake:cpu, fake:cpu,us=1",
        ),
        (FeedRequest(batch=(1, 9)), ("fake", "onnxruntime"), 1, "feed was batch 1 ("),
        (FeedRequest(batch=(1, 8), seed=3), ("fake", "onnxruntime"), 1, "seed was 0, now it is 3"),
        (FeedRequest(batch=(1, 8)), ("fake", "onnxruntime"), 2, "threads was 1, now it is 2"),
    ],
    ids=["targets", "feeds", "seed", "threads"],
)
def test_a_difference_of_the_plan_is_named(
    old: Run, tmp_path: Path, wanted: FeedRequest, targets: tuple[str, ...], threads: int, said: str
) -> None:
    other = planned(tmp_path, wanted, *targets, threads=threads)

    with pytest.raises(RunError) as caught:
        planning.check_same(old, other, old.machine)

    assert caught.value.what.startswith(f"this run cannot go on: its {said}")
    assert caught.value.cures == ("toolkit bench    starts a new one",)


def test_another_model_machine_or_toolkit_is_named(old: Run) -> None:
    model = msgspec.structs.replace(old.plan.model, sha256="f" * 64)
    here = msgspec.structs.replace(old.machine, identity="another")
    cases = [
        (old, msgspec.structs.replace(old.plan, model=model), old.machine, "model", "f" * 12),
        (old, old.plan, here, "machine", "another"),
        (
            msgspec.structs.replace(old, toolkit="0.0.9"),
            old.plan,
            old.machine,
            "toolkit",
            __version__,
        ),
    ]
    for run, plan, machine_now, what, now in cases:
        with pytest.raises(RunError) as caught:
            planning.check_same(run, plan, machine_now)

        assert caught.value.what.startswith(f"this run cannot go on: its {what} was ")
        assert caught.value.what.endswith(f", now it is {now}")


def library(version: str) -> Library:
    return Library(runtime="onnxruntime", version=version, file="onnxruntime/x.py", python="3.11.1")


def test_another_version_of_a_runtime_is_named(old: Run) -> None:
    was, now = (
        msgspec.structs.replace(old, records=[TargetRecord(target=1, library=library(version))])
        for version in ("1.31.0", "1.32.0")
    )

    planning.check_versions(was, was)
    with pytest.raises(RunError) as caught:
        planning.check_versions(was, now)

    assert caught.value.what == ("this run cannot go on: onnxruntime was 1.31.0, now it is 1.32.0")


@pytest.mark.parametrize(
    ("before", "now", "refused"),
    [
        (["avx2", "avx512_vnni"], ["avx2"], True),
        (["avx2"], ["avx2"], False),
        (None, ["avx2"], False),
    ],
    ids=["another", "the same", "an older record"],
)
def test_a_run_goes_on_on_a_processor_of_the_same_features_alone(
    old: Run, before: list[str] | None, now: list[str], refused: bool
) -> None:
    began = msgspec.structs.replace(
        old, machine=msgspec.structs.replace(old.machine, features=before)
    )
    machine = msgspec.structs.replace(old.machine, features=now)

    with pytest.raises(RunError, match="processor was") if refused else contextlib.nullcontext():
        planning.check_same(began, began.plan, machine)
