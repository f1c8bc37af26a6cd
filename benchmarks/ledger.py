"""Results as lines of JSON, one a run, in the order of time: a program goes on where it stopped.

Each line says when, where, with which commit and under which load it was made, so that runs of
several days can stand together.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from toolkit.cli.values import DURATION
from toolkit.machine import describe

RESULTS = Path(__file__).parent / "results"

MEASURING = ("toolkit", "benchmarks/*.py", "benchmarks/planted", "benchmarks/bare")
"""What a result depends on."""

BUSY = 20.0
"""Seconds to wait where the machine was too busy."""

Line = Mapping[str, Any]
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Ledger:
    """The results of one program."""

    path: Path

    def lines(self) -> list[Line]:
        """All that was measured so far. A line that was cut off by a kill is left out."""
        if not self.path.exists():
            return []
        return list(_whole(self.path.read_text(encoding="utf-8").splitlines()))

    def append(self, line: Line) -> None:
        """Adds a result; it is on the disk when this returns."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a+", encoding="utf-8") as file:
            file.seek(0)
            text = file.read()
            if text and not text.endswith("\n"):
                file.write("\n")  # What a kill left of the line before.
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())


def of(program: str) -> Ledger:
    """The committed results of a program."""
    return Ledger(RESULTS / f"{program}.jsonl")


def _whole(lines: list[str]) -> Iterator[Line]:
    for text in lines:
        try:
            yield json.loads(text)
        except json.JSONDecodeError:
            continue


def stamp() -> dict[str, Any]:
    """When and where: the first fields of every line."""
    here = describe.describe()
    parts = (here.cpu, f"{here.cores} cores", *(gpu.name for gpu in here.gpus))
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": ", ".join(parts),
        "load": os.getloadavg()[0],
    }


def commit() -> str:
    """Of the code that measures; with a + where files of it were changed since."""
    root = Path(__file__).parent.parent

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", *MEASURING)
    return git("rev-parse", "--short=10", "HEAD") + ("+" if changed else "")


def options(function: F) -> F:
    """The options that every program has."""
    added = (
        click.option("--ledger", "path", type=click.Path(path_type=Path), help="Another file."),
        click.option("--table", "only_table", is_flag=True, help="Print what there is so far."),
        click.option("--time", "limit", type=DURATION, help="Stop after about so long."),
    )
    for option in added:
        function = option(function)
    return function


@dataclass(frozen=True)
class Job:
    """One kind of run."""

    wanted: int
    """Runs."""
    takes: float
    """Seconds of one, about."""


def go_on(
    book: Ledger,
    jobs: Mapping[str, Job],
    run: Callable[[str, int], Line],
    limit: float | None,
    kind_of: Callable[[Line], str] = lambda line: str(line["kind"]),
) -> Iterator[Line]:
    """Measures what is missing, and gives each line once it is kept; ends before `limit` seconds.

    `run` is given the job and how many lines there are, for its seed. A line with 'refused' was no
    measurement: the machine was too busy, so a while is waited and it is tried again.
    """
    wanted, began = {name: job.wanted for name, job in jobs.items()}, time.monotonic()
    while True:
        tried = book.lines()
        done = Counter(kind_of(line) for line in tried if "refused" not in line)
        name = next_of(wanted, done.__getitem__)
        if name is None or (limit and time.monotonic() - began + jobs[name].takes > limit):
            return
        line = run(name, len(tried))
        book.append(line)
        yield line
        if "refused" in line:
            time.sleep(BUSY)


def next_of(wanted: Mapping[str, int], done: Callable[[str], int]) -> str | None:
    """The kind of run that is furthest behind, so that a run cut short has some of each."""
    open_ones = [kind for kind, count in wanted.items() if done(kind) < count]
    return min(open_ones, key=lambda kind: done(kind) / wanted[kind], default=None)
