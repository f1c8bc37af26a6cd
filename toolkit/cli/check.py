"""`toolkit check`: judges a model's answers on every runtime here."""

from __future__ import annotations

import sys
from typing import Any

import click

from toolkit.cli import failures, options, screen

EXAMPLES = """\b
Examples:
  toolkit check m.onnx
  toolkit check m.onnx --target onnxruntime:cpu --inputs test_data_set_0
"""


@click.command("check", epilog=EXAMPLES)
@options.MODEL
@options.shared
@options.ANONYMOUS
@click.option("--json", "as_json", is_flag=True, help="Print the record on stdout.")
def command(as_json: bool, **given: Any) -> None:
    """Judge a model's answers on runtimes, and show what each one's Relu gives for special values.

    MODEL is an .onnx file; without one it is the reference model, models/mlp/mlp.onnx.
    """
    from toolkit.pipelines.check import check
    from toolkit.records import privacy, store
    from toolkit.report import checked

    model = options.model_of(given["model"])
    request = options.bench_request(given)
    with screen.progress("check") as draw:
        finished = check(model, request, watch=lambda step, share, text: draw(share, text))
    if as_json:
        screen.json(store.encode(privacy.run(finished.run)).decode())
    else:
        failures.raise_if_none_ran(finished, "judged")
        text = checked.render(
            finished.run, finished.notes, columns=screen.columns(), colour=sys.stdout.isatty()
        )
        screen.say(text, end="", styled=True)
    failures.exit_if_unmet(finished, "judged")
    failures.exit_if_not_held(finished)
