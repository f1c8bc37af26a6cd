"""`toolkit check`: judges a model's answers on every runtime here."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli import failures, labelled, options, screen

if TYPE_CHECKING:
    from toolkit.deployment.verifying import Trusted, Verified
    from toolkit.records.schema import Run

EXAMPLES = """\b
Examples:
  toolkit check m.onnx
  toolkit check m.onnx --target onnxruntime:cpu --inputs test_data_set_0
  toolkit check m.onnx --data photos/validation --metric accuracy
  toolkit check deployed/m/onnxruntime --verify acme.pub
"""
VERSION = 1
"""The version of what --verify --json prints."""


@click.command("check", epilog=EXAMPLES)
@options.MODEL
@options.shared
@labelled.DATA_TIME
@options.ANONYMOUS
@options.RELU
@click.option(
    "--verify",
    type=options.FILE,
    metavar="PUBLIC_KEY",
    help="First demand that MODEL is as the owner of this key signed it; `sigstore` takes a "
    "keyless signature.",
)
@click.option("--identity", metavar="NAME", help="Whose keyless signature it has to be.")
@click.option("--issuer", metavar="URL", help="Who states that identity.")
@click.option("--json", "as_json", is_flag=True, help="Print the record on stdout.")
def command(
    verify: Path | None, identity: str | None, issuer: str | None, as_json: bool, **given: Any
) -> None:
    """Judge a model's answers on runtimes, and show what each one's Relu gives for special values.

    MODEL is an .onnx file, or a folder of `toolkit deploy`; without one it is the reference model,
    models/mlp/mlp.onnx. With --verify nothing is read before the signature is known to be right:
    that of the folder, model.sig, or of the file, MODEL.sig.
    """
    from toolkit.pipelines.check import check
    from toolkit.report import checked

    model = options.model_of(given["model"])
    request = options.bench_request(given)
    verified = None
    if trusted := _trusted(verify, identity, issuer):
        verified = _verified(model, trusted, request.deadline, quiet=as_json)
        if verified.model is None:
            if as_json:
                _print_json(verified, None)
            return
    with screen.progress("check") as draw:
        finished = check(
            model,
            request,
            verify=verified,
            watch=lambda step, share, text: draw(share, text),
        )
    if as_json:
        _print_json(verified, finished.run)
    else:
        failures.raise_if_none_ran(finished, "judged")
        text = checked.render(
            finished.run, finished.notes, columns=screen.columns(), colour=sys.stdout.isatty()
        )
        screen.say(text, end="", styled=True)
    failures.exit_if_unmet(finished, "judged")
    failures.exit_if_not_held(finished)


def _trusted(key: Path | None, identity: str | None, issuer: str | None) -> Trusted | None:
    """Whose signature is asked for; None: nobody's."""
    if key is None:
        if identity is not None or issuer is not None:
            raise click.UsageError("--identity and --issuer belong to --verify sigstore")
        return None
    from toolkit.deployment.verifying import Trusted

    return Trusted(key, identity or "", issuer or "")


def _verified(model: Path, trusted: Trusted, deadline: float | None, *, quiet: bool) -> Verified:
    """Verifies the signature, and says whose it is."""
    from toolkit.pipelines.check import signature
    from toolkit.report.words import counted, printable

    with screen.progress("verify"):
        verified = signature(model, trusted, deadline)
    if not quiet:
        files = counted(len(verified.states), "file")
        screen.line("verified", f"{verified.signature}: {files}, signed by")
        screen.line("", printable(verified.signed_by))
        if verified.model is None:
            screen.line("check", f"{model} has no .onnx file: there are no answers to judge here")
    return verified


def _print_json(verified: Verified | None, run: Run | None) -> None:
    """Prints the record; with a signature both, under a key each."""
    import json

    from toolkit.records import privacy, store

    record = "null" if run is None else store.encode(privacy.run(run)).decode().rstrip()
    if verified is None:
        screen.json(record)
        return
    signed = {
        "signature": privacy.path(verified.signature),
        "signed_by": verified.signed_by,
        "files": [privacy.path(state.path) for state in verified.states],
    }
    head = f'{{\n"version": {VERSION},\n"verified": {json.dumps(signed, indent=1)},\n"run": '
    screen.json(f"{head}{record}\n}}")
