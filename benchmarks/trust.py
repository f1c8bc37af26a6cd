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
    order = BenchRequest(
        targets=[parse(text) for text in both],
        wanted=FeedRequest(seed=seed),
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


def median_ns(record: TargetRecord) -> float:
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
    covered: Rate
    """Runs whose interval holds that ratio, or 1 where nothing is planted."""

    @property
    def middle(self) -> float:
        """What the intervals should hold."""
        return 1.0 if self.planted == 0 or self.truth is None else self.truth.estimate


@dataclass(frozen=True)
class Drawn:
    """Runs that were not made, but drawn from the process starts of others: for their power only,
    since signs that are flipped at random cannot show a false difference."""

    kind: str
    planted: float
    runs: int
    found: float
    """Share of them that said so, on the right side."""
    half_width: float
    """The median."""
    starts: int


def row(kind: str, lines: Sequence[Line]) -> Row:
    """Of complete runs, none of them resampled."""
    planted = lines[0]["planted"]
    found = sum(line["different"] and (planted == 0 or line["low"] > 1) for line in lines)
    held = [line for line in lines if line["low"] is not None]
    made = Row(
        kind=kind,
        planted=planted,
        runs=len(lines),
        different=rate(found, len(lines)),
        spread=float(np.std([math.log(line["ratio"]) for line in lines], ddof=1)),
        half_width=float(np.median([math.log(one["high"] / one["low"]) / 2 for one in held])),
        starts=float(np.median([len(line["effects"]) for line in lines])),
        truth=stats.hodges_lehmann([one for line in lines for one in line["effects"]], 0.05),
        covered=rate(0, len(held)),
    )
    covered = sum(line["low"] <= made.middle <= line["high"] for line in held)
    return replace(made, covered=rate(covered, len(held)))


def drawn(kind: str, lines: Sequence[Line], slower: float) -> Drawn:
    """From A/A runs: their process starts, with signs flipped at random so that the truth is 0, and
    shifted by log(1 + slower)."""
    source = np.random.default_rng(1)
    pool = np.array([one for line in lines for one in line["effects"]])
    starts = int(np.median([len(line["effects"]) for line in lines]))
    pairs = source.choice(pool, (RESAMPLED, starts)) * source.choice([-1, 1], (RESAMPLED, starts))
    made = [stats.hodges_lehmann(one + math.log1p(slower), 0.05) for one in pairs]
    held = [one for one in made if one is not None]
    return Drawn(
        kind=kind,
        planted=slower,
        runs=len(held),
        found=sum(one.low > 1 for one in held) / len(held),
        half_width=float(np.median([one.half_width for one in held])),
        starts=starts,
    )


def by_kind(lines: Sequence[Line]) -> dict[str, list[Line]]:
    """Each kind with its lines, in the order of KINDS."""
    return {kind: [line for line in lines if line["kind"] == kind] for kind in KINDS}


def rows(lines: Sequence[Line]) -> list[Row]:
    """Complete runs."""
    return [row(kind, some) for kind, some in by_kind(lines).items() if len(some) > 1]


def all_drawn(lines: Sequence[Line]) -> list[Drawn]:
    """What is resampled from them."""
    kinds = by_kind(lines)
    wanted = [("5 %", "A/A", 0.05), ("10 %", "A/A", 0.10), ("2 %, loaded", "A/A, loaded", 0.02)]
    return [drawn(kind, kinds[pool], slower) for kind, pool, slower in wanted if kinds[pool]]


@dataclass(frozen=True)
class Goal:
    """What was set out to be reached."""

    text: str
    reached: bool


def goals(found: Sequence[Row]) -> list[Goal]:
    """A rate reaches its goal where its interval does not exclude it."""
    known = {one.kind: one for one in found}
    made = []
    if same := known.get("A/A"):
        told = same.different.text
        made += [
            Goal(f"false differences ≤ 5 %: {told}", same.different.at_most(0.05)),
            Goal(
                f"standard deviation of the A/A ratio ≤ 0.5 %: {same.spread:.2%}",
                same.spread <= 0.005,
            ),
            Goal(f"half-width ≤ 1 %: ±{same.half_width:.2%}", same.half_width <= 0.01),
        ]
    for kind, least in (("2 %", 0.95), ("3 %", 1.0), ("1 %, 40 s", 0.95)):
        if one := known.get(kind):
            text = f"{kind} found in ≥ {100 * least:.0f} %: {one.different.text}"
            made.append(Goal(text, one.different.at_least(least)))
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
        one.kind,
        str(one.runs),
        one.different.text,
        one.covered.text,
        f"{one.spread:.2%}",
        f"±{one.half_width:.2%}",
        f"{one.starts:g}",
        truth,
    ]
    return f"| {' | '.join(cells)} |"


@click.command()
@ledger.options
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
        "resampled": [asdict(one) for one in all_drawn(lines)],
        "goals": [asdict(one) for one in goals(found)],
        "refused": len(book.lines()) - len(lines),
    }
    book.path.with_suffix(".json").write_text(json.dumps(summary, indent=1) + "\n")
    middles = {one.kind: one.middle for one in found}
    charts.runs(lines, middles, book.path.with_suffix(".svg"))


def measured(tried: Sequence[Line]) -> list[Line]:
    return [line for line in tried if "refused" not in line]


def markdown(tried: Sequence[Line]) -> str:
    """The table, what is resampled, what was refused, and which goals were reached."""
    lines = measured(tried)
    found = rows(lines)
    refused = Counter(line["kind"] for line in tried if "refused" in line)
    told = ", ".join(f"{count} of {kind}" for kind, count in refused.items())
    power = "; ".join(
        f"{one.kind} found in {one.found:.1%} (±{one.half_width:.2%})" for one in all_drawn(lines)
    )
    said = [f"- {'reached' if one.reached else '**missed**'}: {one.text}" for one in goals(found)]
    notes = [
        f"Resampled from the process starts of the A/A runs, {RESAMPLED:,} each: {power}. Loaded: "
        f"with {SPINNERS} busy processes of our own and 20 s.",
        f"Refused, since ten process starts did not fit into their time on so busy a machine, and "
        f"tried again later: {told}."
        if refused
        else "",
    ]
    return "\n".join([table(found), "", " ".join(filter(None, notes)), "", *said])


if __name__ == "__main__":
    main()
