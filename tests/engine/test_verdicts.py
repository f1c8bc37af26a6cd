"""All targets are judged before anything is timed, and so is the oracle."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests import command
from tests.engine.conftest import launched, ready
from toolkit.answers import simulate
from toolkit.answers.verdict import Limits
from toolkit.engine import assignment, judging, planning, selection, verdicts
from toolkit.engine.assignment import Assignment, FeedRequest
from toolkit.engine.judging import Besides, JudgedTarget
from toolkit.engine.planning import PlanOptions
from toolkit.machine import describe
from toolkit.measure import schedule
from toolkit.onnxfiles import thinmodels
from toolkit.records.schema import WarningKind
from toolkit.runtimes.target import parse

pytestmark = pytest.mark.process


def test_all_targets_have_a_row_and_those_that_are_not_wrong_go_on_to_be_timed(
    asked: Assignment, tmp_path: Path
) -> None:
    """One that cannot be started, one that crashes and one whose numbers are another class."""
    texts = [
        f"fake,env={tmp_path}",
        "fake,us=10",
        "fake,fault=crash,at=load",
        "fake,compute=bfloat16",
    ]
    targets = selection.settled([*map(parse, texts)])
    options = PlanOptions(schedule.pace(), Limits(), 1, 0, 60.0)
    planned = [selection.recorded(target) for target in targets]
    run = planning.new_run(planning.plan(asked, planned, 0, options), describe.describe(), [])
    watched: list[tuple[float, str]] = []

    def watch(share: float, text: str) -> None:
        watched.append((share, text))

    judged, timed = verdicts.judge_all(
        run, asked, targets, launched(tmp_path), None, watch, Besides()
    )

    assert [record.failure is None for record in judged.records] == [False, True, False, True]
    assert [target.index for target in timed] == [1, 3]
    assert all(target.resident > 0 for target in timed)
    assert judged.plan.baseline == 1  # The first that is right.
    assert [target.copies_inside != "" for target in judged.plan.targets] == [
        record.failure is None for record in judged.records
    ]
    assert watched == [(index / 4, target.label) for index, target in enumerate(targets)]
    assert not command.workers(tmp_path)


def test_a_worker_that_was_started_ahead_answers_and_none_outlives_an_interrupt(
    asked: Assignment, tmp_path: Path
) -> None:
    three = [ready(index, "fake", asked) for index in range(3)]

    with (
        contextlib.suppress(KeyboardInterrupt),
        verdicts.Prestarted(launched(tmp_path)) as ahead,
    ):
        ahead.start(three[:2])
        ahead.start(three[1:])
        running = len(command.workers(tmp_path))
        judged = ahead.judge(three[0], asked, Limits(), Besides())
        raise KeyboardInterrupt

    assert running == 3
    assert judged.record.failure is None
    assert not command.workers(tmp_path)


def test_one_that_does_not_start_ahead_is_a_failure_when_it_is_judged(
    asked: Assignment, tmp_path: Path
) -> None:
    target = ready(0, "fake,fault=crash,at=hello", asked)

    with verdicts.Prestarted(launched(tmp_path)) as ahead:
        ahead.start([target])
        judged = ahead.judge(target, asked, Limits(), Besides())

    assert judged.record.failure is not None
    assert judged.record.failure.what == "crashed with SIGSEGV while importing its library"


def test_libraries_that_agree_against_the_oracle_dispute_it(
    asked: Assignment, tmp_path: Path
) -> None:
    """The oracle is planted, with its own noise: half of what is right."""
    halved = [{name: 0.5 * array for name, array in each.items()} for each in asked.judge.oracle]
    plain = [{name: array.astype(np.float32) for name, array in each.items()} for each in halved]
    simulated = [
        replace(
            form, outputs=[{**ran, **own} for ran, own in zip(form.outputs, plain, strict=True)]
        )
        for form in asked.judge.simulated
    ]
    planted = replace(asked.judge, oracle=halved, simulated=tuple(simulated))
    wrong = replace(asked, judge=planted)
    launcher = launched(tmp_path)
    texts = ["onnxruntime", "onnxruntime,io=bound", "torch"]
    judged = {
        index: judging.judge(ready(index, text, wrong), wrong, Limits(), launcher)
        for index, text in enumerate(texts)
    }

    warnings = verdicts.disputes(judged, texts, wrong)

    assert [one.record.verdict.right for one in judged.values() if one.record.verdict] == [
        False
    ] * 3
    assert [warning.kind for warning in warnings] == [WarningKind.DISPUTED] * 2
    assert warnings[0].detail == (
        "torch in float64: onnxruntime and torch agree with each other, and not with it"
    )
    for library, disputes in [("tract", 0), ("torch", 2)]:  # The oracle's own is no witness for it.
        more = {**judged, 3: confirming(judged[0], library)}
        assert len(verdicts.disputes(more, [*texts, library], wrong)) == disputes


def confirming(one: JudgedTarget, library: str) -> JudgedTarget:
    """A target of another library that is right by the oracle."""
    record = one.record
    assert record.library is not None
    assert record.verdict is not None
    other = msgspec.structs.replace(
        record,
        library=msgspec.structs.replace(record.library, runtime=library),
        verdict=replace(record.verdict, answer="right", right=True),
    )
    return replace(one, record=other, answers=())


def classes(path: Path) -> Path:
    """The index of the largest of 128 logits, which are exposed; the weights lie in m.data."""
    weights = np.random.default_rng(0).normal(0, 0.1, (64, 128)).astype(np.float32)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 64])
    y = helper.make_tensor_value_info("y", TensorProto.INT64, ["n"])
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["logits"]),
        helper.make_node("ArgMax", ["logits"], ["y"], axis=1, keepdims=0),
    ]
    graph = helper.make_graph(nodes, "g", [x], [y], [numpy_helper.from_array(weights, "w")])
    opsets = [helper.make_opsetid("", 20)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    onnx.save_model(model, path, save_as_external_data=True, location="m.data", size_threshold=0)
    return path


def suffix(name: str) -> str:
    return Path(name).suffix


def files(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir() if file.is_file()}


def test_the_exposed_file_lies_on_the_disk_only_while_targets_are_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the size of the model: a deployment needs none, and a bench measures for minutes."""
    work = tmp_path / "work"
    work.mkdir()
    asked = assignment.ask(
        classes(tmp_path / "m.onnx"), FeedRequest(), work, simulate.reference_runner
    )
    before = files(work)
    targets = selection.settled([*map(parse, ["fake,us=10", "fake,us=20"])])
    options = PlanOptions(schedule.pace(), Limits(), 1, 0, 60.0)
    planned = [selection.recorded(target) for target in targets]
    run = planning.new_run(planning.plan(asked, planned, 0, options), describe.describe(), [])
    during: list[set[str]] = []
    judge = judging.judge

    def looking(*arguments: Any) -> JudgedTarget:
        judged = judge(*arguments)
        during.append(files(work))
        return judged

    monkeypatch.setattr(judging, "judge", looking)

    judged, _ = verdicts.judge_all(
        run, asked, targets, launched(tmp_path), None, lambda share, text: None, Besides()
    )

    assert [record.right for record in judged.records] == [True, True]
    assert [{*map(suffix, each - before)} for each in during] == [{".onnx", thinmodels.COPY}] * 2
    assert files(work) == before
