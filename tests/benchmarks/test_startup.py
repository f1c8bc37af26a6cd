"""Tests the waits on real commands; no time is asserted."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click
import pytest

from benchmarks import startup
from benchmarks.ledger import Ledger
from tests import small

pytestmark = pytest.mark.process


def test_a_command_is_waited_for_to_its_end() -> None:
    began = time.perf_counter()
    waited = startup.whole(["--version"])
    assert 0 < waited < time.perf_counter() - began


def test_a_command_that_fails_is_no_time() -> None:
    with pytest.raises(click.ClickException, match="No such option"):
        startup.whole(["--no-such-option"])


def test_the_first_block_lies_within_the_bench(tmp_path: Path) -> None:
    model = small.mlp(tmp_path / "m.onnx")
    began = time.perf_counter()
    waited = startup.first_block(["bench", str(model), "--target", "fake"])
    assert 0 < waited < time.perf_counter() - began


def test_a_bench_without_a_block_is_no_time(tmp_path: Path) -> None:
    with pytest.raises(click.ClickException, match="without a block"):
        startup.first_block(["bench", str(tmp_path / "none.onnx"), "--target", "fake"])


def test_a_table_of_made_up_waits() -> None:
    lines = [{"kind": "toolkit --help", "seconds": seconds} for seconds in (0.3, 0.1, 0.2)]
    lines.append({"kind": "toolkit doctor", "seconds": 2.0})
    assert startup.table(startup.rows(lines)).splitlines()[2:] == [
        "| toolkit --help | 3 | 0.20 s | 0.10 to 0.30 s |",
        "| toolkit doctor | 1 | 2.00 s | 2.00 to 2.00 s |",
    ]


def test_what_was_measured_is_written_beside_the_ledger(tmp_path: Path) -> None:
    book = Ledger(tmp_path / "s.jsonl")
    book.append({"kind": "toolkit --help", "seconds": 0.5})
    startup.publish(book)
    summary = json.loads((tmp_path / "s.json").read_text())
    assert summary["rows"] == [
        {"kind": "toolkit --help", "times": 1, "median": 0.5, "shortest": 0.5, "longest": 0.5}
    ]
    assert "toolkit --help" in (tmp_path / "s.svg").read_text()
