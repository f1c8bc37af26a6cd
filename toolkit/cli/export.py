"""`toolkit export`: makes an .onnx of a PyTorch module, and proves the file."""

from __future__ import annotations

import dataclasses
import json
import math
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import click

from toolkit import units
from toolkit.cli import options, screen
from toolkit.errors import InputError, ToolkitError
from toolkit.sources import inputs

if TYPE_CHECKING:
    from toolkit.exporter.proof import Step
    from toolkit.exporter.quiet import Chatter
    from toolkit.pipelines.export import Exported

EXAMPLES = """\b
Examples:
  toolkit export
      the reference model, to models/mlp/mlp.onnx
  toolkit export net.py:build --input 'x:float32[batch,seq=16,64]'
      a factory, class or module of yours, to net.onnx
  toolkit export net.py:build --arg width=64 --input 'x:float32[batch,64]'
      the same as 'net.py:build(width=64)', which toolkit check --source takes too
  toolkit export mypkg.net:Net --weights net.safetensors \\
      --input 'ids:int64[batch,seq=1..512]' --input 'mask:bool[batch,seq]' -o out/net.onnx

\b
--input:  NAME:TYPE[DIMENSION,…]
  40  fixed      batch  dynamic      seq=16  dynamic, traced with 16
  height=64..    dynamic, from 64 on      width=64..512  dynamic, from 64 to 512
  height=32*k    dynamic, multiples of 32      height=32*k=64..512  those from 64 to 512
"""

REFERENCE = "toolkit.sources.reference:net"

STAGES = {
    "train": "reading or learning the weights",
    "build": "loading PyTorch and the module",
    "convert": "torch.onnx.export",
    "prove": "proving the file at several shapes",
    "write": "writing",
    "unoptimized": "that file is wrong: once more without onnxscript's optimizer",
    "strict": "once more by strict tracing",
    "torchscript": "once more by the TorchScript exporter",
}

EXPORTERS = ("dynamo", "dynamo-strict", "torchscript")
"""Those of pipelines.export; torch is not imported for a list of words."""


@click.command("export", epilog=EXAMPLES)
@click.argument("source", required=False)
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="NAME:TYPE[DIM,…]",
    help="An input of forward; give it once for each input.",
)
@click.option(
    "--arg",
    "arguments",
    multiple=True,
    metavar="NAME=VALUE",
    help="An argument of the factory; give it once for each argument.",
)
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    help="A .safetensors, .pt or .npz file; .pt is read without running code.",
)
@click.option("-o", "out", type=click.Path(path_type=Path), help="The file to write.")
@click.option("--opset", type=click.IntRange(min=1), help="The file's opset; default: torch's own.")
@click.option(
    "--exporter",
    type=click.Choice(EXPORTERS),
    help="torch's exporter; default: dynamo, and others where its file is wrong.",
)
@click.option("--no-proof", is_flag=True, help="Compare nothing; the file says so.")
@click.option(
    "--stateful", is_flag=True, help="Buffers that forward changes become inputs and outputs."
)
@click.option(
    "--allow-fixed",
    is_flag=True,
    help="Give a dimension that cannot stay dynamic its traced size, and say so.",
)
@click.option(
    "--cast-missing",
    is_flag=True,
    help="Have operators that onnxruntime lacks in bfloat16 or float16 computed in float32.",
)
@click.option("--keep-traces", is_flag=True, help="Keep torch's notes: paths, lines of the source.")
@click.option("--force", is_flag=True, help="Replace another model's test data beside the file.")
@options.SIGN
@click.option("--verbose", is_flag=True, help="Show all that torch says, and its whole trace.")
@click.option("--json", "as_json", is_flag=True, help="Print the record instead of the table.")
@options.bounds
def command(
    source: str | None,
    inputs: tuple[str, ...],
    arguments: tuple[str, ...],
    weights: Path | None,
    out: Path | None,
    opset: int | None,
    exporter: str | None,
    no_proof: bool,
    stateful: bool,
    allow_fixed: bool,
    cast_missing: bool,
    keep_traces: bool,
    force: bool,
    sign: Path | None,
    verbose: bool,
    as_json: bool,
    timeout: float | None,
) -> None:
    """Export a PyTorch module to .onnx, and prove the file.

    SOURCE is FILE.py:NAME or MODULE:NAME, where NAME is a function that returns a torch.nn.Module,
    its class, or the module itself; without one, the reference model. Its code is run.

    The file is written under its name only if it is the module's function: its form, its graph in
    float64, and its float32 numbers, at the traced shape and at others.
    """
    from toolkit.exporter.quiet import Chatter

    chatter = Chatter()
    options.ask_passphrase(sign)
    if arguments:
        from toolkit.sources.source import with_arguments

        if source is None:
            raise InputError("--arg is for a factory of yours; the reference model has none")
        source = with_arguments(source, arguments)
    try:
        show(
            source,
            out,
            as_json=as_json,
            chatter=chatter,
            input=inputs,
            weights=weights,
            opset=opset,
            exporter=exporter,
            proof=not no_proof,
            stateful=stateful,
            allow_fixed=allow_fixed,
            cast_missing=cast_missing,
            keep_traces=keep_traces,
            force=force,
            sign=sign,
            timeout=timeout,
        )
    except ToolkitError as error:
        if verbose:
            _print_chatter(chatter, error)
        raise
    if verbose:
        _print_chatter(chatter, None)


def show(
    source: str | None, out: Path | None, *, as_json: bool, chatter: Chatter, **options: object
) -> Exported:
    """Exports under a progress line, and prints the outcome, also where the proof fails.

    `options` are those of `pipelines.export.export`.
    """
    started = time.perf_counter()
    failed: ToolkitError | None = None
    with screen.progress("export") as draw:
        draw(None, STAGES["build"])
        from toolkit.pipelines.export import NotProven, export

        try:
            exported = export(
                source,
                out,
                chatter=chatter,
                watch=lambda stage: draw(None, STAGES[stage]),
                **options,  # type: ignore[arg-type]
            )
        except NotProven as error:
            failed, exported = error, error.exported
    seconds = time.perf_counter() - started
    if as_json:
        screen.json(json.dumps(record(exported, written=failed is None), indent=2))
    else:
        table(exported, seconds, written=failed is None)
    if failed is not None:
        raise failed
    return exported


def table(exported: Exported, seconds: units.Seconds, *, written: bool) -> None:
    """Prints what was exported, and the proof, a line for each step."""
    from toolkit.exporter import ways

    screen.line("export", f"{headline(exported):<68}  {units.duration(seconds, 2)}")
    if exported.instead:
        screen.line("", f"{'fall-back':<12}{ways.WAYS[exported.way].says}, since:")
        screen.line("", f"            {exported.instead}")
    for step in exported.proof.steps:
        screen.line("", step_line(step))
        for detail in step.details if written else ():
            screen.line("", f"            {detail}")
    for note in exported.notes:
        screen.line("", note)
    if exported.unproven:
        screen.line("", "not proven: --no-proof was given; the file's metadata says so")
    screen.line("", times(exported))
    if written:
        size = units.size(exported.facts.size)
        sets = len(exported.test_data)
        beside = f", {sets} sets of test data beside it" if sets else ""
        screen.line("", f"{exported.path} ({size}){beside}")
    if exported.signed_by:
        screen.line("", f"signed by {exported.signed_by}")


def times(exported: Exported) -> str:
    """Returns 'module 1.2 s · torch.onnx.export 5.1 s · structure 0.9 s · numbers 0.4 s'."""
    named = {"build": "module", "convert": "torch.onnx.export", "write": "file"}
    parts = [(named[key], seconds) for key, seconds in exported.seconds.items()]
    parts += [(step.name, step.seconds) for step in exported.proof.steps]
    return " · ".join(f"{label} {units.duration(seconds, 2)}" for label, seconds in parts)


def headline(exported: Exported) -> str:
    """Returns 'net.py:build · torch 2.13.0 → opset 20 · 31 nodes · batch, seq are dynamic', behind
    which stands which sizes they may have: '(seq=1..512)'."""
    from toolkit.onnxfiles import modelfile

    facts, names = exported.facts, list(exported.traced)
    operators = [f"{n} {name}" if n > 1 else name for name, n in facts.operators.items()]
    few = ", ".join(operators) if len(operators) <= 4 else f"{sum(facts.operators.values())} nodes"
    dynamic = f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} dynamic"
    if ranges := modelfile.ranges(facts):
        dynamic = f"{dynamic} ({inputs.in_words(ranges.values())})"
    own = [] if exported.source.factory == REFERENCE else [exported.source.name]
    return " · ".join(
        [
            *own,
            f"torch {facts.metadata['torch']} → opset {facts.opset}",
            few,
            dynamic if names else "fixed shape",
        ]
    )


def step_line(step: Step) -> str:
    """Returns a row: 'structure   in float64 at batch 1, 2, 7, 32   2.2e-16    same function'."""
    if step.outcome == "not shown":
        return f"{step.name:<12}not shown: {step.says}"
    shown = step.figure is not None and math.isfinite(step.figure)
    figure = (f"{step.figure:.1e}" if step.figure else "0") if shown else ""
    verdict = step.says or step.outcome
    fails = "   fails" if step.outcome == "fails" and step.says else ""
    return f"{step.name:<12}{step.what:<46}{figure:>9}    {verdict}{fails}"


def record(exported: Exported, *, written: bool) -> dict[str, object]:
    """Returns the export as strict JSON has it."""
    facts, proof = exported.facts, exported.proof
    return {
        "written": written,
        "path": str(exported.path) if written else None,
        "source": exported.source.name,
        "sha256": facts.sha256,
        "size": facts.size,
        "opset": facts.opset,
        "operators": dict(facts.operators),
        "inputs": [dataclasses.asdict(spec) for spec in facts.inputs],
        "outputs": [dataclasses.asdict(spec) for spec in facts.outputs],
        "metadata": dict(facts.metadata),
        "traced": dict(exported.traced),
        "exporter": exported.way,
        "fallback": exported.instead or None,
        "notes": list(exported.notes),
        "seconds": dict(exported.seconds),
        "holds": proof.holds,
        "proof": [
            {
                **dataclasses.asdict(step),
                "figure": None if step.figure is None else units.number(step.figure),
            }
            for step in proof.steps
        ],
        "test_data": [str(folder) for folder in exported.test_data],
        **({"signed_by": exported.signed_by} if exported.signed_by else {}),
    }


def _print_chatter(chatter: Chatter, error: ToolkitError | None) -> None:
    """Prints all that torch printed, and its trace where it refused."""
    if chatter.text:
        screen.say(chatter.text, err=True)
    if error is not None and error.__cause__ is not None:
        screen.say("".join(traceback.format_exception(error.__cause__)).rstrip(), err=True)
