"""`toolkit bench`: measures a model on runtimes side by side."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli import failures, options, resuming, screen

if TYPE_CHECKING:
    from toolkit.pipelines.bench import BenchRequest, FinishedRun


EXAMPLES = """\b
Examples:
  toolkit bench --provider cpu,cuda
  toolkit bench m.onnx --source net.py:Net --dim batch=1,8 --time 20s
  toolkit bench m.onnx --target onnxruntime:cpu --target 'openvino,env=~/venvs/ov'
  toolkit bench --target onnxruntime@1.30.0 --target onnxruntime@1.32.0 --install
  toolkit bench m.onnx --batch 1,2,4,8 --threads 1,all --latency-limit 20ms --price 0.34
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
@options.ANONYMOUS
@options.RELU
@options.LATENCY_LIMIT
@options.HOURLY
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
    from toolkit.pipelines.bench import bench, demand_resumable
    from toolkit.records import store

    folder = None
    if resume is not None:
        folder = store.reopen(Path(resume) if resume else store.unfinished(given["reports"])).path
        given = resuming.values(command, folder, given)
        screen.left_out(store.damage(folder))
    model = options.model_of(given["model"])
    request = options.bench_request(given)
    if given["install"]:
        if folder is not None:
            demand_resumable(model, request, folder)
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
    from toolkit.records import privacy, store
    from toolkit.report import terminal
    from toolkit.report.summary import summarize

    if as_json:
        screen.json(store.encode(privacy.run(finished.run)).decode())
    else:
        failures.raise_if_none_ran(finished, "measured")
        folder = finished.folder or Path()
        view = summarize(finished.run, store.read_samples(folder))
        text = terminal.render(
            view, columns=screen.columns(), label="bench", colour=sys.stdout.isatty()
        )
        screen.say(text, end="", styled=True)
        screen.line("report", str(folder / "report.html"))
    failures.exit_if_unmet(finished, "measured")
