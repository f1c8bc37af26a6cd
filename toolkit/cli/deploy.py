"""toolkit deploy: a folder that runs elsewhere, with proof."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli import asking
from toolkit.cli.screen import line, progress

if TYPE_CHECKING:
    from toolkit.pipelines.deploy import Deployment, DeployRequest

EXAMPLES = """\b
Examples:
  toolkit deploy --to onnxruntime,web
  toolkit deploy m.onnx --to cpp,openvino -o shipped
  toolkit deploy m.onnx --to node --inputs test_data_set_0

\b
--to:  onnxruntime  Python with ONNX Runtime      openvino  Python with OpenVINO
       cpp          C++17 with ONNX Runtime       node      Node.js with ONNX Runtime
       web          a page with ONNX Runtime's WebAssembly
       Python with what the runtime's converter made, and without the converter:
       iree, litert, ncnn, mnn; and executorch, which starts from --source
"""


@click.command("deploy", epilog=EXAMPLES)
@asking.MODEL
@click.option("--to", required=True, metavar="NAME,NAME…", help="Where it goes; see below.")
@asking.feeds
@asking.limits
@click.option(
    "-o",
    "--output",
    "out",
    type=click.Path(path_type=Path),
    help="The folder of the deployed folders; default: deployed/MODEL.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def command(to: str, out: Path | None, as_json: bool, **given: Any) -> None:
    """Make a folder for each destination that runs a model there without toolkit, and prove it.

    MODEL is an .onnx file; without one it is the reference model, models/mlp/mlp.onnx. A folder has
    the model, a client, what that needs, test data and a README. The client is run in a clean
    environment, and its outputs are judged. What is not proven right has another name than what is:
    NAME-unproven or NAME-failed.
    """
    from toolkit.deployment import listing
    from toolkit.pipelines.deploy import DeployRequest

    names = listing.parse(to)
    model = asking.model_of(given["model"])
    request = DeployRequest(
        asking.wanted_of(given), asking.source_of(given), asking.limits_of(given)
    )
    done: list[Deployment] = []
    for deployed in _watched(model, names, out, request):
        done.append(deployed)
        if not as_json:
            line("deploy", _said(deployed))
    if as_json:
        _print_json(done)
    _demand(done)


def _watched(
    model: Path, names: list[str], out: Path | None, request: DeployRequest
) -> Iterator[Deployment]:
    """Each destination as it is done; its progress is gone before its line is printed."""
    from toolkit.pipelines.deploy import each

    bars: list[Callable[[float | None, str], None]] = []

    def watch(name: str, step: str) -> None:
        bars[-1](None, f"{name}: {step}" if name else step)

    going = each(model, names, out, request=request, watch=watch)
    while True:
        with progress("deploy") as draw:
            bars.append(draw)
            deployed = next(going, None)
        if deployed is None:
            return
        yield deployed


def _said(deployed: Deployment) -> str:
    """'onnxruntime   float32   38 KB   deployed/mlp/onnxruntime'."""
    from toolkit import units

    proof = deployed.proof
    words = {
        "right": proof.verdict.text if proof.verdict else "",
        "not right": f"not right: {proof.what}",
        "failed": f"failed: {proof.what}",
        "not made": f"not proven: {proof.what}",
    }
    if deployed.folder is None:
        return f"{deployed.name:<14}not deployed: {proof.what}"
    place = f"{units.size(deployed.size):<9}  {deployed.folder}"
    refused = f"  refuses {' · '.join(proof.refused)}" if proof.refused else ""
    return f"{deployed.name:<14}{words[proof.outcome]:<12}  {place}{refused}"


def _demand(done: list[Deployment]) -> None:
    """Exits with 1 where a folder is not proven right."""
    unmet = [one for one in done if not one.proven]
    if not unmet:
        return
    names = ", ".join(one.name for one in unmet)
    were = "was" if len(unmet) == 1 else "were"
    click.echo(f"error: {len(unmet)} of {len(done)} {were} not proven right: {names}.", err=True)
    for one in unmet:
        if one.folder is not None and one.proof.outcome != "not made":
            click.echo(f"  {one.folder}/README.md    says how its client is run", err=True)
    for cure in dict.fromkeys(cure for one in unmet for cure in one.proof.cures):
        click.echo(f"  {cure}", err=True)
    raise click.exceptions.Exit(1)


def _print_json(done: list[Deployment]) -> None:
    import json

    from toolkit.deployment.documents import proof_record

    rows = [
        {
            "target": one.name,
            "folder": None if one.folder is None else str(one.folder),
            "size": one.size,
            "proof": proof_record(one.proof),
        }
        for one in done
    ]
    click.echo(json.dumps({"version": 1, "deployed": rows}, indent=2, ensure_ascii=False))
