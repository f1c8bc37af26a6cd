"""Keeps results as lines of JSON, one a run, in the order of time.

A program goes on where it stopped. Each line says when, where, with which commit and under which
load it was made, so that runs of several days can stand together.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from toolkit.cli.values import DURATION
from toolkit.machine import describe

RESULTS = Path(__file__).parent / "results"

MEASURING = ("toolkit", "benchmarks/*.py", "benchmarks/planted", "benchmarks/bare")
"""The files that a result depends on, as git takes them."""

BUSY = 20.0
"""Seconds to wait where the machine was too busy: a build or a test beside us may be over then."""

Line = Mapping[str, Any]
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Ledger:
    """The file with the results of one program."""

    path: Path

    def lines(self) -> list[Line]:
        """The results so far. A line that was cut off by a kill is left out."""
        if not self.path.exists():
            return []
        return list(_whole(self.path.read_text(encoding="utf-8").splitlines()))

    def append(self, line: Line) -> None:
        """Adds a result; it is on the disk when this returns."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Read first: a line that a kill cut off must not swallow the new one.
        with self.path.open("a+", encoding="utf-8") as file:
            file.seek(0)
            text = file.read()
            if text and not text.endswith("\n"):
                file.write("\n")  # A kill cut off the line before: it stays, and is left out.
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())


def committed(program: str) -> Ledger:
    """The results of a program that are in this repository."""
    return Ledger(RESULTS / f"{program}.jsonl")


def newest(lines: Sequence[Line]) -> list[Line]:
    """The lines without those of a model that was measured again later: of each model the newest,
    in the order in which the models came first. Lines of no model all stay."""
    last = {line["model"]: line for line in lines if "model" in line}
    seen: set[str] = set()
    kept = []
    for line in lines:
        model = line.get("model")
        if model is None:
            kept.append(line)
        elif model not in seen:
            seen.add(model)
            kept.append(last[model])
    return kept


def _whole(lines: list[str]) -> Iterator[Line]:
    for text in lines:
        try:
            yield json.loads(text)
        except json.JSONDecodeError:
            continue


def stamp() -> dict[str, Any]:
    """The first fields of every line: when and where it was made, with what, under which load."""
    machine = describe.describe()
    parts = (machine.cpu, f"{machine.cores} cores", *(gpu.name for gpu in machine.gpus))
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": ", ".join(parts),
        "load": os.getloadavg()[0],  # Of the last minute.
    }


def environment(**more: str) -> dict[str, str]:
    """The environment of a command that is measured: Python keeps its compiled code, as it does
    where toolkit is installed. Without it, each command compiles all of toolkit first."""
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "", **more}


def commit() -> str:
    """The commit of the code that measures, with a + where files of it were changed since."""
    root = Path(__file__).parent.parent

    def git(*words: str) -> str:
        ended = subprocess.run(
            ["git", *words], cwd=root, capture_output=True, text=True, check=True
        )
        return ended.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", *MEASURING)
    return git("rev-parse", "--short=10", "HEAD") + ("+" if changed else "")


def options(function: F) -> F:
    """Adds the options that every program has."""
    decorators = (
        click.option("--ledger", "path", type=click.Path(path_type=Path), help="Another file."),
        click.option("--table", "only_table", is_flag=True, help="Print what there is so far."),
        click.option("--time", "limit", type=DURATION, help="Stop after about so long."),
    )
    for option in decorators:
        function = option(function)
    return function


@dataclass(frozen=True)
class Job:
    """A kind of run, and how many of it are wanted."""

    wanted: int
    """Runs that shall stand in the ledger."""
    takes: float
    """The seconds that a run takes, about."""


def go_on(
    book: Ledger,
    jobs: Mapping[str, Job],
    run: Callable[[str, int], Line],
    limit: float | None,
    kind_of: Callable[[Line], str] = lambda line: str(line["kind"]),
) -> Iterator[Line]:
    """Measures what is missing, and yields each line once it is kept.

    `run` makes a line; it gets the name of the job and the number of lines so far, for its seed. No
    run begins that would end after `limit` seconds. A line with 'refused' was no measurement: the
    machine was too busy, so it is tried again after a while.
    """
    wanted, began = {name: job.wanted for name, job in jobs.items()}, time.monotonic()
    while True:
        # Read anew in each turn: another process may measure into the same ledger.
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
    """The kind of run that is furthest behind; None where all are done.

    So a program that is cut short has measured some of each.
    """
    open_ones = [kind for kind, count in wanted.items() if done(kind) < count]
    # By share: a kind of which twice as many are wanted is run twice as often.
    return min(open_ones, key=lambda kind: done(kind) / wanted[kind], default=None)
