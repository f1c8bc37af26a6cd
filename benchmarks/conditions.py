"""Measures the same target twice, under conditions harder than two short calls on one thread.

    python -m benchmarks.conditions              all that is still missing
    python -m benchmarks.conditions --time 10m   as much as fits into ten minutes
    python -m benchmarks.conditions --table      what there is so far

For each condition it shows how far the log ratio of two equal targets scatters over process starts,
after how many rounds more of them pay nothing, and whether a process start still warms up while it
is measured.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
import onnxruntime

from benchmarks import ledger
from benchmarks.ledger import Job, Ledger, Line
from benchmarks.rates import Rate, rate
from benchmarks.trust import MODEL, PLUGIN
from toolkit.engine.assignment import FeedRequest
from toolkit.errors import InputError
from toolkit.machine import describe
from toolkit.measure import schedule, stats, steady
from toolkit.measure.stats import Outcome
from toolkit.pipelines.bench import BenchRequest, bench
from toolkit.pipelines.export import export
from toolkit.records.schema import Run, Series
from toolkit.runtimes.onnxruntime import CUDA_PROVIDER
from toolkit.runtimes.target import parse
from toolkit.sources import source
from toolkit.units import THIN, duration

CONVNET = Path("build/convnet/convnet.onnx")
CONVNET_SOURCE = "benchmarks/models/convnet.py:build"
ROUNDS = (5, 10, 20, 50)
"""Rounds of a process start after which its log ratio is kept."""


@dataclass(frozen=True)
class Condition:
    """Targets that are all the same, and how they are measured."""

    targets: tuple[str, ...]
    time: float
    """Seconds of a run."""
    wanted: int
    """The number of runs."""
    batch: int = 1
    convnet: bool = False
    """True: on the residual network; else on the reference model."""
    gpu: bool = False
    """True: only where there is an NVIDIA GPU."""


def twice(target: str) -> tuple[str, str]:
    """A target, and itself by another name: one thread is the default."""
    return target, f"{target},threads=1"


CONDITIONS = {
    "two, one thread": Condition(twice("onnxruntime:cpu,io=bound"), 20, 6),
    "two of 2 threads": Condition(
        ("onnxruntime:cpu,threads=2", "onnxruntime:cpu,spinning=off,threads=2"),
        60, 10, batch=8, convnet=True,
    ),
    # Zero written with one to eight figures: eight names for the same target.
    "eight alive": Condition(
        tuple(f"planted:cpu,io=bound,slower=0.{'0' * many}%" for many in range(1, 9)), 40, 6
    ),
    "slow calls": Condition(twice("onnxruntime:cpu"), 60, 10, batch=64, convnet=True),
    "slow to import": Condition(twice("torch:cpu"), 60, 6),
    "compiles while it starts": Condition(twice("torch:cpu,mode=compile"), 120, 5),
    "in a browser": Condition(twice("onnxruntime-web:wasm"), 180, 4),
    "on a GPU": Condition(twice("onnxruntime:cuda,io=bound"), 40, 4, gpu=True),
}  # fmt: skip
"""Name → condition. Options that change nothing (threads=1, slower=0.0%) make names unique."""


def possible(lines: Sequence[Line]) -> dict[str, Condition]:
    """The conditions that can be measured here: all rows but those on a GPU are of one machine."""
    others = {line["machine"] for line in lines if not CONDITIONS[line["kind"]].gpu}
    same = others <= {ledger.stamp()["machine"]}
    # A GPU is of no use to a build of ONNX Runtime that has no CUDA.
    gpu = bool(describe.graphics()) and CUDA_PROVIDER in onnxruntime.get_available_providers()
    return {
        name: condition
        for name, condition in CONDITIONS.items()
        if (gpu if condition.gpu else same)
    }


def run(name: str, seed: int) -> Line:
    """Makes one complete run, as `toolkit bench` does."""
    condition = CONDITIONS[name]
    order = BenchRequest(
        targets=[parse(text) for text in condition.targets],
        wanted=FeedRequest(batch=(condition.batch,), seed=seed),
        pace=schedule.pace(time=condition.time),
        source=source.parse(CONVNET_SOURCE) if condition.convnet else None,
    )
    head = {"kind": name, **ledger.stamp(), "seed": seed}
    with tempfile.TemporaryDirectory() as folder:
        try:
            finished = bench(model(condition), order, reports=folder).run
        except InputError as error:  # The machine is so busy that ten process starts do not fit.
            return {**head, "refused": error.what}
    targets = range(len(finished.records))
    comparisons = compared(finished)
    return {
        **head,
        "measured_s": round(finished.generations[-1].ended, 3),
        "p50_ns": [round(float(np.median(blocks(finished, i))), 1) for i in targets],
        "effects": {str(count): pairs(finished, count) for count in ROUNDS},
        "different": [pair.outcome is Outcome.DIFFERENT for pair in comparisons],
        "half_widths": [pair.interval.half_width for pair in comparisons if pair.interval],
        "slower_at_first": [late(finished, index) for index in targets],
    }


def model(condition: Condition) -> Path:
    """The model's file; the residual network is exported where it is missing."""
    if not condition.convnet:
        return MODEL
    if not CONVNET.exists():
        export(CONVNET_SOURCE, CONVNET, input=["image:float32[batch,3,32,32]"])
    return CONVNET


def series(finished: Run, target: int) -> list[Series]:
    return finished.records[target].timings[0].series


def blocks(finished: Run, target: int) -> list[float]:
    """The medians of all blocks of a target, in nanoseconds."""
    return [median for start in series(finished, target) for median in start.medians]


def pairs(finished: Run, rounds: int) -> list[list[float]]:
    """The log ratios of each target to the first, from so many rounds of each process start.

    None where a process start had fewer.
    """
    first = series(finished, 0)
    return [
        [
            round(stats.effect(a.medians[:rounds], b.medians[:rounds]), 7)
            for a, b in zip(first, series(finished, target), strict=True)
        ]
        for target in range(1, len(finished.records))
        if all(len(start.medians) >= rounds for start in first)
    ]


def compared(finished: Run) -> list[stats.Comparison]:
    """Compares each target with the first, by all its rounds."""
    return stats.compare(pairs(finished, finished.plan.rounds), finished.plan.alpha)


def late(finished: Run, target: int) -> float | None:
    """The ratio by which the first third of the rounds was slower; None where that is not shown."""
    ratio = steady.slower_at_first([start.medians for start in series(finished, target)])
    return None if ratio is None else ratio.estimate


@dataclass(frozen=True)
class Row:
    """The sum of the runs of one condition."""

    condition: str
    runs: int
    call: float
    """Seconds: the median over targets and runs."""
    starts: float
    """Process starts of a run: the median."""
    different: Rate
    """Runs in which some pair was said to differ, which is false."""
    half_width: float
    """The median over pairs and runs."""
    spread: dict[str, float]
    """Rounds → the standard deviation of the log ratio over process starts."""
    largest: float
    """The largest log ratio of a process start."""
    normal: float
    """The p-value of Shapiro and Wilk's test of the log ratios."""
    warming: Rate
    """Targets of all runs that were shown to be slower at first."""


def row(name: str, lines: Sequence[Line]) -> Row:
    """Sums up the runs of one condition; at least one of them."""
    logs = {
        str(count): [
            effect for line in lines for pair in line["effects"][str(count)] for effect in pair
        ]
        for count in ROUNDS
    }
    by_most_rounds = next(effects for effects in reversed(logs.values()) if effects)
    differ = [any(line["different"]) for line in lines]
    slower = [ratio is not None for line in lines for ratio in line["slower_at_first"]]
    from scipy.stats import shapiro  # A second of imports, which a run does not need.

    gpus = {line["machine"].rpartition(", ")[2] for line in lines if CONDITIONS[name].gpu}
    return Row(
        condition=", ".join((name, *sorted(gpus))),
        runs=len(lines),
        call=float(np.median([ns for line in lines for ns in line["p50_ns"]])) / 1e9,
        starts=float(np.median([len(line["effects"]["5"][0]) for line in lines])),
        different=rate(sum(differ), len(differ)),
        half_width=float(np.median([half for line in lines for half in line["half_widths"]])),
        spread={
            count: float(np.std(effects, ddof=1)) for count, effects in logs.items() if effects
        },
        largest=float(np.max(np.abs(by_most_rounds))),
        normal=float(shapiro(by_most_rounds).pvalue),
        warming=rate(sum(slower), len(slower)),
    )


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown."""
    counts = " | ".join(f"SD, {count} rounds" for count in ROUNDS)
    head = (
        f"| condition | runs | call | starts | false | half-width | {counts} | largest | normal |"
    )
    rule = "|---" * (9 + len(ROUNDS)) + "|"
    return "\n".join([head, rule, *map(_line, rows)])


def _line(row: Row) -> str:
    spreads = [f"{row.spread[str(n)]:.2%}" if str(n) in row.spread else "–" for n in ROUNDS]
    cells = [
        row.condition,
        str(row.runs),
        duration(row.call).replace(THIN, " "),
        f"{row.starts:g}",
        row.different.text,
        f"±{row.half_width:.2%}",
        *spreads,
        f"{row.largest:.1%}",
        f"p = {row.normal:.2g}",
    ]
    return f"| {' | '.join(cells)} |"


@click.command()
@ledger.options
def main(limit: float | None, only_table: bool, path: Path | None) -> None:
    """Measures what is still missing, then prints the table and writes it."""
    book = Ledger(path) if path else ledger.committed("conditions")
    sys.path.append(str(PLUGIN))  # The planted runtime is found by its entry point there.
    jobs = {
        name: Job(condition.wanted, condition.time)
        for name, condition in possible(book.lines()).items()
    }
    for line in () if only_table else ledger.go_on(book, jobs, run, limit):
        outcome = line.get("refused") or f"{sum(line['different'])} of {len(line['different'])}"
        click.echo(f"{line['at']}  {line['kind']:24} {outcome}", err=True)
    publish(book)


def publish(book: Ledger) -> None:
    """Prints the table; writes it as JSON beside the ledger.

    Raises ClickException without lines.
    """
    if not rows(book.lines()):
        raise click.ClickException("nothing was measured yet")
    click.echo(markdown(book.lines()))
    written = json.dumps({"rows": [asdict(row) for row in rows(book.lines())]}, indent=1)
    book.path.with_suffix(".json").write_text(f"{written}\n")


def rows(tried: Sequence[Line]) -> list[Row]:
    """A row for each condition that was measured, in their order; refused runs are left out."""
    measured = [line for line in tried if "refused" not in line]
    by_name = {name: [line for line in measured if line["kind"] == name] for name in CONDITIONS}
    return [row(name, lines) for name, lines in by_name.items() if lines]


def markdown(tried: Sequence[Line]) -> str:
    """The table as Markdown."""
    return table(rows(tried))


if __name__ == "__main__":
    main()
