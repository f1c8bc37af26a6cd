"""The same target twice, under conditions that are harder than two short calls on one thread.

    python -m benchmarks.conditions              all that is still missing
    python -m benchmarks.conditions --time 10m   as much as fits into ten minutes
    python -m benchmarks.conditions --table      what there is so far

What it shows for each: how far the log ratio of two equal targets scatters over process starts,
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
from scipy.stats import shapiro

from benchmarks import ledger
from benchmarks.ledger import Job, Ledger, Line
from benchmarks.rates import Rate, rate
from benchmarks.trust import MODEL, PLUGIN
from toolkit import export
from toolkit.engine.assignment import FeedRequest
from toolkit.errors import InputError
from toolkit.machine import describe
from toolkit.measure import schedule, stats, steady
from toolkit.measure.stats import Outcome
from toolkit.pipelines.bench import BenchRequest, bench
from toolkit.records.schema import Run, Series
from toolkit.runtimes.onnxruntime import CUDA_PROVIDER
from toolkit.runtimes.target import parse
from toolkit.sources import source
from toolkit.units import THIN, duration

CONVNET = Path("build/convnet/convnet.onnx")
CONVNET_SOURCE = "benchmarks/models/convnet.py:build"
ROUNDS = (5, 10, 20, 50)


@dataclass(frozen=True)
class Condition:
    """Targets that are all the same."""

    targets: tuple[str, ...]
    time: float
    """Seconds of a run."""
    wanted: int
    """Runs."""
    batch: int = 1
    convnet: bool = False
    """On the residual network; else on the reference model."""
    gpu: bool = False
    """Where there is an NVIDIA GPU."""


def twice(target: str) -> tuple[str, str]:
    """A target and itself by another name: one thread is the default."""
    return target, f"{target},threads=1"


CONDITIONS = {
    "two, one thread": Condition(twice("onnxruntime:cpu,io=bound"), 20, 6),
    "two of 2 threads": Condition(
        ("onnxruntime:cpu,threads=2", "onnxruntime:cpu,spinning=off,threads=2"),
        60, 10, batch=8, convnet=True,
    ),
    "eight alive": Condition(
        tuple(f"planted:cpu,io=bound,slower=0.{'0' * many}%" for many in range(1, 9)), 40, 6
    ),
    "slow calls": Condition(twice("onnxruntime:cpu"), 60, 10, batch=64, convnet=True),
    "slow to import": Condition(twice("torch:cpu"), 60, 6),
    "compiles while it starts": Condition(twice("torch:cpu,mode=compile"), 120, 5),
    "in a browser": Condition(twice("onnxruntime-web:wasm"), 180, 4),
    "on a GPU": Condition(twice("onnxruntime:cuda,io=bound"), 40, 4, gpu=True),
}  # fmt: skip


def possible(lines: Sequence[Line]) -> dict[str, Condition]:
    """Those that can be measured here: a table is of one machine, but for its rows on a GPU."""
    others = {line["machine"] for line in lines if not CONDITIONS[line["kind"]].gpu}
    same = others <= {ledger.stamp()["machine"]}
    gpu = bool(describe.graphics()) and CUDA_PROVIDER in onnxruntime.get_available_providers()
    return {name: one for name, one in CONDITIONS.items() if (gpu if one.gpu else same)}


def run(name: str, seed: int) -> Line:
    """One complete run, as `toolkit bench` makes it."""
    condition = CONDITIONS[name]
    order = BenchRequest(
        targets=[parse(text) for text in condition.targets],
        wanted=FeedRequest(batch=(condition.batch,), seed=seed),
        pace=schedule.pace(time=condition.time),
        source=source.parse(CONVNET_SOURCE) if condition.convnet else None,
    )
    stamped = {"kind": name, **ledger.stamp(), "seed": seed}
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = bench(model(condition), order, reports=folder).run
        except InputError as error:  # The machine is so busy that ten process starts do not fit.
            return {**stamped, "refused": error.what}
    return {
        **stamped,
        "measured_s": round(done.generations[-1].ended, 3),
        "p50_ns": [round(float(np.median(blocks(done, i))), 1) for i in range(len(done.records))],
        "effects": {str(count): pairs(done, count) for count in ROUNDS},
        "different": [made.outcome is Outcome.DIFFERENT for made in compared(done)],
        "half_widths": [made.interval.half_width for made in compared(done) if made.interval],
        "slower_at_first": [late(done, index) for index in range(len(done.records))],
    }


def model(condition: Condition) -> Path:
    """The file; the residual network is exported where it is not there."""
    if not condition.convnet:
        return MODEL
    if not CONVNET.exists():
        export(CONVNET_SOURCE, CONVNET, input=["image:float32[batch,3,32,32]"])
    return CONVNET


def series(done: Run, target: int) -> list[Series]:
    return done.records[target].timings[0].series


def blocks(done: Run, target: int) -> list[float]:
    return [median for one in series(done, target) for median in one.medians]


def pairs(done: Run, rounds: int) -> list[list[float]]:
    """The log ratios of each target to the first, from so many rounds of each process start; none
    where a process start had fewer."""
    first = series(done, 0)
    return [
        [
            round(stats.effect(a.medians[:rounds], b.medians[:rounds]), 7)
            for a, b in zip(first, series(done, target), strict=True)
        ]
        for target in range(1, len(done.records))
        if all(len(one.medians) >= rounds for one in first)
    ]


def compared(done: Run) -> list[stats.Comparison]:
    """Each target against the first, by all its rounds."""
    return stats.compare(pairs(done, done.plan.rounds), done.plan.alpha)


def late(done: Run, target: int) -> float | None:
    """How much slower the first third of the rounds was; None: not shown."""
    found = steady.slower_at_first([one.medians for one in series(done, target)])
    return None if found is None else found.estimate


@dataclass(frozen=True)
class Row:
    """What the runs of one condition showed."""

    condition: str
    runs: int
    call: float
    """Seconds."""
    starts: float
    """Process starts of a run: the median."""
    different: Rate
    """Runs in which a pair was said to differ: falsely."""
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
    last = {str(count): [e for line in lines for pair in line["effects"][str(count)] for e in pair]
            for count in ROUNDS}  # fmt: skip
    most = next(found for found in reversed(last.values()) if found)
    said = [any(line["different"]) for line in lines]
    slower = [one is not None for line in lines for one in line["slower_at_first"]]
    gpus = {line["machine"].rpartition(", ")[2] for line in lines if CONDITIONS[name].gpu}
    return Row(
        condition=", ".join((name, *sorted(gpus))),
        runs=len(lines),
        call=float(np.median([ns for line in lines for ns in line["p50_ns"]])) / 1e9,
        starts=float(np.median([len(line["effects"]["5"][0]) for line in lines])),
        different=rate(sum(said), len(said)),
        half_width=float(np.median([one for line in lines for one in line["half_widths"]])),
        spread={count: float(np.std(found, ddof=1)) for count, found in last.items() if found},
        largest=float(np.max(np.abs(most))),
        normal=float(shapiro(most).pvalue),
        warming=rate(sum(slower), len(slower)),
    )


def table(found: Sequence[Row]) -> str:
    """Markdown."""
    counts = " | ".join(f"SD, {count} rounds" for count in ROUNDS)
    head = (
        f"| condition | runs | call | starts | false | half-width | {counts} | largest | normal |"
    )
    rule = "|---" * (9 + len(ROUNDS)) + "|"
    return "\n".join([head, rule, *map(_line, found)])


def _line(one: Row) -> str:
    spreads = [f"{one.spread[str(n)]:.2%}" if str(n) in one.spread else "–" for n in ROUNDS]
    cells = [
        one.condition,
        str(one.runs),
        duration(one.call).replace(THIN, " "),
        f"{one.starts:g}",
        one.different.text,
        f"±{one.half_width:.2%}",
        *spreads,
        f"{one.largest:.1%}",
        f"p = {one.normal:.2g}",
    ]
    return f"| {' | '.join(cells)} |"


@click.command()
@ledger.options
def main(limit: float | None, only_table: bool, path: Path | None) -> None:
    """Measures what is still missing, then prints the table and writes it."""
    book = Ledger(path) if path else ledger.of("conditions")
    sys.path.append(str(PLUGIN))
    jobs = {name: Job(one.wanted, one.time) for name, one in possible(book.lines()).items()}
    for line in () if only_table else ledger.go_on(book, jobs, run, limit):
        said = line.get("refused") or f"{sum(line['different'])} of {len(line['different'])}"
        click.echo(f"{line['at']}  {line['kind']:24} {said}", err=True)
    publish(book)


def publish(book: Ledger) -> None:
    """Prints the table; writes it as JSON beside the ledger."""
    if not rows(book.lines()):
        raise click.ClickException("nothing was measured yet")
    click.echo(markdown(book.lines()))
    written = json.dumps({"rows": [asdict(one) for one in rows(book.lines())]}, indent=1)
    book.path.with_suffix(".json").write_text(f"{written}\n")


def rows(tried: Sequence[Line]) -> list[Row]:
    """Of the conditions that were measured."""
    lines = [line for line in tried if "refused" not in line]
    by_name = {name: [one for one in lines if one["kind"] == name] for name in CONDITIONS}
    return [row(name, some) for name, some in by_name.items() if some]


def markdown(tried: Sequence[Line]) -> str:
    """The table."""
    return table(rows(tried))


if __name__ == "__main__":
    main()
