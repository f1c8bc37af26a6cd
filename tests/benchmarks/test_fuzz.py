"""Damaged models are made from their seeds, and whatever ends the serving process is an outcome."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import fuzz
from toolkit.engine import assignment
from toolkit.operatortests import cases
from toolkit.operatortests.cases import OperatorTest


@pytest.fixture(scope="module")
def every() -> list[OperatorTest]:
    return cases.cases()


def test_a_seed_makes_the_same_file_each_time_and_another_makes_another(
    every: list[OperatorTest],
) -> None:
    files = [fuzz.damaged(every, seed) for seed in (1, 1, 2)]

    assert files[0] == files[1] != files[2]


def test_every_mutation_changes_some_model(every: list[OperatorTest]) -> None:
    import random

    for mutate in fuzz.MUTATIONS:
        changed = 0
        for seed in range(20):
            model = type(every[0].model)()
            model.CopyFrom(every[7 * seed].model)
            mutate(model, random.Random(seed))
            changed += model != every[7 * seed].model
        assert changed, mutate.__name__


def test_a_model_is_judged_or_refused_and_a_traceback_is_a_bug(
    every: list[OperatorTest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    relu = next(test for test in every if test.name == "test_relu")
    path = tmp_path / "m.onnx"
    path.write_bytes(relu.model.SerializeToString())
    assert fuzz.judged(path, tmp_path)[0] == "judged"
    path.write_bytes(b"nonsense")
    assert fuzz.judged(path, tmp_path) == ("refused", f"{path} is a text file, not an .onnx file")

    monkeypatch.setattr(assignment, "ask", lambda *_: [][0])
    outcome, what = fuzz.judged(path, tmp_path)

    assert outcome == "bug"
    assert what.startswith("test_fuzz.py:")


@pytest.mark.process
def test_cases_are_served_by_one_process_and_the_ledger_goes_on(tmp_path: Path) -> None:
    ledger = tmp_path / "fuzz.jsonl"

    first = CliRunner().invoke(fuzz.main, ["--cases", "3", "--ledger", str(ledger)])
    again = CliRunner().invoke(fuzz.main, ["--cases", "5", "--ledger", str(ledger)])

    assert first.output.startswith("3 cases: "), first.output
    assert again.output.startswith("5 cases: ")
    assert len(ledger.read_text().splitlines()) == 5


@pytest.mark.process
def test_what_ends_the_process_or_hangs_is_an_outcome_and_it_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = fuzz.Server()
    try:
        assert server.ask(1)["outcome"] in fuzz.GOOD
        assert server._process is not None
        server._process.kill()
        server._process.wait()
        assert server.ask(2)["outcome"] == "crash"
        assert server.ask(2)["outcome"] in fuzz.GOOD
        monkeypatch.setattr(fuzz, "PATIENCE", 0.0)
        assert server.ask(3)["outcome"] == "hang"
    finally:
        server.stop()
