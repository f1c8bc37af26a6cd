"""Tests a target against itself where it is harder, and the table of such runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from benchmarks import conditions, ledger
from toolkit.machine import describe
from toolkit.machine.facts import Gpu
from toolkit.runtimes.onnxruntime import CUDA_PROVIDER


def line(kind: str, *effects: float, different: bool = False) -> dict[str, Any]:
    """The line of a run of one pair, with twenty rounds a process start."""
    by_rounds = {str(count): [list(effects)] if count <= 20 else [] for count in conditions.ROUNDS}
    return {
        "kind": kind,
        "p50_ns": [1000.0, 1002.0],
        "effects": by_rounds,
        "different": [different],
        "half_widths": [0.006],
        "slower_at_first": [None, 0.02 if different else None],
    }


def test_a_condition_is_told_by_all_process_starts_of_its_runs() -> None:
    lines = [
        line("slow calls", -0.01, 0.0, 0.01),
        line("slow calls", -0.03, 0.0, 0.02, 0.01, different=True),
    ]
    row = conditions.row("slow calls", lines)
    assert (row.runs, row.starts) == (2, 3.5)
    assert (row.different.count, row.different.of) == (1, 2)
    assert (row.warming.count, row.warming.of) == (1, 4)
    assert row.largest == pytest.approx(0.03)
    assert row.spread == dict.fromkeys(("5", "10", "20"), pytest.approx(0.01633, abs=1e-4))
    assert row.call == pytest.approx(1.001e-6)


def test_the_table_has_the_conditions_in_their_order_and_no_refused_run() -> None:
    lines = [
        line("slow calls", -0.01, 0.0, 0.01),
        line("two, one thread", -0.01, 0.0, 0.01),
        {"kind": "in a browser", "refused": "too short"},
    ]
    table = conditions.markdown(lines).splitlines()
    assert [text.split(" | ")[0] for text in table[2:]] == ["| two, one thread", "| slow calls"]
    assert " – |" in table[2], "50 rounds were not measured"


@pytest.mark.process
@pytest.mark.parametrize("gpus", [[], [Gpu(name="H200", memory=1, driver="580")]], ids=len)
def test_a_condition_on_a_gpu_is_left_where_there_is_none(
    monkeypatch: pytest.MonkeyPatch, gpus: list[Gpu]
) -> None:
    monkeypatch.setattr(describe, "graphics", lambda: gpus)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA_PROVIDER])
    assert ("on a GPU" in conditions.possible([])) == bool(gpus)
    assert "slow calls" in conditions.possible([])


@pytest.mark.process
def test_what_another_machine_has_begun_is_not_gone_on_with_here() -> None:
    elsewhere = {**line("slow calls", 0.0), "machine": "another, 64 cores"}
    own = {**line("slow calls", 0.0), **ledger.stamp()}
    assert conditions.possible([elsewhere]) == {}
    assert "slow calls" in conditions.possible([own])


def test_a_row_on_a_gpu_says_on_which() -> None:
    lines = [{**line("on a GPU", -0.01, 0.0, 0.01), "machine": "Xeon, 16 cores, NVIDIA H200"}]
    assert conditions.row("on a GPU", lines).condition == "on a GPU, NVIDIA H200"


@pytest.mark.process
@pytest.mark.slow
def test_a_run_of_two_made_up_targets_is_a_line_of_their_effects(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    short = conditions.Condition(("fake,us=10", "fake,us=10,threads=1"), 20, 1)
    monkeypatch.setitem(conditions.CONDITIONS, "made up", short)
    run = conditions.run("made up", 3)
    assert "refused" not in run
    assert (run["kind"], run["seed"]) == ("made up", 3)
    assert run["p50_ns"] == [10_000.0, 10_000.0]
    starts = len(run["effects"]["20"][0])
    assert starts >= 10
    assert run["effects"]["20"] == [[0.0] * starts]
    assert run["different"] == [False]
    assert run["effects"]["50"] == []
