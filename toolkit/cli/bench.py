"""toolkit bench: how fast, against which, and are the answers right?"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli import asking
from toolkit.cli.screen import progress
from toolkit.cli.values import DURATION, PERCENT

if TYPE_CHECKING:
    from toolkit.pipelines.bench import BenchRequest, FinishedRun


EXAMPLES = """\b
Examples:
  toolkit bench --provider cpu,cuda
  toolkit bench m.onnx --source net.py:Net --dim batch=1,8 --time 20s
  toolkit bench m.onnx --target onnxruntime:cpu --target 'openvino,env=~/venvs/ov'
  toolkit bench --target onnxruntime@1.30.0 --target onnxruntime@1.32.0 --install
  toolkit bench --all
  toolkit bench --resume
"""


@click.command(
    "bench",
    epilog=EXAMPLES,
)
@asking.MODEL
@asking.options
@click.option("--all", "everything", is_flag=True, help="Every runtime that is installed.")
@click.option("--install", is_flag=True, help="Install the runtimes that are missing, first.")
@click.option(
    "--time", "time", type=DURATION, help="The ceiling on the time of the measurement, such as 20s."
)
@click.option("--precision", type=PERCENT, help="Stop when every ratio is known so well: 0.5%.")
@click.option("--quick", is_flag=True, help="Go on without intervals where --time is short.")
@click.option("--baseline", metavar="T", help="The target that the others are compared with.")
@click.option(
    "--resume",
    is_flag=False,
    flag_value="",
    metavar="[RUN]",
    help="Go on with the newest unfinished run, or the one named.",
)
@click.option(
    "-o",
    "--output",
    "reports",
    type=click.Path(path_type=Path),
    default="reports",
    show_default=True,
    help="The folder of the runs.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the record on stdout.")
def command(resume: str | None, **given: Any) -> None:
    """Measure a model on runtimes, side by side, each number beside a verdict on the answers.

    MODEL is an .onnx file; without one it is the reference model, models/mlp/mlp.onnx.
    """
    from toolkit.pipelines.bench import bench
    from toolkit.records import store

    folder = None
    if resume is not None:
        folder = store.reopen(Path(resume) if resume else store.unfinished(given["reports"])).path
        given = _given_before(folder, given)
    model = asking.model_of(given["model"])
    order = asking.order_of(given, _typed(folder))
    if given["install"]:
        install_missing(order)
    with progress("bench") as draw:
        finished = bench(
            model,
            order,
            reports=given["reports"],
            resume=folder,
            watch=lambda step, share, text: draw(share, text),
        )
    show(finished, as_json=given["as_json"])


def install_missing(order: BenchRequest) -> None:
    """Makes the environments that the named targets lack; with --all those of every runtime."""
    from toolkit.engine import selection
    from toolkit.pipelines import installing

    missing = selection.missing(order.targets)
    if order.everything:
        missing += [recipe for recipe in installing.for_the_cpu() if recipe not in missing]
    with progress("install") as draw:
        installing.install(missing, lambda made, there: None, draw)


def show(finished: FinishedRun, *, as_json: bool = False) -> None:
    """Prints the run; exits with 1 where a target that the user named has no right number."""
    from toolkit.records import store
    from toolkit.report import terminal
    from toolkit.report.summary import summarize

    if not as_json:
        asking.refuse(finished, "measured")
    if as_json:
        click.echo(store.encode(finished.run).decode(), nl=False)
    else:
        folder = finished.folder or Path()
        view = summarize(finished.run, store.read_samples(folder))
        colour = sys.stdout.isatty()
        columns = min(120, shutil.get_terminal_size().columns)
        text = terminal.render(view, columns=columns, label="bench", colour=colour)
        click.echo(text, nl=False)
        click.echo(f"report   {folder / 'report.html'}")
    asking.demand(finished, "measured")


def _typed(folder: Path | None) -> list[str]:
    """The command line, for the record; that of the run which goes on."""
    if folder is None:
        return ["toolkit", *sys.argv[1:]]
    from toolkit.records import store

    return store.head(folder).command


def _given_before(folder: Path, given: dict[str, Any]) -> dict[str, Any]:
    """The options with which the unfinished run was started; it is told where it lies now."""
    from toolkit.errors import RunError
    from toolkit.records import store

    typed = store.head(folder).command
    if typed[:2] != ["toolkit", "bench"]:
        raise RunError(
            f"{folder} was not started by toolkit bench, so it is not known how to go on"
        )
    before = command.make_context("bench", typed[2:], resilient_parsing=False).params
    before.pop("resume")
    return {**before, "reports": folder.parent, "as_json": given["as_json"]}
