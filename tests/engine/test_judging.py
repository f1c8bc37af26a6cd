"""What a target is worth: its precision by name, and whether it ran where it was asked to."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tests import command, plugin, small
from tests.engine.conftest import ready_target
from toolkit.answers import simulate
from toolkit.answers.verdict import Limits
from toolkit.engine import assignment, judging
from toolkit.engine.assignment import Assignment, FeedRequest
from toolkit.engine.judging import JudgedTarget
from toolkit.engine.setup import ReadyTarget
from toolkit.records.schema import TargetRecord, WarningKind
from toolkit.runtimes import listing
from toolkit.runtimes.target import parse
from toolkit.workers import environments
from toolkit.workers.jobs import Patience, WorkerSpec

Judge = Callable[..., TargetRecord]


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Assignment:
    """The reference model, whose PyTorch source is known."""
    folder = tmp_path_factory.mktemp("asked")
    return assignment.ask(
        small.mlp(folder / "mlp.onnx"), FeedRequest(), folder, simulate.reference_runner
    )


@pytest.fixture
def judge(asked: Assignment, tmp_path: Path) -> Judge:
    worker_code = environments.lay(tmp_path / "rooms", [])

    def run(text: str, limits: Limits = Limits()) -> TargetRecord:  # noqa: B008 - a constant.
        target = parse(text)
        job = WorkerSpec(
            listing.find(target.runtime),
            environments.find(None),
            target.provider or "cpu",
            target.options,
        )
        made = ReadyTarget(0, target.label, job, asked.program)
        return judging.judge(made, asked, worker_code, Patience(verb=30), limits).record

    return run


@pytest.mark.parametrize("text", ["fake", "onnxruntime", "onnxruntime,io=bound", "torch"])
def test_a_runtime_in_float32_is_right(judge: Judge, text: str) -> None:
    record = judge(text)

    assert record.failure is None
    assert record.verdict is not None
    assert (record.verdict.text, record.verdict.right) == ("float32", True)
    assert record.library is not None
    assert not record.library.file.startswith("/")


def test_a_worker_that_was_started_ahead_answers_and_none_outlives_an_interrupt(
    asked: Assignment, tmp_path: Path
) -> None:
    worker_code = environments.lay(tmp_path / "rooms", [])
    jobs = [WorkerSpec(listing.find("fake"), environments.find(None), "cpu", {}) for _ in range(3)]
    three = [ReadyTarget(n, f"fake {n}", job, asked.program) for n, job in enumerate(jobs)]

    with (
        contextlib.suppress(KeyboardInterrupt),
        judging.Prestarted(worker_code, Patience(verb=30)) as ahead,
    ):
        ahead.start(three[:2])
        ahead.start(three[1:])
        running = len(command.workers(tmp_path))
        judged = ahead.judge(three[0], asked, Limits())
        raise KeyboardInterrupt

    assert running == 3
    assert judged.record.failure is None
    assert not command.workers(tmp_path)


def test_one_that_does_not_start_ahead_is_a_failure_when_it_is_judged(
    asked: Assignment, tmp_path: Path
) -> None:
    worker_code = environments.lay(tmp_path / "rooms", [])
    job = WorkerSpec(
        listing.find("fake"), environments.find(None), "cpu", {"fault": "crash", "at": "hello"}
    )
    made = ReadyTarget(0, "fake", job, asked.program)

    with judging.Prestarted(worker_code, Patience(verb=30)) as ahead:
        ahead.start([made])
        judged = ahead.judge(made, asked, Limits())

    assert judged.record.failure is not None
    assert judged.record.failure.what == "crashed with SIGSEGV while importing its library"


def test_libraries_that_agree_against_the_oracle_dispute_it(
    asked: Assignment, tmp_path: Path
) -> None:
    """The oracle is planted, with its own noise: half of what is right."""
    halved = [{name: 0.5 * array for name, array in each.items()} for each in asked.judge.oracle]
    plain = [{name: array.astype(np.float32) for name, array in each.items()} for each in halved]
    simulated = [
        replace(form, outputs=plain) if form.precision == "float32" else form
        for form in asked.judge.simulated
    ]
    planted = replace(asked.judge, oracle=halved, simulated=tuple(simulated))
    wrong = replace(asked, judge=planted)
    worker_code = environments.lay(tmp_path / "rooms", [])
    texts = ["onnxruntime", "onnxruntime,io=bound", "torch"]
    judged = {
        index: judging.judge(
            ReadyTarget(
                index,
                text,
                WorkerSpec(
                    listing.find(parse(text).runtime),
                    environments.find(None),
                    "cpu",
                    parse(text).options,
                ),
                wrong.program,
            ),
            wrong,
            worker_code,
            Patience(verb=30),
            Limits(),
        )
        for index, text in enumerate(texts)
    }

    said = judging.disputes(judged, texts, wrong)

    assert [one.record.verdict.right for one in judged.values() if one.record.verdict] == [
        False
    ] * 3
    assert [warning.kind for warning in said] == [WarningKind.DISPUTED] * 2
    assert said[0].detail == (
        "torch in float64: onnxruntime and torch agree with each other, and not with it"
    )
    for library, disputes in [("tract", 0), ("torch", 2)]:  # The oracle's own is no witness for it.
        more = {**judged, 3: confirming(judged[0], library)}
        assert len(judging.disputes(more, [*texts, library], wrong)) == disputes


def confirming(one: JudgedTarget, library: str) -> JudgedTarget:
    """A target of another library that is right by the oracle."""
    record = one.record
    assert record.library is not None
    assert record.verdict is not None
    other = msgspec.structs.replace(
        record,
        library=msgspec.structs.replace(record.library, runtime=library),
        verdict=replace(record.verdict, right=True),
    )
    return replace(one, record=other, answers=())


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_runtime_that_computes_less_than_it_declares_is_named_and_not_right(
    judge: Judge, precision: str
) -> None:
    record = judge(f"fake,compute={precision}")

    assert record.verdict is not None
    assert record.verdict.text == precision
    assert not record.verdict.right
    assert record.verdict.reason == f"declares float32, computes {precision}"
    assert "grid" in record.verdict.outputs[0].evidence


def test_less_is_right_where_the_user_accepts_it(judge: Judge) -> None:
    record = judge("fake,compute=bfloat16", Limits(accept="bfloat16"))

    assert record.verdict is not None
    assert record.verdict.right


def test_pytorch_in_bfloat16_says_so_and_is_what_it_says(judge: Judge) -> None:
    record = judge("torch,compute=bfloat16")

    assert record.verdict is not None
    assert (record.verdict.text, record.verdict.declared) == ("bfloat16", "bfloat16")


@pytest.mark.parametrize("at", ["hello", "load", "bind", "answer"])
def test_a_fault_at_a_step_is_told_with_the_step(judge: Judge, tmp_path: Path, at: str) -> None:
    record = judge(f"fake,fault=crash,at={at}")

    assert record.verdict is None
    assert record.failure is not None
    assert record.failure.verb == at
    assert record.failure.what.startswith("crashed with SIGSEGV while")
    assert not command.workers(tmp_path)


@pytest.mark.parametrize("text", ["fake:cuda", "reference:cuda", "torch:tpu", "onnxruntime:gpu"])
def test_a_provider_that_a_runtime_lacks_gives_no_verdict_under_its_name(
    judge: Judge, text: str
) -> None:
    runtime, provider = text.split(":")

    record = judge(text)

    assert record.verdict is None
    assert record.failure is not None
    assert record.failure.what.startswith(
        f"no provider of {runtime} is called '{provider}'; there are: cpu"
    )


def test_the_relu_card_of_a_runtime_stands_beside_its_verdict(judge: Judge) -> None:
    rows = {row.value: row for row in judge("onnxruntime").card}

    assert len(rows) >= 7
    assert any("NaN" in value for value in rows)


ELSEWHERE = """
    class Theirs(Fake):
        name = "elsewhere"

        def load(self, program, provider, options):
            return Session(program, options)


    class Session(FakeSession):
        def placement(self):
            return Placement({"cpu": 3, "here": 1}, {"there": ("Gather", %r)})
"""


@pytest.mark.parametrize(
    ("operator", "warned"),
    [
        ("Shape", []),
        ("Conv", ["elsewhere: cpu 3, here 1 nodes; not on cpu: Conv, Gather"]),
        ("Gather", ["elsewhere: cpu 3, here 1 nodes; not on cpu: Gather"]),
    ],
    ids=["shape arithmetic", "a convolution", "a gather of data"],
)
def test_nodes_elsewhere_are_a_warning_unless_they_compute_shapes(
    asked: Assignment, tmp_path: Path, operator: str, warned: list[str]
) -> None:
    entry = plugin.package(tmp_path / "site", ELSEWHERE % operator)
    worker_code = environments.lay(tmp_path / "rooms", [entry])
    assert asked.program.model is not None
    made = ready_target(0, "fake", asked.program.model, entry=entry)
    made = ReadyTarget(0, "elsewhere", made.spec, asked.program)
    # The file has one Shape and one Gather of its result: a second Gather is one of data.
    asked = replace(asked, shape_arithmetic=Counter({"Shape": 1, "Gather": 1}))

    record = judging.judge(made, asked, worker_code, Patience(), Limits()).record

    assert record.failure is None
    assert [warning.detail for warning in record.warnings] == warned
    assert {warning.kind for warning in record.warnings} <= {WarningKind.PLACEMENT}
    assert record.placement is not None
    assert record.placement.shape_only == (not warned)


NONSENSE = """
    import os, sys

    class Theirs(Fake):
        name = "elsewhere"

        def %s(self, *given):
            os.write(int(sys.argv[2]), %r)
            return super().%s(*given)
"""


@pytest.mark.parametrize(
    ("step", "line", "said"),
    [
        ("version", b"{}\n", "answered nonsense to hello: KeyError: 'version'"),
        ("version", b"[]\n", "answered nonsense: '[]'"),
        ("version", b'{"version": NaN}\n', "answered nonsense: '{\"version\": NaN}'"),
        ("load", b'{"placement": 3}\n', "answered nonsense to load: TypeError: 'int' object"),
        ("load", b'{"seconds": 1, "copies": ""}\n', "answered nonsense to load: KeyError"),
    ],
)
def test_a_reply_without_sense_is_an_error_of_its_target_alone(
    asked: Assignment, tmp_path: Path, step: str, line: bytes, said: str
) -> None:
    entry = plugin.package(tmp_path / "site", NONSENSE % (step, line, step))
    worker_code = environments.lay(tmp_path / "rooms", [entry])
    assert asked.program.model is not None
    made = ready_target(0, "fake", asked.program.model, entry=entry)

    record = judging.judge(made, asked, worker_code, Patience(), Limits()).record

    assert record.failure is not None
    assert record.failure.what.startswith(said)
    assert not command.workers(tmp_path)
