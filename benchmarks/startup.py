"""Measures how long one waits for a command's words, and for the first block that counts.

python -m benchmarks.startup              all that is still missing
python -m benchmarks.startup --time 2m    as much as fits into two minutes
python -m benchmarks.startup --table      what there is so far
"""

from __future__ import annotations

import atexit
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import click
import numpy as np

from benchmarks import charts, ledger
from benchmarks.ledger import Job, Ledger, Line
from toolkit.records import store

ROOT = Path(__file__).parent.parent
TOOLKIT = Path(sys.executable).with_name("toolkit")
LOOK = 0.05
"""Seconds between two looks at a run's folder: the measured process has the cores for itself."""
PATIENCE = 300
"""Seconds after which a run that shows no block is given up: the slowest so far took 8."""


def whole(words: Sequence[str]) -> float:
    """Seconds from the start of a command to its end.

    Raises ClickException with the words of a command that fails.
    """
    began = time.perf_counter()
    ended = subprocess.run([TOOLKIT, *words], cwd=ROOT, env=_environment(), capture_output=True)
    took = time.perf_counter() - began
    if ended.returncode not in (0, 1):  # 1: doctor found something, and said so.
        raise click.ClickException(f"toolkit {' '.join(words)}: {ended.stderr.decode().strip()}")
    return took


def first_block(words: Sequence[str]) -> float:
    """Seconds from the start of a bench to the start of its first block.

    A run counts its blocks' starts from the moment at which its verdicts stand in run.json, which
    is renamed to its place then: so the file itself holds that moment. The run is ended after its
    first process starts. Raises ClickException where it ends without a block.
    """
    with tempfile.TemporaryDirectory() as scratch:
        began = time.time()  # The clock of st_ctime.
        with subprocess.Popen(
            [TOOLKIT, *words, "-o", scratch],
            cwd=ROOT,
            env=_environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # A shell that started us in the background has told all of us to ignore ^C.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        ) as process:
            try:
                folder = _first_generation(Path(scratch), process)
                # ctime, which the rename sets; mtime is when its bytes were written.
                judged = (folder / store.RUN).stat().st_ctime
                (first, *_) = store.parts(folder, store.head(folder).plan)
            finally:
                process.send_signal(signal.SIGINT)
    blocks = [case.series.starts[0] for target in first.targets for case in target.cases]
    return judged - began + min(blocks)


def _first_generation(reports: Path, process: subprocess.Popen[bytes]) -> Path:
    """The folder of the run, as soon as its first process starts are kept in it."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        generation = next(reports.glob(f"*/{store.GENERATIONS}/*.npz"), None)
        if generation is not None:
            return generation.parent.parent
        time.sleep(LOOK)
    raise click.ClickException("the bench ended without a block")


def _environment() -> dict[str, str]:
    """Makes a command import this checkout's toolkit, whichever is installed."""
    return ledger.environment(PYTHONPATH=str(ROOT))


@dataclass(frozen=True)
class Kind:
    """A command and what to wait for."""

    words: Sequence[str]
    wait: Callable[[Sequence[str]], float]
    wanted: int
    """The number of times."""
    model: str = ""
    """The model of benchmarks/scale/models.py that the command takes; empty: none of them."""


KINDS = {
    "toolkit --help": Kind(("--help",), whole, 20),
    "toolkit doctor": Kind(("doctor",), whole, 10),
    "first block of toolkit bench": Kind(("bench", "models/mlp/mlp.onnx"), first_block, 10),
    "first block of toolkit bench, BERT-base": Kind(("bench",), first_block, 5, "bert"),
}


def run(name: str) -> Line:
    """Waits once."""
    kind = KINDS[name]
    stamp = ledger.stamp()
    command = " ".join(["toolkit", *kind.words, *([f"{kind.model}.onnx"] if kind.model else [])])
    words = [*kind.words, *([str(_exported(kind.model))] if kind.model else [])]
    seconds = round(kind.wait(words), 4)
    return {"kind": name, "command": command, **stamp, "seconds": seconds}


@cache
def _exported(model: str) -> Path:
    """Exports one of the models by PyTorch alone, once, to a folder that goes with this process."""
    folder = tempfile.TemporaryDirectory(prefix="startup-")
    atexit.register(folder.cleanup)
    file = Path(folder.name) / f"{model}.onnx"
    bare = [sys.executable, "-m", "benchmarks.scale.bare", model, str(file)]
    ended = subprocess.run(bare, cwd=ROOT, env=_environment(), capture_output=True)
    if ended.returncode:
        raise click.ClickException(ended.stderr.decode().strip())
    return file


# The table


@dataclass(frozen=True)
class Row:
    """The waits of one kind, in seconds."""

    kind: str
    times: int
    median: float
    shortest: float
    longest: float


def rows(lines: Sequence[Line]) -> list[Row]:
    """A row for each kind that was measured."""
    return [row(kind, waits) for kind in KINDS if (waits := seconds(lines, kind))]


def seconds(lines: Sequence[Line], kind: str) -> list[float]:
    return [line["seconds"] for line in lines if line["kind"] == kind]


def row(kind: str, waits: Sequence[float]) -> Row:
    return Row(kind, len(waits), float(np.median(waits)), min(waits), max(waits))


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown."""
    head = ["| wait for | times | median | range |", "|---|---|---|---|"]
    return "\n".join([*head, *map(_line, rows)])


def _line(row: Row) -> str:
    spread = f"{row.shortest:.2f} to {row.longest:.2f} s"
    return f"| {row.kind} | {row.times} | {row.median:.2f} s | {spread} |"


@click.command()
@ledger.options
def main(limit: float | None, only_table: bool, path: Path | None) -> None:
    """Measures what is still missing, then prints the table and writes it."""
    book = Ledger(path) if path else ledger.committed("startup")
    jobs = {name: Job(kind.wanted, 0.0) for name, kind in KINDS.items()}
    for line in () if only_table else ledger.go_on(book, jobs, lambda name, _: run(name), limit):
        click.echo(f"{line['at']}  {line['kind']}", err=True)
    publish(book)


def publish(book: Ledger) -> None:
    """Prints the table; writes it as JSON and the picture beside the ledger.

    Raises ClickException without lines.
    """
    lines = book.lines()
    if not lines:
        raise click.ClickException("nothing was measured yet")
    click.echo(markdown(lines))
    summary = {"rows": [asdict(row) for row in rows(lines)]}
    book.path.with_suffix(".json").write_text(json.dumps(summary, indent=1) + "\n")
    charts.dots({kind: seconds(lines, kind) for kind in KINDS}, book.path.with_suffix(".svg"))


def markdown(lines: Sequence[Line]) -> str:
    """The table as Markdown."""
    return table(rows(lines))


if __name__ == "__main__":
    main()
