"""Shows what the number of calls in a block does to a ratio.

One target is measured against itself, with blocks whose lengths are forced.

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
"""Seconds of a run: 17 to 30 process starts of two targets fit into them."""


@dataclass(frozen=True)
class Pair:
    """The forced blocks of the first and of the second target, on the residual network."""

    batch: int
    first: Length
    second: Length


PAIRS = {
    "0.7 ms, 20 calls against 4": Pair(4, Length(20, 1), Length(4, 1)),
    "0.7 ms, 20 against 20": Pair(4, Length(20, 1), Length(20, 1)),
    "4.2 ms, 2 against 1, which is not discarded": Pair(24, Length(2, 1), Length(1, 0)),
    "4.2 ms, 5 against 4": Pair(24, Length(5, 1), Length(4, 1)),
}
"""Name → pair; a name says how long a call takes at that batch."""


def run(name: str, seed: int) -> Line:
    """Makes one run of a pair."""
    pair = PAIRS[name]
    order = BenchRequest(
        targets=[parse(text) for text in conditions.twice("onnxruntime:cpu")],
        wanted=FeedRequest(batch=(pair.batch,), seed=seed),
        pace=schedule.pace(time=TIME, quick=True),
        source=source.parse(conditions.CONVNET_SOURCE),
    )
    # Nothing but this sets the length of a block: the product calibrates it.
    lengths = (pair.first, pair.second)

    def forced(target_run: TargetRun, case: object, guess: object) -> Length:
        return lengths[target_run.target.index]

    head = {"kind": name, **ledger.stamp(), "seed": seed}
    model = conditions.model(conditions.CONDITIONS["slow calls"])
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(TargetRun, "_calibrated", forced),
    ):
        finished = bench(model, order, reports=folder).run
    return {**head, "effects": [round(effect, 7) for effect in effects(finished, 0, 0, 1)]}


def markdown(lines: Sequence[Line]) -> str:
    """The table: a line for each pair that was measured, by all process starts of its runs."""
    head = ["| blocks | starts | time of the second by time of the first |", "|---|---|---|"]
    return "\n".join([*head, *(_line(name, lines) for name in PAIRS if _effects(name, lines))])


def _effects(name: str, lines: Sequence[Line]) -> list[float]:
    return [effect for line in lines if line["kind"] == name for effect in line["effects"]]


def _line(name: str, lines: Sequence[Line]) -> str:
    logs = _effects(name, lines)
    ratio = stats.hodges_lehmann(logs, 0.05)
    words = f"{ratio.estimate:.4f} ({ratio.low:.4f} to {ratio.high:.4f})" if ratio else "too few"
    return f"| {name} | {len(logs)} | {words} |"


@click.command()
@ledger.options
def main(limit: float | None, only_table: bool, path: Path | None) -> None:
    """Measures what is still missing, then prints the table."""
    book = Ledger(path) if path else ledger.committed("blocks")
    jobs = {name: Job(1, TIME) for name in PAIRS}
    for line in () if only_table else ledger.go_on(book, jobs, run, limit):
        click.echo(f"{line['at']}  {line['kind']}", err=True)
    click.echo(markdown(book.lines()))


if __name__ == "__main__":
    main()
