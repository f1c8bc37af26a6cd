"""Tests of users' own: an assertion, a mark of pytest's, and tables in notebooks."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import toolkit
from tests import small
from toolkit.api import asserting
from toolkit.errors import InputError
from toolkit.measure import schedule
from toolkit.pipelines.bench import BenchRequest, bench
from toolkit.pipelines.check import check
from toolkit.pipelines.compare import ComparedModels
from toolkit.report.decision import Action, ComparisonDecision, Goal
from toolkit.runtimes.target import parse
from toolkit.supervision import progress

pytestmark = pytest.mark.process

RIGHT, COARSE, BROKEN = "fake", "fake,compute=bfloat16", "fake,fault=error"


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Works here, as where another process watches over this one already: test_functions.py has the
    processes."""
    monkeypatch.setattr(progress, "is_watched", lambda: True)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small.mlp(tmp_path_factory.mktemp("model") / "mlp.onnx")


def test_what_is_right_is_returned(model: Path) -> None:
    finished = toolkit.assert_right(model, RIGHT)

    assert finished.right
    assert [record.right for record in finished.run.records] == [True]


@pytest.mark.parametrize("target", [COARSE, BROKEN])
def test_what_is_not_right_is_told_as_check_tells_it(model: Path, target: str) -> None:
    with pytest.raises(AssertionError) as raised:
        toolkit.assert_right(model, [RIGHT, target])

    first, empty, *table = str(raised.value).splitlines()
    (label,) = (line for line in first.split(": no right answers on ") if "fake" in line)
    assert first == f"{model}: no right answers on {label}"
    assert empty == ""
    assert table[0].startswith("check    mlp.onnx")
    assert any(label in line for line in table[1:])


def test_a_precision_that_is_good_enough_is_accepted(model: Path) -> None:
    finished = toolkit.assert_right(model, [COARSE], accept=["bfloat16", "undecided"])

    assert finished.run.plan.limits.undecided


@pytest.mark.parametrize(
    ("accept", "says"),
    [(["float16", "int8"], "one precision"), ("flaot16", "Did you mean float16")],
)
def test_a_precision_that_there_is_not_is_an_error(
    model: Path, accept: list[str] | str, says: str
) -> None:
    with pytest.raises(InputError, match=says):
        toolkit.assert_right(model, [RIGHT], accept=accept)


def test_without_targets_those_that_run_are_held_to_it(model: Path) -> None:
    """None of them was named, so that `check` ends with 0; an assertion is about the model."""
    targets = [replace(parse(text), asked=False) for text in (RIGHT, COARSE, BROKEN)]

    finished = check(model, BenchRequest(targets))

    assert finished.unmet == []
    assert asserting._faults(finished) == ["no right answers on fake cpu, compute=bfloat16"]


def test_a_mark_judges_before_the_test_and_fails_with_the_table(
    pytester: pytest.Pytester, model: Path
) -> None:
    shutil.copy(model, pytester.path)
    pytester.makepyfile(
        f"""
        import pytest

        @pytest.mark.onnx("mlp.onnx", targets=["{RIGHT}"])
        def test_right(onnx_checked):
            (finished,) = onnx_checked
            assert finished.run.records[0].verdict.text == "float32"

        @pytest.mark.onnx("mlp.onnx", ["{RIGHT}"])
        @pytest.mark.onnx("mlp.onnx", ["{COARSE}"], accept="bfloat16")
        def test_two(onnx_checked):
            assert len(onnx_checked) == 2

        @pytest.mark.onnx("mlp.onnx", ["{COARSE}"])
        def test_coarse():
            print("the body was run")

        @pytest.mark.onnx("other.onnx")
        def test_missing(): ...

        @pytest.mark.onnx("mlp.onnx", target="{RIGHT}")
        def test_mistyped(): ...
        """
    )

    ended = pytester.runpytest_inprocess("--strict-markers")

    ended.assert_outcomes(passed=2, failed=3)
    shown = f"fake cpu, {COARSE.partition(',')[2]}"
    ended.stdout.fnmatch_lines(
        [
            f"*mlp.onnx: no right answers on {shown}",
            "check    mlp.onnx*",
            f"*{shown} *bfloat16*",
            "*other.onnx*",
            "@pytest.mark.onnx: got an unexpected keyword argument 'target'",
        ]
    )
    ended.stdout.no_fnmatch_line("*the body was run*")
    ended.stdout.no_fnmatch_line("*Traceback*")


def test_results_are_tables_in_a_notebook(model: Path, tmp_path: Path) -> None:
    pace = schedule.pace(None, 1, True)
    targets = [parse(RIGHT), parse(COARSE)]
    judged = check(model, BenchRequest(targets))
    timed = bench(model, BenchRequest(targets, pace=pace), reports=tmp_path)

    for html in (judged._repr_html_(), timed._repr_html_()):
        assert "<table>" in html
        assert "fake cpu, compute=bfloat16" in html
    assert "p50" in timed._repr_html_()
    assert "p50" not in judged._repr_html_()
    decision = ComparisonDecision(Action.TAKE, Goal.SIZE, "Ship it: <i>.")
    html = ComparedModels("<b>", [], decision=decision)._repr_html_()
    assert html.startswith("<p><strong>Ship it: &lt;i&gt;.</strong></p><p>&lt;b&gt;</p>")
    assert str(judged).startswith("check    mlp.onnx")
    assert str(timed).startswith("report   mlp.onnx")
    assert repr(judged) == "<FinishedRun of mlp.onnx: 1 of 2 targets right>"
    assert not judged.right


def test_what_is_loaded_later_is_named() -> None:
    assert {*toolkit.__all__} <= {*dir(toolkit)}
