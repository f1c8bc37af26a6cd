"""Measures with hyperfine and its default settings: at least ten runs of each command.

It times whole processes, so the start of Python and of ONNX Runtime stands in its means. The
programs write down how long the calls alone took.
"""

from __future__ import annotations

import json
import math
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.peers.peer import Reading, output, percent, program

CALLS = 50_000
"""A process of so many calls lasts about half a second, and ten of each command ten seconds."""
MISSING = "hyperfine is missing and left out: apt install hyperfine"


def installed() -> bool:
    """True where hyperfine is there: it comes from the system, by the user's hand."""
    return shutil.which("hyperfine") is not None


def version() -> str:
    """'hyperfine 1.15.0' → '1.15.0'."""
    ended = subprocess.run(["hyperfine", "--version"], capture_output=True, text=True, check=True)
    return ended.stdout.split()[-1]


def measure(slower: float, folder: Path) -> dict[str, Reading]:
    """Gives two commands to one call of hyperfine, as its users compare."""
    calls = folder / "calls.txt"
    commands = [
        shlex.join(program("so_many_calls", percent(share), str(CALLS), str(calls)))
        for share in (0.0, slower)
    ]
    export = folder / "hyperfine.json"
    output(["hyperfine", "--export-json", str(export), *commands], folder)
    seconds = [float(text) for text in calls.read_text().split()]
    return read(json.loads(export.read_text()), seconds)


def read(export: dict[str, Any], calls: list[float]) -> dict[str, Reading]:
    """The reading of its exported JSON.

    Its words are `x ± σ times faster`; by our reading they say that the two differ where x - σ is
    above 1. `calls`: the seconds of the calls in each process.
    """
    first, second = export["results"]
    times, sigma = times_faster(first, second)
    share = sum(calls) / sum(first["times"] + second["times"])
    return {"": Reading(second["mean"] / first["mean"], times - sigma > 1, share)}


def times_faster(first: dict[str, Any], second: dict[str, Any]) -> tuple[float, float]:
    """x and σ, as it computes them: the error of a quotient of two independent means."""
    # It prints the faster one first, whichever was named first.
    slow, fast = sorted([first, second], key=lambda result: float(result["mean"]), reverse=True)
    times = slow["mean"] / fast["mean"]
    sigma = times * math.hypot(slow["stddev"] / slow["mean"], fast["stddev"] / fast["mean"])
    return times, sigma
