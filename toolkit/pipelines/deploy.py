"""Model → assignment → for each destination a folder → its client run and judged → its name."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from toolkit.answers.verdict import Limits
from toolkit.deployment import (
    datasets,
    documents,
    forms,
    listing,
    operators,
    packing,
    proving,
    signing,
    venvs,
)
from toolkit.deployment.base import Destination, MakePython, Payload
from toolkit.deployment.chromium import Sandbox
from toolkit.deployment.proof import FolderProof
from toolkit.deployment.signing import Signer
from toolkit.engine import assignment as assignments
from toolkit.engine import unoptimised
from toolkit.engine.assignment import Assignment, FeedRequest
from toolkit.errors import EnvironmentFault, InputError, TargetError
from toolkit.exporter import landing
from toolkit.onnxfiles import filestates, modelfile, referencefile
from toolkit.onnxfiles.modelfile import ModelFile, Opened
from toolkit.pipelines.bench import REFERENCE
from toolkit.sources.source import Source
from toolkit.supervision import progress
from toolkit.units import Bytes, Seconds
from toolkit.workers import cache, environments

UNPROVEN = "-unproven"
FAILED = "-failed"


@dataclass(frozen=True)
class DeployRequest:
    """All that a user asks of every folder, besides its model and its destination."""

    feeds: FeedRequest = field(default_factory=FeedRequest)
    source: Source | None = None
    limits: Limits = field(default_factory=Limits)
    deadline: Seconds | None = None
    """The limit for finding out what is right (`BenchRequest.deadline`)."""
    sandbox: Sandbox = "auto"
    """Whether the browser that proves `web` has its own sandbox: 'auto', unless root starts it."""
    sign: Path | None = None
    """A private key in PEM, of an elliptic curve, with which each folder that is proven right is
    signed; `sigstore` signs without a key. None: nothing is signed. The variable
    TOOLKIT_SIGN_PASSPHRASE has the passphrase of a key that needs one."""


@dataclass(frozen=True)
class Deployment:
    """One destination, and what became of it."""

    name: str
    """The destination's name."""
    folder: Path | None
    """None: the destination cannot take the model, or nothing could be packed."""
    size: Bytes
    """All files of the folder together; 0 without one."""
    proof: FolderProof
    note: str = ""
    """What is to be known of the model itself: that it was exported without a proof."""
    signed_by: str = ""
    """The fingerprint of the key by which the folder is signed; empty: it is not."""

    @property
    def proven(self) -> bool:
        """The client was run, and its outputs are right."""
        return self.proof.outcome == "right"


Watch = Callable[[str, str], None]
"""Is told which destination is at which step: 'packing', 'proving'. The name is empty while the
model itself is looked at."""


def deploy(
    model: str | Path = REFERENCE,
    to: Sequence[str] = ("onnxruntime",),
    out: str | Path | None = None,
    *,
    request: DeployRequest | None = None,
    make_python: MakePython = venvs.fresh,
    watch: Watch = lambda name, step: None,
) -> list[Deployment]:
    """Makes a folder for each destination that runs there without toolkit, and proves it.

    The folders come to stand in `out`, default deployed/MODEL. Only one whose client was run and is
    right has the destination's name: NAME-unproven could not be run here, and NAME-failed is kept
    to be looked into; a script that takes deployed/mlp/web never finds either. `make_python` makes
    the environment in which a client in Python is run. Raises InputError for a model, a destination
    or a request that cannot be met, and where another folder is in the way.
    """
    deployments = [*each(model, to, out, request=request, make_python=make_python, watch=watch)]
    return sorted(deployments, key=lambda deployment: [*to].index(deployment.name))


def each(
    model: str | Path,
    to: Sequence[str],
    out: str | Path | None = None,
    *,
    request: DeployRequest | None = None,
    make_python: MakePython = venvs.fresh,
    watch: Watch = lambda name, step: None,
) -> Iterator[Deployment]:
    """Does the same as `deploy`, and yields each destination as soon as it is done: first those
    that cannot take the model, before any work."""
    request = request or DeployRequest()
    # Before the work: a key that cannot be used costs none.
    signer = None if request.sign is None else signing.signer(request.sign)
    destinations = [listing.load(name) for name in dict.fromkeys(to)]
    path = Path(model)
    with progress.bounded(request.deadline):
        opened = modelfile.open_once(path)
    file = opened.facts
    parent = Path("deployed") / path.stem if out is None else Path(out)
    for destination in destinations:
        _refuse_foreign(parent / destination.name)
    able = [destination for destination in destinations if not operators.refusal(destination, file)]
    for destination in destinations:
        if destination not in able:
            yield _refused(destination, file)
    if not able:
        return
    with contextlib.ExitStack() as stack:
        assignment = _assignment(opened, request, stack, watch)
        for destination in able:
            final = parent / destination.name
            making = _Making(request.limits, request.sandbox, make_python, signer, watch)
            made = _deployment(destination, assignment, final, making)
            # With its source the file was held to the module just now.
            yield replace(made, note="" if request.source else file.unproven)


def _assignment(
    opened: Opened, request: DeployRequest, stack: contextlib.ExitStack, watch: Watch
) -> Assignment:
    """Returns the assignment; its files lie in a folder that goes with the stack."""
    watch("", "finding out what is right")
    work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="toolkit-")))
    worker_code = environments.lay(work / "rooms", [])
    start = partial(unoptimised.unoptimised, worker_code)
    with progress.bounded(request.deadline), filestates.unchanged(opened.facts.states):
        return assignments.ask(opened, request.feeds, work, start, given=request.source)


@dataclass(frozen=True)
class _Making:
    """What is the same for every folder of a command."""

    limits: Limits
    sandbox: Sandbox
    make_python: MakePython
    signer: Signer | None
    watch: Watch


def _deployment(
    destination: Destination, assignment: Assignment, final: Path, making: _Making
) -> Deployment:
    """Packs, proves, documents and signs one folder beside its final place, then gives it its name.

    Raises InputError where the model changed meanwhile: the folder may hold halves of two files.
    """
    with (
        landing.beside(final, folder=True) as beside,
        tempfile.TemporaryDirectory(prefix="toolkit-") as scratch_name,
    ):
        scratch = Path(scratch_name)
        folder = beside / destination.name  # A signature tells the name.
        folder.mkdir()
        with filestates.unchanged(assignment.file.states):
            making.watch(destination.name, "packing")
            try:
                payload = _payload(destination, assignment, scratch)
                packing.pack(destination, payload, folder)
            except (EnvironmentFault, TargetError) as error:
                proof = FolderProof("not made", (), what=error.what, cures=error.cures)
                return Deployment(destination.name, None, 0, proof)
            making.watch(destination.name, "proving")
            workspace = proving.workspace(
                folder, payload, assignment, scratch, making.make_python, making.sandbox
            )
            proof = proving.prove(destination, workspace, assignment, making.limits)
            if proof.refused:
                payload = replace(payload, sets=datasets.shipped(assignment, proof.refused))
                datasets.write(payload, folder)
            # What is not proven right bears nobody's signature.
            signer = making.signer if proof.outcome == "right" else None
            documents.write(destination, payload, proof, folder, is_signed=signer is not None)
            if signer is not None:
                making.watch(destination.name, "signing")
                signer.sign_folder(folder)
        landed = _landed(destination, folder, final, proof)
        return replace(landed, signed_by="" if signer is None else signer.signed_by)


def _payload(destination: Destination, assignment: Assignment, scratch: Path) -> Payload:
    return Payload(
        assignment.file,
        datasets.shipped(assignment),
        digits=referencefile.matches(assignment.file.path),
        converted=forms.convert(destination.form, assignment, scratch)
        if destination.form
        else None,
    )


def _landed(destination: Destination, made: Path, final: Path, proof: FolderProof) -> Deployment:
    """Gives the folder the destination's name only if it is proven; folders of earlier attempts
    that were not are removed."""
    unproven, failed = (final.with_name(final.name + end) for end in (UNPROVEN, FAILED))
    if proof.outcome == "right":
        named = final
    else:
        named = unproven if proof.outcome in ("not made", "not shown") else failed
    for old in (unproven, failed):
        _refuse_foreign(old)
        if old.exists():
            # Moved beside what was made, it goes with that temporary folder.
            landing.replace_folder(old, made.with_name(f"gone-{old.name}"))
    landing.replace_folder(made, named)
    return Deployment(destination.name, named, cache.size(named), proof)


def _refused(destination: Destination, file: ModelFile) -> Deployment:
    what = operators.refusal(destination, file)
    return Deployment(destination.name, None, 0, FolderProof("failed", (), what=what))


def _refuse_foreign(folder: Path) -> None:
    """Raises InputError for a folder that `deploy` did not make."""
    if folder.exists() and not (folder / documents.RECORD).is_file():
        raise InputError(
            f"{folder} is there and was not made by toolkit deploy: it is left as it is",
            "-o FOLDER    puts the deployed folders elsewhere",
        )
