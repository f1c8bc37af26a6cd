"""Measures with pyperf: a script with Runner().bench_func, then `compare_to`, whose word counts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.peers import environment
from benchmarks.peers.peer import Measure, Reading, output, percent, program

HIDDEN = "not significant"
"""The words of compare_to for a difference that it does not count."""


def measure_with(processes: int | None) -> Measure:
    """Measures with so many processes of each target; None: with pyperf's default, which is 20."""
    return partial(_measure, [] if processes is None else [f"--processes={processes}"])


def _measure(options: Sequence[str], slower: float, folder: Path) -> dict[str, Reading]:
    # One target after the other: pyperf has no other way.
    files = {"a.json": 0.0, "b.json": slower}
    for file, share in files.items():
        output(program("pyperf_runner", percent(share), "-o", file, *options), folder)
    compare = [str(environment.PYTHON), "-m", "pyperf", "compare_to", *files]
    suites = [json.loads((folder / file).read_text()) for file in files]
    return read(output(compare, folder), *suites)


def read(words: str, first: dict[str, Any], second: dict[str, Any]) -> dict[str, Reading]:
    """The reading of what compare_to printed, `words`, and of the two files.

    It rounds the ratio, so that comes from the files.
    """
    return {"": Reading(mean(second) / mean(first), HIDDEN not in words.lower())}


def mean(suite: dict[str, Any]) -> float:
    """The mean in seconds over all values of all processes, as pyperf shows it."""
    (benchmark,) = suite["benchmarks"]
    values = [value for run in benchmark["runs"] for value in run.get("values", [])]
    return float(sum(values) / len(values))
