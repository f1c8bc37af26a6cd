"""The engine against planted truths: the same target twice, and copies that are known to be slower.

python -m benchmarks.trust              all that is still missing
python -m benchmarks.trust --time 10m   as much as fits into ten minutes
python -m benchmarks.trust --table      what there is so far
"""

from __future__ import annotations

import contextlib
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np

from benchmarks import charts, ledger
from benchmarks.ledger import Job, Ledger, Line
from benchmarks.rates import Rate, rate
from toolkit.cli.values import DURATION
from toolkit.engine.question import Wanted
from toolkit.errors import InputError
from toolkit.measure import schedule, stats
from toolkit.measure.stats import Interval, Outcome
from toolkit.pipelines.bench import Order, bench
from toolkit.records.schema import Record
from toolkit.report.ratios import effects
from toolkit.runtimes.target import parse

PLUGIN = Path(__file__).parent / "planted"
MODEL = Path("models/mlp/mlp.onnx")
RESAMPLED = 2000
SPINNERS = 2
"""Busy processes of the background load: as many as the smallest machine has cores."""


@dataclass(frozen=True)
class Kind:
    """Complete runs of one pair."""

    slower: float
    """The planted share."""
    time: float
    """Seconds of a run, process starts included."""
    wanted: int
    """Runs."""
    loaded: bool = False
    """With a background load of our own."""


KINDS = {
    "A/A": Kind(0.0, 10, 100),
    "2 %": Kind(0.02, 10, 40),
    "3 %": Kind(0.03, 10, 40),
    "1 %, 40 s": Kind(0.01, 40, 20),
    "A/A, loaded": Kind(0.0, 20, 12, loaded=True),
}


def run(name: str, seed: int) -> Line:
    """One complete run, as `toolkit bench` makes it."""
    kind = KINDS[name]
    both = ["planted:cpu,io=bound", f"planted:cpu,io=bound,slower={kind.slower:.0%}"]
    order = Order(
        targets=[parse(text) for text in both],
        wanted=Wanted(seed=seed),
        pace=schedule.pace(time=kind.time),
    )
    stamped = {"kind": name, "planted": kind.slower, **ledger.stamp(), "seed": seed}
    with tempfile.TemporaryDirectory() as folder, background(SPINNERS if kind.loaded else 0):
        began = time.monotonic()
        try:
            done = bench(MODEL, order, reports=folder).run
        except InputError as error:  # The machine is so busy that ten process starts do not fit.
            return {**stamped, "refused": error.what}
        whole = time.monotonic() - began
    found = effects(done, 0, 0, 1)
    (made,) = stats.compare([found], done.plan.alpha)
    interval = made.interval
    return {
        **stamped,
        "measured_s": round(done.generations[-1].ended, 3),
        "whole_s": round(whole, 3),
        "others": round(sum(float(g.others) for g in done.generations) / len(done.generations), 3),
        "p50_ns": [round(median_ns(record), 1) for record in done.records],
        "effects": [round(one, 7) for one in found],
        "ratio": made.ratio,
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "different": made.outcome is Outcome.DIFFERENT,
    }


@contextlib.contextmanager
def background(spinners: int) -> Iterator[None]:
    """Processes that never sleep, while the body runs."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(spinners)]
    try:
        yield
    finally:
        for one in busy:
            one.kill()
            one.wait()


def median_ns(record: Record) -> float:
    """A target's p50: the median over process starts of their medians."""
    series = record.timings[0].series
    return float(np.median([np.median(one.medians) for one in series]))


# What it shows


@dataclass(frozen=True)
class Row:
    """What the runs of one kind showed."""

    kind: str
    planted: float
    runs: int
    different: Rate
    """Runs that said so: false ones where nothing is planted; else on the right side."""
    spread: float
    """Standard deviation of the log ratio over the runs."""
    half_width: float
    """Of the interval: the median over the runs."""
    starts: float
    """Process starts of a run: the median."""
    truth: Interval | None
    """The ratio by all process starts of all runs together."""
    covered: Rate | None
    """Runs whose interval holds that ratio; None for resampled ones, where it is known."""
    resampled: bool = False


def row(kind: str, lines: Sequence[Line]) -> Row:
    """Of complete runs, none of them resampled."""
    planted = lines[0]["planted"]
    pooled = [one for line in lines for one in line["effects"]]
    truth = stats.hodges_lehmann(pooled, 0.05)
    found = sum(line["different"] and (planted == 0 or line["low"] > 1) for line in lines)
    held = [line for line in lines if line["low"] is not None]
    middle = 1.0 if planted == 0 or truth is None else truth.estimate
    covered = sum(line["low"] <= middle <= line["high"] for line in held)
    return Row(
        kind=kind,
        planted=planted,
        runs=len(lines),
        different=rate(found, len(lines)),
        spread=float(np.std([math.log(line["ratio"]) for line in lines], ddof=1)),
        half_width=float(np.median([math.log(one["high"] / one["low"]) / 2 for one in held])),
        starts=float(np.median([len(line["effects"]) for line in lines])),
        truth=truth,
        covered=rate(covered, len(held)),
    )


def resampled(kind: str, lines: Sequence[Line], slower: float) -> Row:
    """Runs drawn from the process starts of A/A runs, their signs flipped at random so that the
    truth is 0, and shifted by log(1 + slower)."""
    source = np.random.default_rng(1)
    pool = np.array([one for line in lines for one in line["effects"]])
    starts = int(np.median([len(line["effects"]) for line in lines]))
    drawn = source.choice(pool, (RESAMPLED, starts)) * source.choice([-1, 1], (RESAMPLED, starts))
    made = [stats.hodges_lehmann(one + math.log1p(slower), 0.05) for one in drawn]
    held = [one for one in made if one is not None]
    found = sum(one.low > 1 or (slower == 0 and one.high < 1) for one in held)
    return Row(
        kind=kind,
        planted=slower,
        runs=len(held),
        different=rate(found, len(held)),
        spread=float(np.std([math.log(one.estimate) for one in held], ddof=1)),
        half_width=float(np.median([one.half_width for one in held])),
        starts=starts,
        truth=None,
        covered=None,
        resampled=True,
    )


def rows(lines: Sequence[Line]) -> list[Row]:
    """The table: complete runs, then what is resampled from them."""
    by_kind = {kind: [line for line in lines if line["kind"] == kind] for kind in KINDS}
    found = [row(kind, some) for kind, some in by_kind.items() if len(some) > 1]
    if same := by_kind["A/A"]:
        found += [resampled(f"{slower:.0%}", same, slower) for slower in (0.05, 0.10)]
    if loaded := by_kind["A/A, loaded"]:
        found += [resampled("A/A, loaded", loaded, 0.0), resampled("2 %, loaded", loaded, 0.02)]
    return found


@dataclass(frozen=True)
class Goal:
    """What was set out to be reached."""

    text: str
    reached: bool


def goals(found: Sequence[Row]) -> list[Goal]:
    """A rate reaches its goal where its interval does not exclude it."""
    by_kind = {one.kind: one for one in found if not one.resampled}
    made = []
    if same := by_kind.get("A/A"):
        made += [
            Goal("false differences ≤ 5 %", same.different.at_most(0.05)),
            Goal("standard deviation of the A/A ratio ≤ 0.5 %", same.spread <= 0.005),
            Goal("half-width ≤ 1 %", same.half_width <= 0.01),
        ]
    for kind, least in (("2 %", 0.95), ("3 %", 1.0), ("1 %, 40 s", 0.95)):
        if one := by_kind.get(kind):
            made.append(Goal(f"{kind} found in ≥ {least:.0%}", one.different.at_least(least)))
    return made


def table(found: Sequence[Row]) -> str:
    """Markdown."""
    head = [
        "| pair | runs | said to differ | covered | SD of ratio | half-width | starts | truth |",
        "|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *map(_line, found)])


def _line(one: Row) -> str:
    truth = "–" if one.truth is None else f"{one.truth.estimate:.4f} ± {one.truth.half_width:.2%}"
    cells = [
        f"{one.kind}, resampled" if one.resampled else one.kind,
        str(one.runs),
        one.different.text,
        one.covered.text if one.covered else "–",
        f"{one.spread:.2%}",
        f"±{one.half_width:.2%}",
        f"{one.starts:g}",
        truth,
    ]
    return f"| {' | '.join(cells)} |"


@click.command()
@click.option("--time", "limit", type=DURATION, help="Stop after about so long; goes on next time.")
@click.option("--table", "only_table", is_flag=True, help="Measure nothing; print what there is.")
@click.option("--ledger", "path", type=click.Path(path_type=Path), help="Another results file.")
def main(limit: float | None, only_table: bool, path: Path | None) -> None:
    """Measures what is still missing, then prints the table and writes it."""
    book = Ledger(path) if path else ledger.of("trust")
    sys.path.append(str(PLUGIN))
    jobs = {name: Job(kind.wanted, kind.time) for name, kind in KINDS.items()}
    for line in () if only_table else ledger.go_on(book, jobs, run, limit):
        said = line.get("refused") or f"{line['ratio']:.4f}  {line['different']}"
        click.echo(f"{line['at']}  {line['kind']:12} {said}", err=True)
    publish(book)


def publish(book: Ledger) -> None:
    """Prints the table and the goals; writes both as JSON and the picture beside the ledger."""
    lines = measured(book.lines())
    if not lines:
        raise click.ClickException("nothing was measured yet")
    click.echo(markdown(book.lines()))
    found = rows(lines)
    summary = {
        "rows": [asdict(one) for one in found],
        "goals": [asdict(one) for one in goals(found)],
        "refused": len(book.lines()) - len(lines),
    }
    book.path.with_suffix(".json").write_text(json.dumps(summary, indent=1) + "\n")
    charts.runs(lines, list(KINDS), book.path.with_suffix(".svg"))


def measured(tried: Sequence[Line]) -> list[Line]:
    return [line for line in tried if "refused" not in line]


def markdown(tried: Sequence[Line]) -> str:
    """The table, and which goals were reached."""
    lines = measured(tried)
    found = rows(lines)
    refused = len(tried) - len(lines)
    said = [f"- {'reached' if one.reached else '**missed**'}: {one.text}" for one in goals(found)]
    note = (
        f"{refused} more runs were refused, since ten process starts did not fit into their time "
        "on so busy a machine."
    )
    return "\n".join([table(found), "", *([note, ""] if refused else []), *said])


if __name__ == "__main__":
    main()
