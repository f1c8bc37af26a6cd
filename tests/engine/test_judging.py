"""A target is judged by name: its precision, and whether it ran where it was asked to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests import command, plugin
from tests.engine.conftest import launched, ready, ready_target
from toolkit.answers.verdict import Limits
from toolkit.engine import judging
from toolkit.engine.assignment import Assignment
from toolkit.engine.judging import Besides
from toolkit.engine.setup import ReadyTarget
from toolkit.records.schema import TargetRecord, WarningKind
from toolkit.runtimes.listing import RuntimeEntry

pytestmark = pytest.mark.process

Judge = Callable[..., TargetRecord]


def foreign(entry: RuntimeEntry, asked: Assignment) -> ReadyTarget:
    """A runtime of a plug-in."""
    assert asked.program.model is not None
    return ready_target(0, "fake", asked.program.model, entry=entry)


@pytest.fixture
def judge(asked: Assignment, tmp_path: Path) -> Judge:
    launcher = launched(tmp_path)

    def run(text: str, limits: Limits = Limits()) -> TargetRecord:  # noqa: B008 - a constant.
        besides = Besides(relu=text == "onnxruntime")
        return judging.judge(ready(0, text, asked), asked, limits, launcher, besides=besides).record

    return run


@pytest.mark.parametrize("text", ["fake", "onnxruntime", "onnxruntime,io=bound", "torch"])
def test_a_runtime_in_float32_is_right(judge: Judge, text: str) -> None:
    record = judge(text)

    assert record.failure is None
    assert record.verdict is not None
    assert (record.verdict.text, record.verdict.right) == ("float32", True)
    assert record.library is not None
    assert not record.library.file.startswith("/")


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


def test_the_special_values_of_a_runtime_stand_beside_its_verdict(judge: Judge) -> None:
    rows = {row.value: row for row in judge("onnxruntime").card}

    assert len(rows) >= 7
    assert any("NaN" in value for value in rows)
    assert judge("onnxruntime,io=bound").card == []  # Nobody asked.


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
    target = replace(foreign(entry, asked), label="elsewhere")
    # The file has one Shape and one Gather of its result: a second Gather is one of data.
    asked = replace(asked, shape_arithmetic=Counter({"Shape": 1, "Gather": 1}))

    record = judging.judge(target, asked, Limits(), launched(tmp_path, entry)).record

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
        (
            "version",
            b'{"number": 1}\n',
            "answered nonsense to hello: Object missing required field `version`",
        ),
        ("version", b"[]\n", "answered nonsense: '[]'"),
        ("version", b'{"version": NaN}\n', "answered nonsense: '{\"version\": NaN}'"),
        (
            "load",
            b'{"number": 2, "placement": 3}\n',
            "answered nonsense to load: Expected `object`, got `int` - at `$.placement`",
        ),
        (
            "load",
            b'{"number": 2, "seconds": 1, "copies": ""}\n',
            "answered nonsense to load: Object missing required field `placement`",
        ),
    ],
)
def test_a_reply_without_sense_is_an_error_of_its_target_alone(
    asked: Assignment, tmp_path: Path, step: str, line: bytes, said: str
) -> None:
    entry = plugin.package(tmp_path / "site", NONSENSE % (step, line, step))

    record = judging.judge(foreign(entry, asked), asked, Limits(), launched(tmp_path, entry)).record

    assert record.failure is not None
    assert record.failure.what.startswith(said)
    assert not command.workers(tmp_path)
