"""Measures what the harness adds: its latency against bare loops, as targets of one run.

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
"""Seconds of a run: some 40 process starts. Those of six runs give ratios to ±0.2 %."""
GOAL = 0.01
"""The share that the harness may add to a latency, and that its parent may use of a core."""
DRIVER = "driver=FILE"
"""A bare loop's option, as the ledger shows it."""


@dataclass(frozen=True)
class Kind:
    """A kind of run: one set of targets."""

    targets: Sequence[str]
    wanted: int
    """The number of runs."""


KINDS = {
    "bound": Kind((f"bare:cpu,io=bound,{DRIVER}", "onnxruntime:cpu,io=bound", "bare-c:cpu"), 6),
    "numpy": Kind((f"bare:cpu,io=numpy,{DRIVER}", "onnxruntime:cpu,io=numpy"), 4),
}


@dataclass(frozen=True)
class Pair:
    """Two targets of one kind of run, by their indices in it."""

    kind: str
    target: int
    base: int
    text: str
    goal: bool
    """True where the ratio shall be 1."""


PAIRS = (
    Pair("bound", 1, 0, "the harness / a bare loop in Python, bound", goal=True),
    Pair("numpy", 1, 0, "the harness / a bare loop in Python, numpy", goal=True),
    Pair("bound", 0, 2, "a bare loop in Python / one in C, bound", goal=False),
    Pair("bound", 1, 2, "the harness / a bare loop in C, bound", goal=False),
)


def run(name: str, seed: int, limit: float = TIME) -> Line:
    """Makes one run, as a user does. Raises ClickException with the words of one that fails."""
    stamped = ledger.stamp()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        driver = folder / "driver"
        words = command(name, seed, limit)
        arguments = [word.replace(DRIVER, f"driver={driver}") for word in words[1:]]
        # This checkout's toolkit, and the entry point of the plug-in.
        path = os.pathsep.join(map(str, (ROOT, PLUGIN)))
        ended = subprocess.run(
            [Path(sys.executable).with_name("toolkit"), *arguments, "-o", folder],
            cwd=ROOT,
            env=ledger.environment(PYTHONPATH=path),
            capture_output=True,
            text=True,
        )
        if ended.returncode:
            raise click.ClickException(f"toolkit bench: {ended.stderr.strip()}")
        finished = store.read(folder / store.LATEST)
        spans = [json.loads(line) for line in driver.read_text("utf-8").splitlines()]
    others = [float(generation.others) for generation in finished.generations]
    return {
        "kind": name,
        "command": " ".join(words),
        **stamped,
        "seed": seed,
        "others": round(float(np.mean(others)), 3),
        "targets": [t.label.replace(str(driver), "FILE") for t in finished.plan.targets],
        "starts_ns": [starts(record) for record in finished.records],
        "empty_ns": [record.timings[0].empty for record in finished.records],
        "empty_c_ns": empty_in_c() if name == "bound" else None,
        "effects": {pair.text: paired(finished, pair) for pair in PAIRS if pair.kind == name},
        "driver_ns": sum(span["used"] for span in spans),
        "timed_ns": sum(span["lasted"] for span in spans),
    }


def command(name: str, seed: int, limit: float) -> list[str]:
    """The words of the command as the ledger shows it, with FILE for the file of this run."""
    targets = [word for target in KINDS[name].targets for word in ("--target", target)]
    pace = ["--time", f"{limit:g}s", "--seed", str(seed)]
    return ["toolkit", "bench", MODEL, *targets, *pace]


def starts(record: TargetRecord) -> list[float]:
    """The p50 of each process start, in nanoseconds."""
    return [round(float(np.median(start.medians)), 1) for start in record.timings[0].series]


def paired(finished: Run, pair: Pair) -> list[float]:
    """The log ratios of a pair, one for each process start."""
    return [round(effect, 7) for effect in effects(finished, 0, pair.base, pair.target)]


def empty_in_c() -> float:
    """The time that an empty interval shows to the loop in C, in nanoseconds."""
    building.build()
    return compiled.empty_interval()


# The table


@dataclass(frozen=True)
class Row:
    """The sum of a pair, by all process starts of all runs."""

    text: str
    runs: int
    target_ns: float
    base_ns: float
    added_ns: float
    """The difference of the two: the median over process starts."""
    added_range: tuple[float, float]
    """The middle half of the differences."""
    ratio: Interval | None
    goal: bool

    @property
    def reached(self) -> bool:
        """True where the whole interval is as near to 1 as it shall be."""
        return self.ratio is not None and self.ratio.largest <= GOAL


def rows(lines: Sequence[Line]) -> list[Row]:
    """A row for each pair that was measured."""
    return [row(pair, same) for pair in PAIRS if (same := of_kind(lines, pair.kind))]


def of_kind(lines: Sequence[Line], kind: str) -> list[Line]:
    return [line for line in lines if line["kind"] == kind]


def row(pair: Pair, lines: Sequence[Line]) -> Row:
    """Sums up a pair; `lines` are runs of its kind, of one machine and one state of the code."""
    target, base = (
        np.concatenate([line["starts_ns"][index] for line in lines])
        for index in (pair.target, pair.base)
    )
    # Paired by process start: both were alive in it, on the same core.
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
    """The other costs in a latency, and beside it."""

    empty_ns: float
    """The time that an empty interval shows in a worker: the median."""
    empty_c_ns: float | None
    """That of the loop in C: the median; None where it was not measured."""
    driver: float
    """The parent's CPU time divided by the time in which a worker was timed."""
    timed_s: float

    @property
    def reached(self) -> bool:
        return self.driver <= GOAL


def besides(lines: Sequence[Line]) -> Besides:
    """Sums up the other costs over all runs."""
    timed = sum(line["timed_ns"] for line in lines)
    in_c = [line["empty_c_ns"] for line in lines if line["empty_c_ns"] is not None]
    return Besides(
        empty_ns=float(np.median([empty for line in lines for empty in line["empty_ns"]])),
        empty_c_ns=float(np.median(in_c)) if in_c else None,
        driver=sum(line["driver_ns"] for line in lines) / timed,
        timed_s=timed / 1e9,
    )


def table(rows: Sequence[Row], beside: Besides) -> str:
    """The rows, and sentences on the other costs, as Markdown."""
    head = [
        "| pair | starts | p50 | ratio | added a call (middle half) |",
        "|---|---|---|---|---|",
    ]
    return "\n".join([*head, *map(_line, rows), "", *_sentences(beside)])


def _line(row: Row) -> str:
    ratio = row.ratio
    low, high = row.added_range
    cells = [
        row.text,
        str(ratio.n) if ratio else "too few",
        f"{row.target_ns / 1e3:.3f} / {row.base_ns / 1e3:.3f} µs",
        f"{ratio.estimate:.4f} ({ratio.low:.4f} to {ratio.high:.4f})" if ratio else "–",
        f"{row.added_ns:.0f} ns ({low:.0f} to {high:.0f})",
    ]
    return f"| {' | '.join(cells)} |"


def _sentences(beside: Besides) -> Iterator[str]:
    in_c = "" if beside.empty_c_ns is None else f", {beside.empty_c_ns:.0f} ns in C"
    yield f"An empty interval: {beside.empty_ns:.0f} ns in a worker{in_c}."
    yield (
        f"The parent used {beside.driver:.4%} of a core in the {beside.timed_s:.1f} s in which a "
        "worker was timed."
    )


def goals(rows: Sequence[Row], beside: Besides) -> Mapping[str, bool]:
    """Goal → True where it is reached."""
    ratios = {f"{row.text}: within 1 ± {GOAL:.0%}": row.reached for row in rows if row.goal}
    return {**ratios, f"the parent uses under {GOAL:.0%} of a core": beside.reached}


@click.command()
@ledger.options
def main(limit: float | None, only_table: bool, path: Path | None) -> None:
    """Measures what is still missing, then prints the table and writes it."""
    book = Ledger(path) if path else ledger.committed("overhead")
    if not only_table:
        building.build()
    jobs = {name: Job(kind.wanted, TIME) for name, kind in KINDS.items()}
    for line in () if only_table else ledger.go_on(book, jobs, run, limit):
        click.echo(f"{line['at']}  {line['kind']}", err=True)
    publish(book)


def publish(book: Ledger) -> None:
    """Prints the table and the goals; writes both as JSON and the picture beside the ledger.

    Raises ClickException without lines.
    """
    lines = book.lines()
    if not lines:
        raise click.ClickException("nothing was measured yet")
    click.echo(markdown(lines))
    pairs, beside = rows(lines), besides(lines)
    reached = goals(pairs, beside)
    summary = {"rows": [asdict(pair) for pair in pairs], **asdict(beside), "goals": reached}
    book.path.with_suffix(".json").write_text(json.dumps(summary, indent=1) + "\n")
    charts.ratios(
        {
            pair.text: [float(np.exp(e)) for line in same for e in line["effects"][pair.text]]
            for pair in PAIRS
            if pair.goal and (same := of_kind(lines, pair.kind))
        },
        book.path.with_suffix(".svg"),
    )


def markdown(lines: Sequence[Line]) -> str:
    """The table, and which goals were reached."""
    pairs, beside = rows(lines), besides(lines)
    reached = [
        f"- {'reached' if held else '**missed**'}: {text}"
        for text, held in goals(pairs, beside).items()
    ]
    return "\n".join([table(pairs, beside), "", *reached])


if __name__ == "__main__":
    main()
