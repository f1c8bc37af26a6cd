"""`toolkit conformance` on real runtimes: outcomes are kept, and what is there is not run again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import command
from toolkit.operatortests import cases
from toolkit.operatortests.outcome import OutcomeLedger

pytestmark = pytest.mark.process


def test_the_oracle_and_a_runtime_are_run_and_what_is_there_is_not_run_again(
    tmp_path: Path,
) -> None:
    asked = ("conformance", "--operator", "Relu", "--target", "onnxruntime", "-o", "kept")

    first = command.run(*asked, cwd=tmp_path)
    ledger = tmp_path / "kept/ledger.jsonl"
    lines = ledger.read_text().splitlines()
    again = command.run(*asked, "--json", cwd=tmp_path)

    assert first.code == again.code == 0, first.err
    assert "onnxruntime:cpu" in first.out
    assert ledger.read_text().splitlines() == lines
    outcomes = json.loads(again.out)
    assert {each["result"] for each in outcomes} == {"right"}
    assert {each["target"] for each in outcomes} == {"oracle", "onnxruntime:cpu"}
    assert {each["verdict"] for each in outcomes if each["target"] != "oracle"} <= {
        "float32",
        "not shown",
    }
    assert "| Relu |" in (tmp_path / "kept/report.md").read_text()
    page = (tmp_path / "kept/report.html").read_text()
    assert "tests of 1 operator from onnx" in page
    assert "Every test that was run is right." in page
    assert "report   kept/report.html" in first.out


def test_a_target_that_dies_is_replaced_and_the_others_go_on(tmp_path: Path) -> None:
    ended = command.run(
        *("conformance", "--operator", "Relu", "-o", "kept"),
        *("--target", "fake,fault=kill,at=answer", "--target", "onnxruntime"),
        cwd=tmp_path,
    )

    assert ended.code == 0, ended.err
    results = {
        (each.target, each.result) for each in OutcomeLedger(tmp_path / "kept/ledger.jsonl").read()
    }
    assert results == {
        ("oracle", "right"),
        ("fake:cpu,at=answer,fault=kill", "crashed"),
        ("onnxruntime:cpu", "right"),
    }


def test_an_interrupt_keeps_what_was_done_and_writes_the_report(tmp_path: Path) -> None:
    ledger = tmp_path / "kept/ledger.jsonl"

    ended = command.interrupted(
        *("conformance", "-o", "kept"),
        cwd=tmp_path,
        when=lambda process: ledger.exists() and len(ledger.read_text().splitlines()) > 20,
    )

    assert ended.code == 130
    done = OutcomeLedger(ledger).read()
    assert 0 < len(done) < len(cases.cases())
    assert {each.result for each in done} <= {"right", "refused"}
    assert (tmp_path / "kept/report.md").exists()
    assert (tmp_path / "kept/report.html").exists()


def test_an_operator_without_a_test_is_one_line(tmp_path: Path) -> None:
    ended = command.run("conformance", "--operator", "Convv", cwd=tmp_path)

    assert ended.code == 1
    assert ended.errors[0].startswith("error: no operator that is tested is called 'Convv'")


def test_a_runtime_that_takes_no_onnx_is_one_line_and_not_a_refusal_of_each_test(
    tmp_path: Path,
) -> None:
    ended = command.run("conformance", "--target", "torch", "-o", "kept", cwd=tmp_path)

    assert ended.code == 1
    assert ended.errors == ["error: torch:cpu starts from a PyTorch source; each test is an .onnx"]
    assert OutcomeLedger(tmp_path / "kept/ledger.jsonl").read() == []
