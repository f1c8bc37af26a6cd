"""`toolkit compare`: says whether the new file, version or run is as good, and how much faster."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli import failures, options, screen
from toolkit.cli.values import PERCENT

if TYPE_CHECKING:
    from toolkit.pipelines.compare import ComparedModels
    from toolkit.report.compared import Gates

GOALS = ("latency", "size", "memory", "cold-start")

EXAMPLES = """\b
Examples:
  toolkit compare model.onnx quantized.onnx --target onnxruntime
  toolkit compare model.onnx --target onnxruntime@1.30.0 --target onnxruntime@1.32.0
  toolkit compare old.onnx new.onnx --fail-if-slower 3% --fail-if-worse --junit gates.xml
  toolkit compare old.onnx new.onnx --data photos/validation --fail-if-drop 0.5%
  toolkit compare reports/LAST reports/latest
"""


@click.command("compare", epilog=EXAMPLES)
@click.argument("old", type=options.FILE)
@click.argument("new", type=options.FILE, required=False)
@options.shared
@options.TIME
@options.PRECISE
@options.QUICK
@options.INSTALL
@options.ANONYMOUS
@click.option(
    "--goal",
    type=click.Choice(GOALS),
    default=GOALS[0],
    show_default=True,
    help="What the decision is for.",
)
@click.option(
    "--fail-if-slower",
    "slower",
    type=PERCENT,
    help="Exit 1 where NEW is slower by more than this, such as 3%; the decision holds a smaller "
    "difference to be none.",
)
@click.option(
    "--fail-if-worse", "worse", is_flag=True, help="Exit 1 where the answers of NEW are worse."
)
@click.option(
    "--fail-if-drop",
    "drop",
    type=PERCENT,
    help="Exit 1 where the first --metric of NEW on --data is lower by more than this, such as "
    "0.5%.",
)
@click.option("--strict", is_flag=True, help="Exit 1 also where a gate cannot tell.")
@click.option("--junit", type=options.FILE, help="Write the gates to this file, as JUnit XML.")
@click.option(
    "--markdown", type=options.FILE, help="Write the table to this file, for a pull request."
)
@options.REPORTS
@click.option("--json", "as_json", is_flag=True, help="Print the decision and all of it as JSON.")
def command(old: Path, new: Path | None, **given: Any) -> None:
    """Compare OLD with NEW on the same targets.

    Two .onnx files are measured side by side in one run, and NEW is judged by OLD's oracle. One
    file is compared on several targets. Two runs are compared by each target's ratio to the
    baseline that both have: their latencies never are.
    """
    from toolkit.cli.bench import install_missing
    from toolkit.pipelines.compare import compare
    from toolkit.report.compared import Gates
    from toolkit.report.decision import Goal, Wishes

    request = options.bench_request(given)
    if given["install"]:
        install_missing(request)
    with screen.progress("compare") as draw:
        compared = compare(
            old,
            new,
            request,
            reports=given["reports"],
            wishes=Wishes(
                Goal(given["goal"]), given["slower"] or Wishes.hidden, given["drop"] or None
            ),
            watch=lambda step, share, text: draw(share, text),
        )
    _show(compared, Gates(given["slower"], given["worse"], given["strict"], given["drop"]), given)


def _show(models: ComparedModels, gates: Gates, given: dict[str, Any]) -> None:
    """Prints the table and the gates, and writes the files that are asked for; exits with 1 where
    a gate fails."""
    from toolkit.records import privacy, untrusted
    from toolkit.report import compared

    rulings = compared.rulings(models.pairings, gates)
    if given["as_json"]:
        screen.json(
            compared.json(models.title, models.pairings, rulings, models.notes, models.decision)
        )
    else:
        screen.line("compare", models.title)
        text = compared.terminal(
            models.pairings,
            rulings,
            columns=screen.columns(),
            colour=sys.stdout.isatty(),
            notes=models.notes,
            decision=models.decision,
        )
        screen.say(text, end="", styled=True)
        if models.finished is not None and models.finished.folder is not None:
            screen.line("report", str(models.finished.folder / "report.html"))
    if given["junit"] is not None:
        untrusted.write(given["junit"], compared.junit(models.title, rulings, models.decision))
    if given["markdown"] is not None:
        notes = [*map(privacy.without_paths, models.notes)]
        written = compared.markdown(models.title, models.pairings, rulings, notes, models.decision)
        untrusted.write(given["markdown"], written.encode())
    if compared.fails(rulings, gates):
        raise click.exceptions.Exit(1)
    if models.finished is not None and not rulings:
        failures.exit_if_unmet(models.finished, "measured")
