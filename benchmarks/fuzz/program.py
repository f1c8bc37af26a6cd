"""`python -m benchmarks.fuzz`: tries as many cases of each kind as are missing in its ledger."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import onnx

from benchmarks import ledger
from benchmarks.fuzz.kinds import KINDS, server
from benchmarks.fuzz.outcomes import GOOD
from benchmarks.ledger import Ledger, Line

BUILD = Path("build/fuzz")
"""The ledgers: a line a case is too much for the repository."""
SUMMARY = ledger.RESULTS / "fuzz.json"


def summary(lines: Sequence[Line]) -> Line:
    """The counts of the outcomes of one kind, and each one that is not good."""
    return {
        **ledger.stamp(),
        # Of the cases, not of now: those that were bad were tried again with what was mended.
        "commit": ", ".join(dict.fromkeys(line["commit"] for line in lines)),
        "onnx": onnx.__version__,
        "first": lines[0]["seed"],
        "last": lines[-1]["seed"],
        "outcomes": dict(sorted(Counter(line["outcome"] for line in lines).items())),
        "bad": [line for line in lines if line["outcome"] not in GOOD],
    }


def summaries() -> list[Line]:
    """The summaries that are in this repository, with their kinds, in the order of KINDS."""
    kept = json.loads(SUMMARY.read_text(encoding="utf-8"))
    return [{"kind": kind, **kept[kind]} for kind in KINDS if kind in kept]


def keep(kind: str, lines: Sequence[Line]) -> None:
    """Puts the summary of one kind beside those of the others."""
    kept: dict[str, Line] = {line["kind"]: line for line in summaries()}
    kept[kind] = summary(lines)
    ordered = {name: {**kept[name]} for name in KINDS if name in kept}
    for each in ordered.values():
        each.pop("kind", None)
    SUMMARY.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def table(kind: str, lines: Sequence[Line]) -> str:
    """The outcomes of one kind so far, and each one that is not good."""
    counts = Counter(line["outcome"] for line in lines)
    outcomes = ", ".join(f"{count:,} {outcome}" for outcome, count in counts.items())
    rows = [f"{kind}: {len(lines):,} cases: {outcomes}"]
    rows += [
        f"{line['seed']:>8} {line['outcome']:<6} {line['what']}"
        for line in lines
        if line["outcome"] not in GOOD
    ]
    return "\n".join(rows)


def markdown(lines: Sequence[Line]) -> str:
    """The table of the summaries for a document."""
    rows = [
        "| damaged | cases | read to the end | refused in one line | beyond the memory limit "
        "| exit code 3, hang or signal |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for line in lines:
        outcomes: Mapping[str, int] = line["outcomes"]
        read = outcomes.get("judged", 0) + outcomes.get("read", 0)
        cells = (
            line["kind"],
            f"{sum(outcomes.values()):,}",
            f"{read:,}",
            f"{outcomes.get('refused', 0):,}",
            f"{outcomes.get('memory', 0):,}",
            f"{len(line['bad']):,}",
        )
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


@click.command()
@click.argument("kinds", nargs=-1, type=click.Choice([*KINDS]))
@click.option("--cases", "count", type=click.IntRange(min=1), default=5000, show_default=True)
@click.option("--first", type=click.IntRange(min=0), default=0, help="The first seed.")
@click.option("--minutes", type=float, help="Stop each kind after so long.")
@click.option("--again", is_flag=True, help="Run those that were not good once more.")
@click.option("--show", type=int, metavar="SEED", help="Write the files of one case and stop.")
@click.option("--table", "shows", is_flag=True, help="Print what there is so far.")
@click.option("--keep", "keeps", is_flag=True, help="Keep the counts in results/fuzz.json.")
@click.option(
    "--ledgers", type=click.Path(path_type=Path), default=BUILD, show_default=True, help="A folder."
)
def main(
    kinds: Sequence[str],
    count: int,
    first: int,
    minutes: float | None,
    again: bool,
    show: int | None,
    shows: bool,
    keeps: bool,
    ledgers: Path,
) -> None:
    """Tries damaged files of KINDS (default: all), as many as are missing in their ledgers."""
    for kind in kinds or KINDS:
        if show is not None:
            folder = Path(f"fuzz-{kind}-{show}")
            folder.mkdir()
            click.echo(f"{folder}: {KINDS[kind]().write(show, folder)}")
            continue
        results = Ledger(ledgers / f"{kind}.jsonl")
        newest = {line["seed"]: line for line in results.lines()}
        if not shows:
            seeds = [seed for seed in range(first, first + count) if seed not in newest]
            if again:
                seeds = [seed for seed, line in newest.items() if line["outcome"] not in GOOD]
            newest |= _try(kind, seeds, results, minutes)
        lines = [newest[seed] for seed in sorted(newest)]
        click.echo(table(kind, lines))
        if keeps and lines:
            keep(kind, lines)


def _try(
    kind: str, seeds: Sequence[int], results: Ledger, minutes: float | None
) -> dict[int, Line]:
    """Tries cases and keeps what came of each."""
    began, serving, commit = time.monotonic(), server(kind), ledger.commit()
    tried: dict[int, Line] = {}
    try:
        for seed in seeds:
            if minutes is not None and time.monotonic() - began > 60 * minutes:
                break
            tried[seed] = {
                "seed": seed,
                **serving.ask(str(seed)),
                "onnx": onnx.__version__,
                "commit": commit,
            }
            results.append(tried[seed])
    finally:
        serving.stop()
    return tried
