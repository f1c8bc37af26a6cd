"""Draws pairs of models on labelled data of which the truth is known, and counts wrong findings.

    python -m benchmarks.metricpairs              all that is still missing
    python -m benchmarks.metricpairs --time 10m   as much as fits into ten minutes
    python -m benchmarks.metricpairs --table      what there is so far

Of an A/A pair old and new are drawn from one distribution: whoever says that they differ is wrong.
Of a planted drop the interval has to hold the truth, and of a gate that stands just at the truth
neither decision is right. No model runs: what is drawn are the rows that a pass keeps of each
example, and they go through the very code that judges a pass.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
import onnx

from benchmarks import ledger
from benchmarks.ledger import Job, Ledger, Line
from benchmarks.rates import Rate, rate
from toolkit.data import labellings, metrics
from toolkit.data.looks import Looks, decided
from toolkit.data.metrics import Metric
from toolkit.engine.metricpairs import Column, Flips, drops
from toolkit.records.metrics import MetricDrop, span_of
from toolkit.tensors import Array

Draw = Callable[[np.random.Generator, int], tuple[Array, Array, Array]]
"""(random numbers, examples) → outputs of the old one, of the new one, labels."""
BLOCK = 50
"""Runs of one line."""


@dataclass(frozen=True)
class Kind:
    """Pairs of one kind."""

    metric: str
    examples: int
    draw: Draw
    drop: float = 0.0
    """The true drop."""
    limit: float | None = None
    """Where a gate stands; None: there is none, and one look."""
    wanted: int = 1000


def differing(share: float, drop: float = 0.0, right: float = 0.9) -> Draw:
    """Classes of which old and new differ in a share of the examples; the old one alone is right in
    (share + drop) / 2 of all, the new one in the rest."""

    def draw(random: np.random.Generator, count: int) -> tuple[Array, Array, Array]:
        labels = random.integers(10, size=count)
        wrong = (labels + 1 + random.integers(9, size=count)) % 10
        both = np.where(random.random(count) < right, labels, wrong)
        place = random.random(count)
        old, new = both.copy(), both.copy()
        is_lost, is_won = (
            place < (share + drop) / 2,
            (place >= (share + drop) / 2) & (place < share),
        )
        old[is_lost], new[is_lost] = labels[is_lost], wrong[is_lost]
        old[is_won], new[is_won] = wrong[is_won], labels[is_won]
        return np.eye(10)[old], np.eye(10)[new], labels

    return draw


def noisy(share: float) -> Draw:
    """Scores of yes or no, of which a share was drawn for old and new apart."""

    def draw(random: np.random.Generator, count: int) -> tuple[Array, Array, Array]:
        labels = random.integers(2, size=count)
        signal = labels + random.normal(size=count)
        own = random.random(count) < share
        old, new = (signal + own * random.normal(size=count) for _ in range(2))
        return old[:, None], new[:, None], labels

    return draw


def numbers(random: np.random.Generator, count: int) -> tuple[Array, Array, Array]:
    """Numbers with errors of a long tail, most of which old and new share."""
    labels = random.normal(size=count)
    shared = 0.3 * random.standard_t(5, size=count)
    old, new = (labels + shared + 0.05 * random.standard_t(5, size=count) for _ in range(2))
    return old[:, None], new[:, None], labels


def tokens(random: np.random.Generator, count: int) -> tuple[Array, Array, Array]:
    """Logits of eight tokens an example, which old and new round otherwise."""
    logits = random.normal(size=(count, 8, 12))
    labels = (logits + random.gumbel(size=logits.shape)).argmax(axis=-1)
    old, new = (logits + 0.05 * random.normal(size=logits.shape) for _ in range(2))
    return old, new, labels


KINDS = {
    "accuracy, 200 examples, 5 % differ": Kind("accuracy", 200, differing(0.05)),
    "accuracy, 1,000 examples, 1 % differ": Kind("accuracy", 1000, differing(0.01)),
    "accuracy, 1,000 examples, 20 % differ": Kind("accuracy", 1000, differing(0.2)),
    "accuracy, 10,000 examples, 2 % differ": Kind("accuracy", 10_000, differing(0.02)),
    "accuracy, a drop of 2 % in 1,000": Kind("accuracy", 1000, differing(0.06, 0.02), 0.02),
    "gate at 0.5 %, no drop, 10,000 examples": Kind(
        "accuracy", 10_000, differing(0.02), limit=0.005
    ),
    "gate just at the drop of 0.5 %, 10,000 examples": Kind(
        "accuracy", 10_000, differing(0.02, 0.005), 0.005, 0.005
    ),
    "F1, 500 examples, 5 % drawn apart": Kind("f1", 500, noisy(0.05), wanted=300),
    "AUC, 500 examples, 2 % drawn apart": Kind("auc", 500, noisy(0.02), wanted=300),
    "AUC, 500 examples, all drawn apart": Kind("auc", 500, noisy(1.0), wanted=300),
    "mAP, 500 examples, 5 % drawn apart": Kind("map", 500, noisy(0.05), wanted=300),
    "RMSE, 500 examples": Kind("rmse", 500, numbers, wanted=300),
    "perplexity, 100 examples of 8 tokens": Kind("perplexity", 100, tokens, wanted=300),
}


def run(name: str, seed: int) -> Line:
    """Draws a block of pairs and judges them as a pass does."""
    kind, stamp = KINDS[name], ledger.stamp()
    said = held = by_gate = looks = 0
    for number in range(BLOCK):
        random = np.random.default_rng([seed, number])
        found, taken, decision = judged(kind, random)
        said += found.shown
        span = span_of(found)
        held += span.low <= kind.drop <= span.high
        by_gate += bool(decision)
        looks += taken
    return {
        "kind": name, **stamp, "runs": BLOCK, "said": said, "held": held, "decided": by_gate,
        "looks": looks,
    }  # fmt: skip


def judged(kind: Kind, random: np.random.Generator) -> tuple[MetricDrop, int, str]:
    """One pair: its drop at the look that ended it, the looks taken, and what the gate said."""
    old, new, labels = kind.draw(random, kind.examples)
    model = onnx.ModelProto()
    labelling = labellings.find({"y": old}, labels, model)
    metric = metrics.metric(kind.metric, labelling)
    rows = [metric.rows({"y": outputs}, labels) for outputs in (old, new)]
    looks = Looks(kind.examples, kind.limit is not None)
    for count in [*looks.places, kind.examples]:
        found = _drop(metric, rows, count, looks.alpha(count, last=count == kind.examples))
        decision = "" if kind.limit is None else decided(span_of(found), kind.limit)
        if decision:
            break
    return found, looks.taken, decision


def _drop(metric: Metric, rows: Sequence[Array], count: int, alpha: float) -> MetricDrop:
    columns = {index: Column(index, [[each[:count]]]) for index, each in enumerate(rows)}
    (found,) = drops(columns, [(0, 1)], [metric], np.arange(count), Flips(), alpha, 0)
    return found


# The table


@dataclass(frozen=True)
class Row:
    """All runs of one kind."""

    kind: str
    said: Rate
    """Runs whose pair is said to differ."""
    held: Rate
    """Runs whose interval holds the truth."""
    decided: Rate | None
    """Runs whose gate was decided; None: there is none."""
    looks: float
    """Looks of a run."""


def rows(lines: Sequence[Line]) -> list[Row]:
    """A row for each kind that was drawn."""
    return [
        _row(name, own) for name in KINDS if (own := [li for li in lines if li["kind"] == name])
    ]


def _row(name: str, lines: Sequence[Line]) -> Row:
    runs = sum(line["runs"] for line in lines)
    total = {key: sum(line[key] for line in lines) for key in ("said", "held", "decided", "looks")}
    return Row(
        name,
        rate(total["said"], runs),
        rate(total["held"], runs),
        None if KINDS[name].limit is None else rate(total["decided"], runs),
        total["looks"] / runs,
    )


def markdown(lines: Sequence[Line]) -> str:
    """The table as Markdown."""
    head = [
        "| pairs | said to differ | interval holds the truth | gate decided | looks |",
        "|---|---|---|---|---|",
    ]
    return "\n".join([*head, *map(_line, rows(lines))])


def _line(row: Row) -> str:
    gate = "–" if row.decided is None else row.decided.text
    return f"| {row.kind} | {row.said.text} | {row.held.text} | {gate} | {row.looks:.1f} |"


@click.command()
@ledger.options
def main(limit: float | None, only_table: bool, path: Path | None) -> None:
    """Draws what is still missing, then prints the table and writes it."""
    book = Ledger(path) if path else ledger.committed("metricpairs")
    jobs = {name: Job(kind.wanted // BLOCK, 5.0) for name, kind in KINDS.items()}
    for line in () if only_table else ledger.go_on(book, jobs, run, limit):
        click.echo(f"{line['at']}  {line['kind']}", err=True)
    lines = book.lines()
    if not lines:
        raise click.ClickException("nothing was drawn yet")
    click.echo(markdown(lines))
    summary = {"rows": [asdict(row) for row in rows(lines)]}
    book.path.with_suffix(".json").write_text(json.dumps(summary, indent=1) + "\n")


if __name__ == "__main__":
    main()
