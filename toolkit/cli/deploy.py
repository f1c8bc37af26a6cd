"""`toolkit deploy`: makes folders that run elsewhere, with proof."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli import options, screen

if TYPE_CHECKING:
    from toolkit.cli.screen import Draw
    from toolkit.pipelines.deploy import Deployment, DeployRequest

EXAMPLES = """\b
Examples:
  toolkit deploy --to onnxruntime,web
  toolkit deploy m.onnx --to cpp,openvino -o shipped
  toolkit deploy m.onnx --to node --inputs test_data_set_0
  toolkit deploy m.onnx --to cpp --sign key.pem

\b
--to:  onnxruntime  Python with ONNX Runtime      openvino  Python with OpenVINO
       cpp          C++17 with ONNX Runtime       node      Node.js with ONNX Runtime
       web          a page with ONNX Runtime's WebAssembly
       Python with what the runtime's converter made, and without the converter:
       iree, litert, ncnn, mnn; and executorch, which starts from --source
"""
VERSION = 1
"""The version of what --json prints."""


@click.command("deploy", epilog=EXAMPLES)
@options.MODEL
@click.option("--to", required=True, metavar="NAME,NAME…", help="The destinations; see below.")
@options.feeds
@options.limits
@options.bounds
@click.option(
    "-o",
    "--output",
    "out",
    type=click.Path(path_type=Path),
    help="The folder of the deployed folders; default: deployed/MODEL.",
)
@click.option(
    "--sandbox",
    type=click.Choice(["auto", "off"]),
    default="auto",
    show_default=True,
    help="The sandbox of the browser that proves web; auto is on, but for root, who has none.",
)
@options.SIGN
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def command(to: str, out: Path | None, sign: Path | None, as_json: bool, **given: Any) -> None:
    """Make a folder for each destination that runs a model there without toolkit, and prove it.

    MODEL is an .onnx file; without one it is the reference model, models/mlp/mlp.onnx. A folder has
    the model, a client, what that needs, test data and a README. The client is run in a clean
    environment, and its outputs are judged. What is not proven right has another name than what is:
    NAME-unproven or NAME-failed.

    --sign puts a signature over all files of a folder into it, model.sig, which `toolkit check
    FOLDER --verify PUBLIC_KEY` demands. A key is a PEM of an elliptic curve (P-256, P-384, P-521);
    its passphrase stands in TOOLKIT_SIGN_PASSPHRASE, or is asked for at a terminal.
    """
    from toolkit.deployment import listing
    from toolkit.pipelines.deploy import DeployRequest

    names = listing.parse(to)
    options.ask_passphrase(sign)
    model = options.model_of(given["model"])
    request = DeployRequest(
        options.feed_request(given),
        options.source_of(given),
        options.limits_of(given),
        given["timeout"],
        sandbox=given["sandbox"],
        sign=sign,
    )
    deployments: list[Deployment] = []
    for deployment in _watched(model, names, out, request):
        deployments.append(deployment)
        if not as_json:
            screen.line("deploy", _row(deployment))
            if deployment.signed_by:
                screen.line("", f"signed by {deployment.signed_by}")
    notes = dict.fromkeys(deployment.note for deployment in deployments if deployment.note)
    for note in () if as_json else notes:
        screen.line("", note)
    if as_json:
        _print_json(deployments)
    _exit_if_unproven(deployments)


def _watched(
    model: Path, names: list[str], out: Path | None, request: DeployRequest
) -> Iterator[Deployment]:
    """Yields each destination as it is done; its progress is gone before its line is printed."""
    from toolkit.pipelines.deploy import each

    draw: Draw | None = None

    def watch(name: str, step: str) -> None:
        if draw is not None:
            draw(None, f"{name}: {step}" if name else step)

    steps = each(model, names, out, request=request, watch=watch)
    while True:
        with screen.progress("deploy") as draw_this:
            draw = draw_this
            deployment = next(steps, None)
        if deployment is None:
            return
        yield deployment


def _row(deployment: Deployment) -> str:
    """Returns 'onnxruntime   float32   38 KB   deployed/mlp/onnxruntime'."""
    from toolkit import units

    proof = deployment.proof
    if deployment.folder is None:
        return f"{deployment.name:<14}not deployed: {proof.what}"
    outcome = {
        "right": proof.verdict.text if proof.verdict else "",
        "not shown": f"not proven: {proof.what}",
        "not right": f"not right: {proof.what}",
        "failed": f"failed: {proof.what}",
        "not made": f"not proven: {proof.what}",
    }[proof.outcome]
    folder = f"{units.size(deployment.size):<9}  {deployment.folder}"
    refused = f"  refuses {' · '.join(proof.refused)}" if proof.refused else ""
    return f"{deployment.name:<14}{outcome:<12}  {folder}{refused}"


def _exit_if_unproven(deployments: list[Deployment]) -> None:
    """Exits with 1 where a folder is not proven right."""
    unmet = [deployment for deployment in deployments if not deployment.proven]
    if not unmet:
        return
    names = ", ".join(deployment.name for deployment in unmet)
    were = "was" if len(unmet) == 1 else "were"
    cures = [
        f"{deployment.folder}/README.md    says how its client is run"
        for deployment in unmet
        if deployment.folder is not None
        and deployment.proof.outcome not in ("not made", "not shown")
    ]
    cures += [cure for deployment in unmet for cure in deployment.proof.cures]
    screen.error(
        f"{len(unmet)} of {len(deployments)} {were} not proven right: {names}.",
        dict.fromkeys(cures),
    )
    raise click.exceptions.Exit(1)


def _print_json(deployments: list[Deployment]) -> None:
    import json

    from toolkit.deployment.documents import proof_record

    rows = [
        {
            "target": deployment.name,
            "folder": None if deployment.folder is None else str(deployment.folder),
            "size": deployment.size,
            "proof": proof_record(deployment.proof),
            **({"note": deployment.note} if deployment.note else {}),
            **({"signed_by": deployment.signed_by} if deployment.signed_by else {}),
        }
        for deployment in deployments
    ]
    screen.json(json.dumps({"version": VERSION, "deployed": rows}, indent=2, ensure_ascii=False))
