"""Times the project's own checks: how long one waits for `make check`, `test` and `test-slow`.

    python -m benchmarks.suite check
    python -m benchmarks.suite test --busy 2 --avx2

`--busy` computes beside them, so that a test that hangs on the speed of the machine shows itself.
`--avx2` masks what the processor has beyond AVX2, as far as libraries let it be masked: PyTorch and
oneDNN do, ONNX Runtime does not. No test asserts a time; this is where times stand.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click

from benchmarks import ledger
from benchmarks.ledger import Ledger, Line
from toolkit.machine.features import features, summary

ROOT = Path(__file__).parent.parent
TARGETS = {"check": "check", "test": "test", "slow": "test-slow"}
"""Kind of run → the target of make."""
AVX2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
"""The switches of PyTorch and oneDNN for the widest instructions that they use."""
COUNT = re.compile(r"(\d+) (passed|failed|skipped|errors?)")


def counts(output: str) -> dict[str, int]:
    """The counts in pytest's closing line; empty where it never came to one."""
    closing = [line for line in output.splitlines() if COUNT.search(line) and " in " in line]
    return {word.rstrip("s"): int(number) for number, word in COUNT.findall((closing or [""])[-1])}


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    """Keeps so many processes computing."""
    spinning = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


def run(kind: str, processes: int, *, masked: bool) -> Line:
    """Runs one of the checks to its end; its output goes to the terminal too."""
    began = time.monotonic()
    with busy(processes):
        ended = subprocess.run(
            ["make", TARGETS[kind]],
            cwd=ROOT,
            env={**os.environ, **(AVX2 if masked else {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    sys.stdout.write(ended.stdout)
    return {
        "kind": kind,
        **ledger.stamp(),
        "processor": summary(features()),
        "masked": "AVX2" if masked else "",
        "busy": processes,
        "code": ended.returncode,
        "seconds": round(time.monotonic() - began, 1),
        **counts(ended.stdout),
    }


def table(lines: list[Line]) -> str:
    """The runs so far as Markdown, the newest last."""
    rows = [
        "| run | on | beside | passed | failed | skipped | minutes |",
        "|---|---|---|---|---|---|---|",
    ]
    for line in lines:
        where = f"{line['machine']}, {line['masked'] or line['processor']}"
        beside = f"{line['busy']} busy processes" if line["busy"] else "–"
        numbers = (line.get(word, 0) for word in ("passed", "failed", "skipped"))
        cells = (f"make {TARGETS[line['kind']]}", where, beside, *numbers)
        rows.append(f"| {' | '.join(map(str, cells))} | {line['seconds'] / 60:.1f} |")
    return "\n".join(rows)


@click.command()
@click.argument("kind", type=click.Choice([*TARGETS]), required=False)
@click.option("--busy", "processes", type=int, default=0, help="Processes that compute beside it.")
@click.option("--avx2", "masked", is_flag=True, help="Mask what lies beyond AVX2.")
@click.option("--ledger", "path", type=click.Path(path_type=Path), help="Another file.")
def main(kind: str | None, processes: int, masked: bool, path: Path | None) -> None:
    """Time one of the project's checks and keep the result; without one, show those kept."""
    book = Ledger(path) if path else ledger.committed("suite")
    if kind is None:
        click.echo(table(book.lines()))
        return
    line = run(kind, processes, masked=masked)
    book.append(line)
    click.echo(table([line]))
    sys.exit(line["code"])


if __name__ == "__main__":
    main()
