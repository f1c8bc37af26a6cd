"""Tests the engine on planted truths: the same target twice, and copies known to be slower.

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
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click
import numpy as np

from benchmarks import charts, ledger
from benchmarks.ledger import Job, Ledger, Line
from benchmarks.rates import Rate, rate
from toolkit.engine.assignment import FeedRequest
from toolkit.errors import InputError
from toolkit.measure import schedule, stats
from toolkit.measure.stats import Interval, Outcome
from toolkit.pipelines.bench import BenchRequest, bench
from toolkit.records.pairing import effects
from toolkit.records.schema import TargetRecord
from toolkit.runtimes.target import parse

PLUGIN = Path(__file__).parent / "planted"
MODEL = Path("models/mlp/mlp.onnx")
RESAMPLED = 2000
"""Runs that are drawn: a share of them is known to ±1 % and better."""
SPINNERS = 2
"""Busy processes of the background load: as many as the smallest machine has cores."""


@dataclass(frozen=True)
class Kind:
    """A kind of complete run, with one pair of targets."""

    slower: float
    """The share by which the second target is planted to be slower."""
    time: float
    """Seconds of a run, process starts included."""
    wanted: int
    """The number of runs."""
    loaded: bool = False
    """True: with a background load of our own."""


KINDS = {
    "A/A": Kind(0.0, 10, 100),
    "2 %": Kind(0.02, 10, 40),
    "3 %": Kind(0.03, 10, 40),
    # 1 % is about the spread of two fresh processes: it takes more of them, so more time.
    "1 %, 40 s": Kind(0.01, 40, 20),
    "A/A, loaded": Kind(0.0, 20, 12, loaded=True),
}


def run(name: str, seed: int) -> Line:
    """Makes one complete run, as `toolkit bench` does."""
    kind = KINDS[name]
    both = ["planted:cpu,io=bound", f"planted:cpu,io=bound,slower={kind.slower:.0%}"]
    order = BenchRequest(
        targets=[parse(text) for text in both],
        wanted=FeedRequest(seed=seed),
        pace=schedule.pace(time=kind.time),
    )
    head = {"kind": name, "planted": kind.slower, **ledger.stamp(), "seed": seed}
    with tempfile.TemporaryDirectory() as folder, background(SPINNERS if kind.loaded else 0):
        began = time.monotonic()
        try:
            finished = bench(MODEL, order, reports=folder).run
        except InputError as error:  # The machine is so busy that ten process starts do not fit.
            return {**head, "refused": error.what}
        whole = time.monotonic() - began
    logs = effects(finished, 0, 0, 1)
    (comparison,) = stats.compare([logs], finished.plan.alpha)
    interval = comparison.interval
    others = [float(generation.others) for generation in finished.generations]
    return {
        **head,
        "measured_s": round(finished.generations[-1].ended, 3),
        "whole_s": round(whole, 3),
        "others": round(sum(others) / len(others), 3),
        "p50_ns": [round(median_ns(record), 1) for record in finished.records],
        "effects": [round(effect, 7) for effect in logs],
        "ratio": comparison.ratio,
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "different": comparison.outcome is Outcome.DIFFERENT,
    }


@contextlib.contextmanager
def background(spinners: int) -> Iterator[None]:
    """Runs so many processes that never sleep, until the body ends."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(spinners)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def median_ns(record: TargetRecord) -> float:
    """A target's p50: the median over process starts of their medians."""
    series = record.timings[0].series
    return float(np.median([np.median(start.medians) for start in series]))


# The table


@dataclass(frozen=True)
class Row:
    """The sum of the runs of one kind."""

    kind: str
    planted: float
    runs: int
    different: Rate
    """Runs that showed a difference, on the right side; a false one where nothing is planted."""
    spread: float
    """Standard deviation of the log ratio over the runs."""
    half_width: float
    """Half the width of the interval: the median over the runs."""
    starts: float
    """Process starts of a run: the median."""
    truth: Interval | None
    """The ratio by all process starts of all runs together."""
    covered: Rate
    """Runs whose interval contains that ratio, or 1 where nothing is planted."""

    @property
    def middle(self) -> float:
        """The ratio that the intervals should contain."""
        return 1.0 if self.planted == 0 or self.truth is None else self.truth.estimate


@dataclass(frozen=True)
class Drawn:
    """The sum of runs that were not made, but drawn from the process starts of others.

    They show power only: signs that are flipped at random cannot show a false difference.
    """

    kind: str
    planted: float
    runs: int
    found: float
    """The share of them that showed a difference on the right side."""
    half_width: float
    """The median over the runs."""
    starts: int


def row(kind: str, lines: Sequence[Line]) -> Row:
    """Sums up complete runs of a kind; at least two of them."""
    planted = lines[0]["planted"]
    # Where nothing is planted, a difference is false on either side.
    different = sum(line["different"] and (planted == 0 or line["low"] > 1) for line in lines)
    held = [line for line in lines if line["low"] is not None]
    uncovered = Row(
        kind=kind,
        planted=planted,
        runs=len(lines),
        different=rate(different, len(lines)),
        spread=float(np.std([math.log(line["ratio"]) for line in lines], ddof=1)),
        half_width=float(np.median([math.log(line["high"] / line["low"]) / 2 for line in held])),
        starts=float(np.median([len(line["effects"]) for line in lines])),
        truth=stats.hodges_lehmann(all_effects(lines), 0.05),
        covered=rate(0, len(held)),  # Not known before the truth is.
    )
    covered = sum(line["low"] <= uncovered.middle <= line["high"] for line in held)
    return replace(uncovered, covered=rate(covered, len(held)))


def all_effects(lines: Sequence[Line]) -> list[float]:
    """The log ratios of all process starts of all runs."""
    return [effect for line in lines for effect in line["effects"]]


def drawn(kind: str, lines: Sequence[Line], slower: float) -> Drawn:
    """Draws runs from the process starts of A/A runs.

    Their signs are flipped at random, so that the truth is 0, and they are shifted by
    log(1 + slower).
    """
    # Seeded, so that the same lines give the same table.
    source = np.random.default_rng(1)
    starts = int(np.median([len(line["effects"]) for line in lines]))
    shape = (RESAMPLED, starts)
    runs = source.choice(np.array(all_effects(lines)), shape) * source.choice([-1, 1], shape)
    intervals = [stats.hodges_lehmann(run + math.log1p(slower), 0.05) for run in runs]
    held = [interval for interval in intervals if interval is not None]
    return Drawn(
        kind=kind,
        planted=slower,
        runs=len(held),
        found=sum(interval.low > 1 for interval in held) / len(held),
        half_width=float(np.median([interval.half_width for interval in held])),
        starts=starts,
    )


def by_kind(lines: Sequence[Line]) -> dict[str, list[Line]]:
    """Kind → its lines, in the order of KINDS."""
    return {kind: [line for line in lines if line["kind"] == kind] for kind in KINDS}


def rows(lines: Sequence[Line]) -> list[Row]:
    """A row for each kind of which there are two complete runs or more."""
    return [row(kind, same) for kind, same in by_kind(lines).items() if len(same) > 1]


def all_drawn(lines: Sequence[Line]) -> list[Drawn]:
    """Draws all runs that were not made, from those that were."""
    kinds = by_kind(lines)
    wanted = [("5 %", "A/A", 0.05), ("10 %", "A/A", 0.10), ("2 %, loaded", "A/A, loaded", 0.02)]
    return [drawn(kind, kinds[pool], slower) for kind, pool, slower in wanted if kinds[pool]]


@dataclass(frozen=True)
class Goal:
    """A goal that was set before anything was measured, and whether it is reached."""

    text: str
    reached: bool


def goals(rows: Sequence[Row]) -> list[Goal]:
    """The goals of the kinds that were measured.

    A rate reaches its goal where its interval does not exclude it.
    """
    known = {row.kind: row for row in rows}
    all_goals = []
    if same := known.get("A/A"):
        different = same.different
        all_goals += [
            Goal(f"false differences ≤ 5 %: {different.text}", different.at_most(0.05)),
            Goal(
                f"standard deviation of the A/A ratio ≤ 0.5 %: {same.spread:.2%}",
                same.spread <= 0.005,
            ),
            Goal(f"half-width ≤ 1 %: ±{same.half_width:.2%}", same.half_width <= 0.01),
        ]
    for kind, least in (("2 %", 0.95), ("3 %", 1.0), ("1 %, 40 s", 0.95)):
        if row := known.get(kind):
            text = f"{kind} found in ≥ {100 * least:.0f} %: {row.different.text}"
            all_goals.append(Goal(text, row.different.at_least(least)))
    return all_goals


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown."""
    head = [
        "| pair | runs | said to differ | covered | SD of ratio | half-width | starts | truth |",
        "|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *map(_line, rows)])


def _line(row: Row) -> str:
    truth = "–" if row.truth is None else f"{row.truth.estimate:.4f} ± {row.truth.half_width:.2%}"
    cells = [
        row.kind,
        str(row.runs),
        row.different.text,
        row.covered.text,
        f"{row.spread:.2%}",
        f"±{row.half_width:.2%}",
        f"{row.starts:g}",
        truth,
    ]
    return f"| {' | '.join(cells)} |"


@click.command()
@ledger.options
def main(limit: float | None, only_table: bool, path: Path | None) -> None:
    """Measures what is still missing, then prints the table and writes it."""
    book = Ledger(path) if path else ledger.committed("trust")
    sys.path.append(str(PLUGIN))
    jobs = {name: Job(kind.wanted, kind.time) for name, kind in KINDS.items()}
    for line in () if only_table else ledger.go_on(book, jobs, run, limit):
        outcome = line.get("refused") or f"{line['ratio']:.4f}  {line['different']}"
        click.echo(f"{line['at']}  {line['kind']:12} {outcome}", err=True)
    publish(book)


def publish(book: Ledger) -> None:
    """Prints the table and the goals; writes both as JSON and the picture beside the ledger.

    Raises ClickException without lines.
    """
    lines = measured(book.lines())
    if not lines:
        raise click.ClickException("nothing was measured yet")
    click.echo(markdown(book.lines()))
    kinds = rows(lines)
    summary = {
        "rows": [asdict(kind) for kind in kinds],
        "resampled": [asdict(kind) for kind in all_drawn(lines)],
        "goals": [asdict(goal) for goal in goals(kinds)],
        "refused": len(book.lines()) - len(lines),
    }
    book.path.with_suffix(".json").write_text(json.dumps(summary, indent=1) + "\n")
    middles = {kind.kind: kind.middle for kind in kinds}
    charts.runs(lines, middles, book.path.with_suffix(".svg"))


def measured(tried: Sequence[Line]) -> list[Line]:
    """The lines without those of refused runs."""
    return [line for line in tried if "refused" not in line]


def markdown(tried: Sequence[Line]) -> str:
    """The table, the resampled runs, the refused ones, and the goals, as Markdown."""
    lines = measured(tried)
    kinds = rows(lines)
    refused = Counter(line["kind"] for line in tried if "refused" in line)
    counts = ", ".join(f"{count} of {kind}" for kind, count in refused.items())
    power = "; ".join(
        f"{runs.kind} found in {runs.found:.1%} (±{runs.half_width:.2%})"
        for runs in all_drawn(lines)
    )
    reached = [
        f"- {'reached' if goal.reached else '**missed**'}: {goal.text}" for goal in goals(kinds)
    ]
    notes = [
        f"Resampled from the process starts of the A/A runs, {RESAMPLED:,} each: {power}. Loaded: "
        f"with {SPINNERS} busy processes of our own and 20 s.",
        f"Refused, since ten process starts did not fit into their time on so busy a machine, and "
        f"tried again later: {counts}."
        if refused
        else "",
    ]
    return "\n".join([table(kinds), "", " ".join(filter(None, notes)), "", *reached])


if __name__ == "__main__":
    main()
