"""toolkit compare: is the new one as good, and how much faster?"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli import asking
from toolkit.cli.screen import line, progress
from toolkit.cli.values import DURATION, PERCENT

if TYPE_CHECKING:
    from toolkit.pipelines.compare import ComparedModels
    from toolkit.report.compared import Gates

EXAMPLES = """\b
Examples:
  toolkit compare model.onnx quantized.onnx --target onnxruntime
  toolkit compare model.onnx --target onnxruntime@1.30.0 --target onnxruntime@1.32.0
  toolkit compare old.onnx new.onnx --fail-if-slower 3% --fail-if-worse --junit gates.xml
  toolkit compare reports/LAST reports/latest
"""


@click.command("compare", epilog=EXAMPLES)
@click.argument("old", type=asking.FILE)
@click.argument("new", type=asking.FILE, required=False)
@asking.options
@click.option("--time", "time", type=DURATION, help="The ceiling on the time of the measurement.")
@click.option("--precision", type=PERCENT, help="Stop when every ratio is known so well: 0.5%.")
@click.option("--install", is_flag=True, help="Install the runtimes that are missing, first.")
@click.option("--fail-if-slower", "slower", type=PERCENT, help="Exit 1 where it is slower: 3%.")
@click.option("--fail-if-worse", "worse", is_flag=True, help="Exit 1 where answers are worse.")
@click.option("--strict", is_flag=True, help="Exit 1 too where a gate cannot tell.")
@click.option("--junit", type=asking.FILE, help="Write the gates as JUnit XML.")
@click.option("--markdown", type=asking.FILE, help="Write the table for a pull request.")
@click.option(
    "-o",
    "--output",
    "reports",
    type=click.Path(path_type=Path),
    default="reports",
    show_default=True,
    help="The folder of the runs.",
)
def command(old: Path, new: Path | None, **given: Any) -> None:
    """Compare OLD with NEW on the same targets.

    Two .onnx files are measured side by side in one run, and NEW is judged by OLD's oracle. One
    file is compared on several targets. Two runs are compared by each target's ratio to the
    baseline that both have: their latencies never are.
    """
    from toolkit.cli.bench import install_missing
    from toolkit.pipelines.compare import compare
    from toolkit.report.compared import Gates

    order = asking.order_of(given, ["toolkit", *sys.argv[1:]])
    if given["install"]:
        install_missing(order)
    with progress("compare") as draw:
        done = compare(
            old,
            new,
            order,
            reports=given["reports"],
            watch=lambda step, share, text: draw(share, text),
        )
    _show(done, Gates(given["slower"], given["worse"], given["strict"]), given)


def _show(done: ComparedModels, gates: Gates, given: dict[str, Any]) -> None:
    """Prints the table and the gates; exits with 1 where one fails."""
    from toolkit.records import store
    from toolkit.report import compared

    ruled = compared.rulings(done.pairings, gates)
    line("compare", done.title)
    click.echo()
    columns = min(120, shutil.get_terminal_size().columns)
    text = compared.terminal(
        done.pairings,
        ruled,
        columns=columns,
        colour=sys.stdout.isatty(),
        notes=done.notes,
    )
    click.echo(text, nl=False)
    if done.finished is not None and done.finished.folder is not None:
        line("report", str(done.finished.folder / "report.html"))
    if given["junit"] is not None:
        store.write(given["junit"], compared.junit(done.title, ruled))
    if given["markdown"] is not None:
        written = compared.markdown(done.title, done.pairings, ruled, done.notes)
        store.write(given["markdown"], written.encode())
    if compared.fails(ruled, gates):
        raise click.exceptions.Exit(1)
    if done.finished is not None and not ruled:
        asking.demand(done.finished, "measured")
