"""`toolkit conformance`: runs ONNX's own operator tests on the oracle and on runtimes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from toolkit.cli import options, screen
from toolkit.cli.values import DURATION

if TYPE_CHECKING:
    from toolkit.operatortests.outcome import OperatorOutcome

EXAMPLES = """\b
Examples:
  toolkit conformance
  toolkit conformance --target openvino --target onnxruntime@1.30.0
  toolkit conformance --operator Resize --operator Conv --target tract
"""


@click.command("conformance", epilog=EXAMPLES)
@options.TARGET
@click.option(
    "--operator", "operators", multiple=True, metavar="NAME", help="Tests of it only; repeatable."
)
@click.option(
    "-o",
    "--output",
    "out",
    type=click.Path(path_type=Path),
    default="reports/conformance",
    show_default=True,
    help="The folder of the ledger and the reports.",
)
@click.option(
    "--timeout", type=DURATION, default="20s", show_default=True, help="The limit for one test."
)
@click.option("--json", "as_json", is_flag=True, help="Print the outcomes on stdout.")
def command(
    targets: tuple[str, ...],
    operators: tuple[str, ...],
    out: Path,
    timeout: float,
    as_json: bool,
) -> None:
    """Run the operator tests that the onnx package ships, on the oracle and on runtimes.

    Each test is right within ONNX's own tolerances, wrong, refused or crashed; right answers have
    their precision by toolkit's rule. It downloads nothing. Called again it runs only what the
    ledger in the folder lacks, so it may be interrupted.
    """
    from dataclasses import asdict

    from toolkit.pipelines.conformance import PAGE, conformance
    from toolkit.workers.jobs import Patience

    with screen.long_progress("tests") as draw:
        done = conformance(
            targets,
            out=out,
            operators=operators,
            patience=Patience(timeout, 10 * timeout),
            watch=draw,
        )
    if as_json:
        screen.json(json.dumps([asdict(each) for each in done.outcomes], indent=1))
        return
    _print(done.outcomes)
    screen.line("report", str(done.folder / PAGE))


def _print(outcomes: Sequence[OperatorOutcome]) -> None:
    from toolkit.operatortests import tables

    for target, version in tables.targets(outcomes):
        own = [each for each in outcomes if (each.target, each.version) == (target, version)]
        counted = tables.tally(own)
        left = f" · {counted.counts['left out']} left out" if counted.counts["left out"] else ""
        screen.line("tests", f"{target} {version}: {counted.text()}{left}")
        if counted.verdicts:
            named = ", ".join(f"{name} {n:,}" for name, n in counted.verdicts.most_common())
            screen.line("", f"precision of the right ones: {named}")
