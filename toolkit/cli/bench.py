"""`toolkit bench`: measures a model on runtimes side by side."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli import failures, options, screen

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


@click.command("bench", epilog=EXAMPLES)
@options.MODEL
@options.shared
@click.option("--all", "everything", is_flag=True, help="Measure every runtime that is installed.")
@options.INSTALL
@options.TIME
@options.PRECISE
@options.QUICK
@click.option("--baseline", metavar="T", help="The target that the others are compared with.")
@click.option(
    "--resume",
    is_flag=False,
    flag_value="",
    metavar="[RUN]",
    help="Go on with the newest unfinished run, or the one named.",
)
@options.REPORTS
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
        screen.left_out(store.damage(folder))
    model = options.model_of(given["model"])
    request = options.bench_request(given, _typed(folder))
    if given["install"]:
        install_missing(request)
    with screen.progress("bench") as draw:
        finished = bench(
            model,
            request,
            reports=given["reports"],
            resume=folder,
            watch=lambda step, share, text: draw(share, text),
        )
    show(finished, as_json=given["as_json"])


def install_missing(request: BenchRequest) -> None:
    """Makes the environments that the named targets lack; with --all those of every runtime."""
    from toolkit.engine import selection
    from toolkit.pipelines import installing

    missing = selection.missing(request.targets)
    if request.everything:
        missing += [recipe for recipe in installing.for_the_cpu() if recipe not in missing]
    with screen.progress("install") as draw:
        installing.install(missing, lambda installed, was_there: None, draw)


def show(finished: FinishedRun, *, as_json: bool = False) -> None:
    """Prints the run; exits with 1 where a target that the user named has no right number."""
    from toolkit.records import store
    from toolkit.report import terminal
    from toolkit.report.summary import summarize

    if as_json:
        click.echo(store.encode(finished.run).decode(), nl=False)
    else:
        failures.raise_if_none_ran(finished, "measured")
        folder = finished.folder or Path()
        view = summarize(finished.run, store.read_samples(folder))
        text = terminal.render(
            view, columns=screen.columns(), label="bench", colour=sys.stdout.isatty()
        )
        click.echo(text, nl=False)
        screen.line("report", str(folder / "report.html"))
    failures.exit_if_unmet(finished, "measured")


def _typed(folder: Path | None) -> list[str]:
    """Returns the command line for the record: this one, or that of the run which goes on."""
    if folder is None:
        return ["toolkit", *sys.argv[1:]]
    from toolkit.records import store

    return store.head(folder).command


def _given_before(folder: Path, given: dict[str, Any]) -> dict[str, Any]:
    """Returns the options with which the unfinished run was started, but for those that say where
    it lies now and what is printed."""
    from toolkit.errors import RunError
    from toolkit.records import store

    typed = store.head(folder).command
    if typed[:2] != ["toolkit", "bench"]:
        started = f"started by {shlex.join(typed)}" if typed else "started from Python"
        raise RunError(
            f"{folder} was {started}: only a run of toolkit bench goes on by --resume",
            *([f"{shlex.join(typed)}    starts it anew"] if typed else []),
        )
    before = command.make_context("bench", typed[2:], resilient_parsing=False).params
    before.pop("resume")
    return {**before, "reports": folder.parent, "as_json": given["as_json"]}
