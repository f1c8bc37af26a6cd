"""What the harness adds: the latency that it reports against bare loops, as targets of one run.

python -m benchmarks.overhead              all that is still missing
python -m benchmarks.overhead --time 10m   as much as fits into ten minutes
python -m benchmarks.overhead --table      what there is so far
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np

from benchmarks import building, charts, ledger
from benchmarks.bare.bare import compiled
from benchmarks.ledger import Job, Ledger, Line
from toolkit.measure import stats
from toolkit.measure.stats import Interval
from toolkit.records import store
from toolkit.records.pairing import effects
from toolkit.records.schema import Run, TargetRecord

ROOT = Path(__file__).parent.parent
PLUGIN = Path(__file__).parent / "bare"
MODEL = "models/mlp/mlp.onnx"
TIME = 40
"""Seconds of a run."""
GOAL = 0.01
"""What the harness may add to a latency, and what its parent may use of a core."""
DRIVER = "driver=FILE"
"""A bare loop's option, as the ledger shows it."""


@dataclass(frozen=True)
class Kind:
    """Runs of one set of targets."""

    targets: Sequence[str]
    wanted: int
    """Runs."""


KINDS = {
    "bound": Kind((f"bare:cpu,io=bound,{DRIVER}", "onnxruntime:cpu,io=bound", "bare-c:cpu"), 6),
    "numpy": Kind((f"bare:cpu,io=numpy,{DRIVER}", "onnxruntime:cpu,io=numpy"), 4),
}


@dataclass(frozen=True)
class Pair:
    """Two targets of one kind of run, by their places."""

    kind: str
    target: int
    base: int
    text: str
    goal: bool
    """The ratio shall be 1."""


PAIRS = (
    Pair("bound", 1, 0, "the harness / a bare loop in Python, bound", goal=True),
    Pair("numpy", 1, 0, "the harness / a bare loop in Python, numpy", goal=True),
    Pair("bound", 0, 2, "a bare loop in Python / one in C, bound", goal=False),
    Pair("bound", 1, 2, "the harness / a bare loop in C, bound", goal=False),
)


def run(name: str, seed: int, limit: float = TIME) -> Line:
    """One run, as a user makes it."""
    stamped = ledger.stamp()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        told = folder / "driver"
        words = command(name, seed, limit)
        placed = [word.replace(DRIVER, f"driver={told}") for word in words]
        path = os.pathsep.join(map(str, (ROOT, PLUGIN)))
        done = subprocess.run(
            [Path(sys.executable).with_name("toolkit"), *placed[1:], "-o", folder],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise click.ClickException(f"toolkit bench: {done.stderr.strip()}")
        made = store.read(folder / store.LATEST)
        spans = [json.loads(line) for line in told.read_text("utf-8").splitlines()]
    return {
        "kind": name,
        "command": " ".join(words),
        **stamped,
        "seed": seed,
        "others": round(float(np.mean([float(one.others) for one in made.generations])), 3),
        "targets": [target.label.replace(str(told), "FILE") for target in made.plan.targets],
        "starts_ns": [starts(record) for record in made.records],
        "empty_ns": [record.timings[0].empty for record in made.records],
        "empty_c_ns": empty_in_c() if name == "bound" else None,
        "effects": {pair.text: paired(made, pair) for pair in PAIRS if pair.kind == name},
        "driver_ns": sum(span["used"] for span in spans),
        "timed_ns": sum(span["lasted"] for span in spans),
    }


def command(name: str, seed: int, limit: float) -> list[str]:
    """As the ledger shows it."""
    targets = [word for target in KINDS[name].targets for word in ("--target", target)]
    pace = ["--time", f"{limit:g}s", "--seed", str(seed)]
    return ["toolkit", "bench", MODEL, *targets, *pace]


def starts(record: TargetRecord) -> list[float]:
    """The p50 of each process start, in nanoseconds."""
    return [round(float(np.median(one.medians)), 1) for one in record.timings[0].series]


def paired(made: Run, pair: Pair) -> list[float]:
    """The log ratios of a pair, one for each process start."""
    return [round(one, 7) for one in effects(made, 0, pair.base, pair.target)]


def empty_in_c() -> float:
    """What an empty interval shows to the loop in C, in nanoseconds."""
    building.build()
    return compiled.empty_interval()


# What it shows


@dataclass(frozen=True)
class Row:
    """A pair, by all process starts of all runs."""

    text: str
    runs: int
    target_ns: float
    base_ns: float
    added_ns: float
    """The median over process starts of the difference."""
    added_range: tuple[float, float]
    """Of it: the middle half."""
    ratio: Interval | None
    goal: bool

    @property
    def reached(self) -> bool:
        """The whole interval is as near to 1 as it shall be."""
        return self.ratio is not None and self.ratio.largest <= GOAL


def rows(lines: Sequence[Line]) -> list[Row]:
    """Of the pairs that were measured."""
    return [row(pair, some) for pair in PAIRS if (some := of_kind(lines, pair.kind))]


def of_kind(lines: Sequence[Line], kind: str) -> list[Line]:
    return [line for line in lines if line["kind"] == kind]


def row(pair: Pair, lines: Sequence[Line]) -> Row:
    """A pair in the runs of its kind. Runs of one machine and one state of the code."""
    target, base = (
        np.concatenate([line["starts_ns"][place] for line in lines])
        for place in (pair.target, pair.base)
    )
    low, middle, high = np.percentile(target - base, [25, 50, 75])
    return Row(
        text=pair.text,
        runs=len(lines),
        target_ns=float(np.median(target)),
        base_ns=float(np.median(base)),
        added_ns=float(middle),
        added_range=(float(low), float(high)),
        ratio=stats.hodges_lehmann([e for line in lines for e in line["effects"][pair.text]], 0.05),
        goal=pair.goal,
    )


@dataclass(frozen=True)
class Besides:
    """What else is in a latency, and beside it."""

    empty_ns: float
    """What an empty interval shows in a worker: the median."""
    empty_c_ns: float | None
    """The same in C."""
    driver: float
    """The parent's CPU time by the time in which a worker was timed."""
    timed_s: float

    @property
    def reached(self) -> bool:
        return self.driver <= GOAL


def besides(lines: Sequence[Line]) -> Besides:
    """Over all runs."""
    timed = sum(line["timed_ns"] for line in lines)
    in_c = [line["empty_c_ns"] for line in lines if line["empty_c_ns"] is not None]
    return Besides(
        empty_ns=float(np.median([one for line in lines for one in line["empty_ns"]])),
        empty_c_ns=float(np.median(in_c)) if in_c else None,
        driver=sum(line["driver_ns"] for line in lines) / timed,
        timed_s=timed / 1e9,
    )


def table(found: Sequence[Row], beside: Besides) -> str:
    """Markdown."""
    head = [
        "| pair | starts | p50 | ratio | added a call (middle half) |",
        "|---|---|---|---|---|",
    ]
    return "\n".join([*head, *map(_line, found), "", *_sentences(beside)])


def _line(one: Row) -> str:
    ratio = one.ratio
    low, high = one.added_range
    cells = [
        one.text,
        str(ratio.n) if ratio else "too few",
        f"{one.target_ns / 1e3:.3f} / {one.base_ns / 1e3:.3f} µs",
        f"{ratio.estimate:.4f} ({ratio.low:.4f} to {ratio.high:.4f})" if ratio else "–",
        f"{one.added_ns:.0f} ns ({low:.0f} to {high:.0f})",
    ]
    return f"| {' | '.join(cells)} |"


def _sentences(beside: Besides) -> Iterator[str]:
    in_c = "" if beside.empty_c_ns is None else f", {beside.empty_c_ns:.0f} ns in C"
    yield f"An empty interval: {beside.empty_ns:.0f} ns in a worker{in_c}."
    yield (
        f"The parent used {beside.driver:.4%} of a core in the {beside.timed_s:.1f} s in which a "
        "worker was timed."
    )


def goals(found: Sequence[Row], beside: Besides) -> Mapping[str, bool]:
    """What was set out to be reached, and whether it is."""
    ratios = {f"{one.text}: within 1 ± {GOAL:.0%}": one.reached for one in found if one.goal}
    return {**ratios, f"the parent uses under {GOAL:.0%} of a core": beside.reached}


@click.command()
@ledger.options
def main(limit: float | None, only_table: bool, path: Path | None) -> None:
    """Measures what is still missing, then prints the table and writes it."""
    book = Ledger(path) if path else ledger.of("overhead")
    if not only_table:
        building.build()
    jobs = {name: Job(kind.wanted, TIME) for name, kind in KINDS.items()}
    for line in () if only_table else ledger.go_on(book, jobs, run, limit):
        click.echo(f"{line['at']}  {line['kind']}", err=True)
    publish(book)


def publish(book: Ledger) -> None:
    """Prints the table and the goals; writes both as JSON and the picture beside the ledger."""
    lines = book.lines()
    if not lines:
        raise click.ClickException("nothing was measured yet")
    click.echo(markdown(lines))
    found, beside = rows(lines), besides(lines)
    reached = goals(found, beside)
    summary = {"rows": [asdict(one) for one in found], **asdict(beside), "goals": reached}
    book.path.with_suffix(".json").write_text(json.dumps(summary, indent=1) + "\n")
    charts.ratios(
        {
            pair.text: [float(np.exp(e)) for line in some for e in line["effects"][pair.text]]
            for pair in PAIRS
            if pair.goal and (some := of_kind(lines, pair.kind))
        },
        book.path.with_suffix(".svg"),
    )


def markdown(lines: Sequence[Line]) -> str:
    """The table, and which goals were reached."""
    found, beside = rows(lines), besides(lines)
    said = [
        f"- {'reached' if held else '**missed**'}: {text}"
        for text, held in goals(found, beside).items()
    ]
    return "\n".join([table(found, beside), "", *said])


if __name__ == "__main__":
    main()
