"""Measures with OpenVINO's benchmark_app.

It times files only, so what is planted is layers: see `chain`.
"""

from __future__ import annotations

import re
from pathlib import Path

import click

from benchmarks.peers import chain, environment
from benchmarks.peers.peer import SECONDS, Reading, output

MEDIAN = re.compile(r"Median:\s+([\d.]+) (us|ms)")
MICROSECONDS = {"us": 1.0, "ms": 1000.0}


def measure(slower: float, folder: Path) -> dict[str, Reading]:
    """Times one file after the other: one thread, float32, synchronous calls."""
    files = [folder / "first.onnx", folder / "second.onnx"]
    for path, share in zip(files, (0.0, slower), strict=True):
        chain.write(chain.layers(share), path)
    first, second = (median(output(command(path), folder)) for path in files)
    return {"": Reading(second / first)}


def command(path: Path) -> list[str]:
    """The command as its users call it for one thread."""
    settings = "-hint none -nireq 1 -nstreams 1 -nthreads 1 -infer_precision f32 -api sync"
    words = [*settings.split(), "-t", str(SECONDS), "-m", str(path)]
    return [str(environment.VENV / "bin/benchmark_app"), *words]


def median(words: str) -> float:
    """Reads the median from what it printed, in microseconds. Raises ClickException without one."""
    if (printed := MEDIAN.search(words)) is None:
        raise click.ClickException("benchmark_app printed no median")
    return float(printed[1]) * MICROSECONDS[printed[2]]
