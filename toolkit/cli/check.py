"""toolkit check: is the file right, on every runtime here?"""

from __future__ import annotations

import shutil
import sys
from typing import Any

import click

from toolkit.cli import asking
from toolkit.cli.screen import progress

EXAMPLES = """\b
Examples:
  toolkit check m.onnx
  toolkit check m.onnx --target onnxruntime:cpu --inputs test_data_set_0
"""


@click.command(
    "check",
    epilog=EXAMPLES,
)
@asking.MODEL
@asking.options
@click.option("--json", "as_json", is_flag=True, help="Print the record on stdout.")
def command(as_json: bool, **given: Any) -> None:
    """Judge a model's answers on runtimes, and show what each one's Relu gives for special values.

    MODEL is an .onnx file; without one it is the reference model, models/mlp/mlp.onnx.
    """
    from toolkit.pipelines.check import check
    from toolkit.records import store
    from toolkit.report import checked

    model = asking.model_of(given["model"])
    order = asking.order_of(given, ["toolkit", *sys.argv[1:]])
    with progress("check") as draw:
        finished = check(model, order, watch=lambda step, share, text: draw(share, text))
    if not as_json:
        asking.refuse(finished, "judged")
    if as_json:
        click.echo(store.encode(finished.run).decode(), nl=False)
    else:
        columns = min(120, shutil.get_terminal_size().columns)
        text = checked.render(
            finished.run, finished.notes, columns=columns, colour=sys.stdout.isatty()
        )
        click.echo(text, nl=False)
    asking.demand(finished, "judged")
