"""Tests the peers on outputs that the real tools printed; their paths are shortened."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import numpy_helper

from benchmarks import ledger
from benchmarks.ledger import Ledger
from benchmarks.peers import (
    benchmark_app,
    chain,
    environment,
    hyperfine,
    listing,
    peer,
    pyperf,
    sequential,
    summary,
    torch_timer,
)
from benchmarks.peers.__main__ import main
from benchmarks.peers.peer import Reading

OUTPUTS = Path(__file__).parent / "outputs"


def text(name: str) -> str:
    return (OUTPUTS / name).read_text(encoding="utf-8")


# What the tools print


def of_hyperfine(name: str) -> Reading:
    calls = [float(seconds) for seconds in text(f"hyperfine-{name}-calls.txt").split()]
    return hyperfine.read(json.loads(text(f"hyperfine-{name}.json")), calls)[""]


def test_hyperfines_words_are_read_as_it_prints_them() -> None:
    words = re.search(r"([\d.]+) ± ([\d.]+) times faster", text("hyperfine-differs.txt"))
    assert words is not None
    times, sigma = hyperfine.times_faster(*json.loads(text("hyperfine-differs.json"))["results"])
    assert f"{times:.2f} ± {sigma:.2f}" == f"{words[1]} ± {words[2]}"


def test_hyperfine_says_that_two_differ_where_its_interval_excludes_one() -> None:
    differs, alike = of_hyperfine("differs"), of_hyperfine("alike")
    assert differs.ratio == pytest.approx(1.49916 / 0.42428, rel=1e-4)
    assert differs.differs is True
    assert alike.ratio == pytest.approx(0.55331 / 0.69067, rel=1e-4)
    assert alike.differs is False


def test_of_hyperfines_time_the_calls_are_a_part() -> None:
    # 6.61262 s of calls in ten processes of 0.69067 s and ten of 0.55331 s.
    assert of_hyperfine("alike").share == pytest.approx(0.53157, abs=1e-4)


@pytest.mark.parametrize(
    ("words", "differs"), [("pyperf-differs.txt", True), ("pyperf-alike.txt", False)]
)
def test_pyperfs_word_is_taken_and_its_ratio_is_not_rounded(words: str, differs: bool) -> None:
    suites = [json.loads(text(f"pyperf-{name}.json")) for name in "ab"]
    reading = pyperf.read(text(words), *suites)[""]
    assert reading.differs is differs
    assert reading.ratio == pytest.approx(1.0357971550244192)


def test_pyperf_shows_the_mean_that_we_read() -> None:
    shown = re.search(r"\[a\] ([\d.]+) us", text("pyperf-differs.txt"))
    assert shown is not None
    assert f"{pyperf.mean(json.loads(text('pyperf-a.json'))) * 1e6:.2f}" == shown[1]


def test_the_median_of_benchmark_app_is_read_with_its_unit() -> None:
    assert benchmark_app.median(text("benchmark_app.txt")) == 255.88
    assert benchmark_app.median("[ INFO ]    Median:        1.25 ms") == 1250.0


def test_a_benchmark_app_without_a_median_is_told_so() -> None:
    with pytest.raises(click.ClickException, match="benchmark_app printed no median"):
        benchmark_app.median("[ ERROR ] no such file")


def test_torch_gives_two_medians() -> None:
    reading = torch_timer.read("[4e-06, 4.1e-06]")[""]
    assert reading.ratio == pytest.approx(1.025)
    assert reading.differs is None


def test_a_sequential_measurement_gives_three_readings() -> None:
    first = {"p50": 4000.0, "mean": 5000.0, "minimum": 3900.0}
    second = {"p50": 4100.0, "mean": 4500.0, "minimum": 3900.0}
    readings = sequential.read(first, second)
    assert {name: reading.ratio for name, reading in readings.items()} == {
        "p50": 1.025,
        "mean": 0.9,
        "minimum": 1.0,
    }


# What they start


def started(name: str, *words: str) -> str:
    """One of the programs, in our own environment, which has what it needs."""
    command = [sys.executable, str(environment.PROGRAMS / f"{name}.py"), *words]
    ended = subprocess.run(
        command, env=environment.variables(), capture_output=True, text=True, check=True
    )
    return ended.stdout


@pytest.mark.process
def test_the_program_that_times_each_call_prints_what_is_read() -> None:
    estimators = json.loads(started("for_seconds", "2%", "0.05"))
    assert set(estimators) == {"p50", "mean", "minimum"}
    assert 0 < estimators["minimum"] <= estimators["p50"]
    assert estimators["minimum"] <= estimators["mean"]


@pytest.mark.process
def test_the_program_that_makes_calls_adds_their_time(tmp_path: Path) -> None:
    file = tmp_path / "calls.txt"
    for _ in range(2):
        started("so_many_calls", "0%", "100", str(file))
    assert [float(line) > 0 for line in file.read_text().splitlines()] == [True, True]


@pytest.mark.process
def test_the_program_of_torch_prints_what_is_read() -> None:
    reading = torch_timer.read(started("torch_timers", "0.05", "0%", "0%"))[""]
    assert reading.ratio > 0
    assert reading.differs is None


@pytest.mark.process
def test_a_tool_that_fails_is_told_with_its_last_words(tmp_path: Path) -> None:
    failing = [sys.executable, "-c", "raise SystemExit('no such\\nmodel')"]
    with pytest.raises(click.ClickException, match=r"^python\S* failed: model$"):
        peer.output(failing, tmp_path)


def test_a_longer_chain_is_the_shorter_one_and_more_layers(tmp_path: Path) -> None:
    kinds = []
    for count in (2, 3):
        chain.write(count, tmp_path / f"{count}.onnx")
        model = onnx.load(tmp_path / f"{count}.onnx")
        onnx.checker.check_model(model, full_check=True)
        kinds.append([node.op_type for node in model.graph.node])
    assert kinds == [["Gemm", "Relu"] * 2, ["Gemm", "Relu"] * 3]
    weights = [
        {w.name: numpy_helper.to_array(w) for w in onnx.load(path).graph.initializer}
        for path in (tmp_path / "2.onnx", tmp_path / "3.onnx")
    ]
    assert all(np.array_equal(array, weights[1][name]) for name, array in weights[0].items())


def test_the_planted_shares_are_whole_layers() -> None:
    assert [chain.layers(slower) for slower in peer.KINDS.values()] == [100, 102, 103]


# Rows


def line(tool: str, kind: str, ratio: float, differs: bool | None = None) -> dict[str, Any]:
    readings = {"": {"ratio": ratio, "differs": differs, "share": 1.0}}
    return {"peer": tool, "kind": kind, "whole_s": 11.0, "readings": readings}


def only(lines: list[dict[str, Any]]) -> summary.Row:
    (row,) = summary.rows(lines)
    return row


def test_an_a_a_ratio_is_off_on_either_side() -> None:
    ratios = [1.0, 1.009, 1 / 1.015, 1.03, 1 / 1.06]
    same = only([line("some", "A/A", ratio) for ratio in ratios]).same
    assert same is not None
    assert {name: rate.count for name, rate in same.off.items()} == {"1 %": 3, "2 %": 2, "5 %": 1}
    assert same.different is None


def test_spread_and_hidden_are_those_of_the_log_ratio() -> None:
    same = only([line("some", "A/A", math.exp(percent / 100)) for percent in range(-10, 11)]).same
    assert same is not None
    assert same.spread == pytest.approx(math.sqrt(2 * 385 / 20) / 100)
    # Of 0, 1, 1, 2, 2 … 10, 10 per cent the twentieth is 10.
    assert same.hidden == pytest.approx(math.expm1(0.10))


def test_what_is_hidden_is_that_of_the_calls() -> None:
    halves = [line("some", "A/A", math.exp(percent / 100)) for percent in range(-10, 11)]
    for half in halves:
        half["readings"][""]["share"] = 0.5
    row = only(halves)
    assert row.share == 0.5
    assert row.same is not None
    assert row.same.hidden == pytest.approx(math.expm1(0.20))
    assert row.same.spread == pytest.approx(math.sqrt(2 * 385 / 20) / 100)


def test_a_tool_with_a_criterion_is_counted_by_it() -> None:
    row = only(
        [
            line("some", "A/A", 1.001, differs=True),
            line("some", "A/A", 1.04, differs=False),
            line("some", "2 %", 1.02, differs=True),
            line("some", "2 %", 1.02, differs=False),
            line("some", "2 %", 0.97, differs=True),
        ]
    )
    assert row.same is not None
    assert row.same.different is not None
    assert row.same.different.count == 1
    (planted,) = row.planted
    assert planted.kind == "2 %"
    assert planted.found is not None
    assert (planted.found.count, planted.found.of) == (1, 3)
    assert (planted.reversed.count, planted.reversed.of) == (1, 3)


def test_each_estimator_has_a_row() -> None:
    readings = {name: {"ratio": 1.0, "differs": None} for name in ("p50", "mean")}
    lines = [{"peer": "some", "kind": "A/A", "whole_s": 11.0, "readings": readings}] * 2
    assert [row.tool for row in summary.rows(lines)] == ["some, p50", "some, mean"]


def test_the_runs_of_trust_that_have_the_same_pairs_are_toolkits() -> None:
    run = {"whole_s": 10.4, "ratio": 1.02, "low": 1.01, "high": 1.03, "different": True}
    lines = [{**run, "kind": kind} for kind in ("A/A", "2 %", "1 %, 40 s", "A/A, loaded")]
    own = summary.of_toolkit(lines)
    assert [line["kind"] for line in own] == ["A/A", "2 %"]
    (row,) = summary.rows(own)
    assert row.tool == "toolkit"
    assert row.planted[0].found is not None
    assert row.planted[0].found.count == 1


def test_the_table_says_what_was_not_measured() -> None:
    table = summary.table([only([line("some", "2 %", 1.02)])]).splitlines()
    assert table[2] == "| some | 11 s | – | – | – | – | – | 0 of 1 | – | – |"


# The program


def test_each_tool_measures_each_pair() -> None:
    assert len(listing.JOBS) == 3 * len(listing.PEERS)
    assert {kind for _, kind in listing.JOBS.values()} == set(peer.KINDS)


def test_every_tool_comes_before_one_comes_again() -> None:
    wanted = {job: count for job, count in listing.wanted().items() if "hyperfine" not in job}
    done: Counter[str] = Counter()
    for _ in wanted:
        done[ledger.next_of(wanted, done.__getitem__) or ""] += 1
    assert set(done.values()) == {1}


def test_a_missing_hyperfine_is_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not hyperfine.installed()
    assert not any(job.startswith("hyperfine") for job in listing.wanted())


def test_the_tools_of_the_environment_have_their_versions() -> None:
    versions = [listing.PEERS[name].version() for name in listing.PEERS if name != "hyperfine"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in versions)


def test_a_table_is_printed_and_written_beside_the_ledger(tmp_path: Path) -> None:
    book = Ledger(tmp_path / "peers.jsonl")
    for ratio in (0.996, 1.004):
        book.append(line("some", "A/A", ratio))
        book.append(line("some", "3 %", ratio))
    with book.path.open("a") as file:
        file.write('{"peer": "some", "ki')
    ended = CliRunner().invoke(
        main, ["--table", "--ledger", str(book.path)], catch_exceptions=False
    )
    assert ended.exit_code == 0
    cells = "11 s | – | 0 / 0 / 0 of 2 | 0.57% | 0.4% | – | – | – | 1 of 2"
    assert f"| some | {cells} |" in ended.output
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "peers.json",
        "peers.jsonl",
        "peers.svg",
    ]
    (first, *_) = json.loads(book.path.with_suffix(".json").read_text())
    assert first["same"]["runs"] == 2
    assert "<svg" in book.path.with_suffix(".svg").read_text()


def test_a_table_of_nothing_is_told_so(tmp_path: Path) -> None:
    ended = CliRunner().invoke(main, ["--table", "--ledger", os.fspath(tmp_path / "none.jsonl")])
    assert ended.exit_code == 1
    assert "nothing was measured yet" in ended.output
