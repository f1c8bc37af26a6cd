"""What the number of calls in a block does to a ratio: one target against itself, with blocks whose
lengths are forced.

    python -m benchmarks.blocks           all that is still missing
    python -m benchmarks.blocks --table   what there is so far
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import click

from benchmarks import conditions, ledger
from benchmarks.ledger import Job, Ledger, Line
from toolkit.engine.assignment import FeedRequest
from toolkit.engine.targetrun import TargetRun
from toolkit.measure import schedule, stats
from toolkit.measure.schedule import Length
from toolkit.pipelines.bench import BenchRequest, bench
from toolkit.records.pairing import effects
from toolkit.runtimes.target import parse
from toolkit.sources import source

TIME = 25.0
"""Seconds of a run."""


@dataclass(frozen=True)
class Pair:
    """The blocks of the first and of the second target, on the residual network."""

    batch: int
    first: Length
    second: Length


PAIRS = {
    "0.7 ms, 20 calls against 4": Pair(4, Length(20, 1), Length(4, 1)),
    "0.7 ms, 20 against 20": Pair(4, Length(20, 1), Length(20, 1)),
    "4.2 ms, 2 against 1, which is not discarded": Pair(24, Length(2, 1), Length(1, 0)),
    "4.2 ms, 5 against 4": Pair(24, Length(5, 1), Length(4, 1)),
}


def run(name: str, seed: int) -> Line:
    """One run of a pair."""
    pair = PAIRS[name]
    order = BenchRequest(
        targets=[parse(text) for text in conditions.twice("onnxruntime:cpu")],
        wanted=FeedRequest(batch=(pair.batch,), seed=seed),
        pace=schedule.pace(time=TIME, quick=True),
        source=source.parse(conditions.CONVNET_SOURCE),
    )
    lengths = (pair.first, pair.second)

    def forced(target_run: TargetRun, case: object, guess: object) -> Length:
        return lengths[target_run.target.index]

    stamped = {"kind": name, **ledger.stamp(), "seed": seed}
    model = conditions.model(conditions.CONDITIONS["slow calls"])
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(TargetRun, "_calibrated", forced),
    ):
        done = bench(model, order, reports=folder).run
    return {**stamped, "effects": [round(one, 7) for one in effects(done, 0, 0, 1)]}


def markdown(lines: Sequence[Line]) -> str:
    """A line for each pair, by all process starts of its runs."""
    head = ["| blocks | starts | time of the second by time of the first |", "|---|---|---|"]
    return "\n".join([*head, *(_line(name, lines) for name in PAIRS if _effects(name, lines))])


def _effects(name: str, lines: Sequence[Line]) -> list[float]:
    return [one for line in lines if line["kind"] == name for one in line["effects"]]


def _line(name: str, lines: Sequence[Line]) -> str:
    found = _effects(name, lines)
    made = stats.hodges_lehmann(found, 0.05)
    told = f"{made.estimate:.4f} ({made.low:.4f} to {made.high:.4f})" if made else "too few"
    return f"| {name} | {len(found)} | {told} |"


@click.command()
@ledger.options
def main(limit: float | None, only_table: bool, path: Path | None) -> None:
    """Measures what is still missing, then prints the table."""
    book = Ledger(path) if path else ledger.of("blocks")
    jobs = {name: Job(1, TIME) for name in PAIRS}
    for line in () if only_table else ledger.go_on(book, jobs, run, limit):
        click.echo(f"{line['at']}  {line['kind']}", err=True)
    click.echo(markdown(book.lines()))


if __name__ == "__main__":
    main()
