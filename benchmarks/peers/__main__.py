"""Measures the pairs of `benchmarks.trust` with other tools, each in the time that toolkit has.

python -m benchmarks.peers              all that is still missing
python -m benchmarks.peers --time 10m   as much as fits into ten minutes
python -m benchmarks.peers --table      what there is so far
"""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import click

from benchmarks import ledger
from benchmarks.ledger import Job, Ledger, Line
from benchmarks.peers import environment, hyperfine, listing, picture, summary
from benchmarks.peers.peer import KINDS


@click.command()
@ledger.options
def main(limit: float | None, only_table: bool, path: Path | None) -> None:
    """Measures what is still missing, then prints the table and writes it."""
    book = Ledger(path) if path else ledger.committed("peers")
    if not only_table:
        environment.make()
        if not hyperfine.installed():
            click.echo(hyperfine.MISSING, err=True)
        measure(book, limit)
    publish(book)


def measure(book: Ledger, limit: float | None) -> None:
    """Does one job after the other, the one that is furthest behind first."""
    jobs = {
        job: Job(count, listing.PEERS[listing.JOBS[job][0]].takes)
        for job, count in listing.wanted().items()
    }
    lines = ledger.go_on(book, jobs, lambda job, _: run(*listing.JOBS[job]), limit, job_of)
    for line in lines:
        ratios = "  ".join(f"{reading['ratio']:.4f}" for reading in line["readings"].values())
        click.echo(f"{line['at']}  {job_of(line):28} {ratios}", err=True)


def job_of(line: Line) -> str:
    """The name of the job that made a line."""
    return f"{line['peer']}, {line['kind']}"


def run(peer: str, kind: str) -> Line:
    """Makes one measurement of one pair by one tool, as its users do."""
    tool = listing.PEERS[peer]
    head = {"peer": peer, "version": tool.version(), "kind": kind, "planted": KINDS[kind]}
    stamp = ledger.stamp()
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        readings = tool.measure(KINDS[kind], Path(folder))
        whole = time.monotonic() - began
    values = {name: asdict(reading) for name, reading in readings.items()}
    return {**head, **stamp, "whole_s": round(whole, 3), "readings": values}


def publish(book: Ledger) -> None:
    """Prints the table; writes it as JSON and the picture beside the ledger.

    Raises ClickException without lines.
    """
    lines = book.lines()
    if not lines:
        raise click.ClickException("nothing was measured yet")
    click.echo(summary.markdown(lines))
    lines = summary.with_toolkit(lines)
    rows = [asdict(row) for row in summary.rows(lines)]
    text = json.dumps(rows, indent=1, ensure_ascii=False)
    book.path.with_suffix(".json").write_text(text + "\n", encoding="utf-8")
    picture.draw(lines, book.path.with_suffix(".svg"))


if __name__ == "__main__":
    main()
