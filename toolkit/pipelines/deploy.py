"""Model → question → for each destination a folder → its client run and judged → its place."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from toolkit.answers.verdict import Limits
from toolkit.deployment import documents, forms, listing, operators, packing, proving, venvs
from toolkit.deployment.base import Destination, MakePython, Parcel
from toolkit.deployment.proving import FolderProof
from toolkit.engine import assignment as assignments
from toolkit.engine import unoptimised
from toolkit.engine.assignment import Assignment, FeedRequest
from toolkit.errors import EnvironmentFault, InputError, TargetError
from toolkit.exporter import landing
from toolkit.onnxfiles import modelfile, referencefile
from toolkit.onnxfiles.modelfile import ModelFile
from toolkit.pipelines.bench import REFERENCE
from toolkit.sources.source import Source
from toolkit.units import Bytes
from toolkit.workers import cache, environments

UNPROVEN = "-unproven"
FAILED = "-failed"


@dataclass(frozen=True)
class Demands:
    """What is asked of every folder, besides its model and its destination."""

    wanted: FeedRequest = field(default_factory=FeedRequest)
    source: Source | None = None
    limits: Limits = field(default_factory=Limits)
    python: MakePython = venvs.fresh
    """How the environment of a client in Python is made."""


@dataclass(frozen=True)
class Deployed:
    """What became of one destination."""

    name: str
    folder: Path | None
    """None: it cannot take the model, or nothing could be packed."""
    size: Bytes
    """Of all files in the folder."""
    proof: FolderProof

    @property
    def proven(self) -> bool:
        return self.proof.outcome == "right"


Watch = Callable[[str, str], None]
"""Told which destination is at which step: 'packing', 'proving'."""


def deploy(
    model: str | Path = REFERENCE,
    to: Sequence[str] = ("onnxruntime",),
    out: str | Path | None = None,
    *,
    demands: Demands | None = None,
    watch: Watch = lambda name, step: None,
) -> list[Deployed]:
    """Makes a folder for each destination that runs there without toolkit, and proves it.

    The folders come to stand in `out`, default deployed/MODEL. Only one whose client was run and is
    right has the destination's name: NAME-unproven could not be run here, and NAME-failed is kept
    to be looked into; a script that takes deployed/mlp/web never finds either. Raises InputError
    for what the user gave.
    """
    return [*each(model, to, out, demands=demands, watch=watch)]


def each(
    model: str | Path,
    to: Sequence[str],
    out: str | Path | None = None,
    *,
    demands: Demands | None = None,
    watch: Watch = lambda name, step: None,
) -> Iterator[Deployed]:
    """As `deploy`, one destination after the other, as they are done."""
    demands = demands or Demands()
    destinations = [listing.load(name) for name in dict.fromkeys(to)]
    path = Path(model)
    file = modelfile.read(path)
    place = Path("deployed") / path.stem if out is None else Path(out)
    for destination in destinations:
        _refuse_foreign(place / destination.name)
    able = [one for one in destinations if not operators.refusal(one, file)]
    with contextlib.ExitStack() as stack:
        asked = _ask(path, demands, stack, watch) if able else None
        for destination in destinations:
            if asked is None or destination not in able:
                yield _refused(destination, file)
            else:
                yield _deployed(destination, asked, place, demands, watch)


def _ask(path: Path, demands: Demands, stack: contextlib.ExitStack, watch: Watch) -> Assignment:
    watch("", "finding out what is right")
    work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="toolkit-")))
    worker_code = environments.lay(work / "rooms", [])
    with unoptimised.unoptimised(worker_code) as run:
        return assignments.ask(path, demands.wanted, work, run, given=demands.source)


def _deployed(
    destination: Destination, asked: Assignment, place: Path, demands: Demands, watch: Watch
) -> Deployed:
    final = place / destination.name
    with (
        landing.beside(final, folder=True) as room,
        tempfile.TemporaryDirectory(prefix="toolkit-") as scratch,
    ):
        made = room / "made"
        made.mkdir()
        watch(destination.name, "packing")
        try:
            parcel = _parcel(destination, asked, Path(scratch))
            packing.pack(destination, parcel, made)
        except (EnvironmentFault, TargetError) as error:
            return Deployed(destination.name, None, 0, _unpacked(error))
        watch(destination.name, "proving")
        proof = proving.prove(
            destination,
            made,
            parcel,
            asked,
            demands.limits,
            scratch=Path(scratch),
            python=demands.python,
        )
        if proof.refused:
            parcel = replace(parcel, sets=proving.shipped(asked, proof.refused))
            packing.write_sets(parcel, made)
        documents.write(destination, parcel, proof, made, packing.part(destination))
        return _landed(destination, made, final, proof)


def _parcel(destination: Destination, asked: Assignment, scratch: Path) -> Parcel:
    return Parcel(
        asked.file,
        proving.shipped(asked),
        referencefile.matches(asked.file.path),
        forms.made(destination.form, asked, scratch) if destination.form else None,
    )


def _landed(destination: Destination, made: Path, final: Path, proof: FolderProof) -> Deployed:
    """Under its name only if it is proven; what an earlier attempt left beside goes."""
    others = [final.with_name(final.name + end) for end in (UNPROVEN, FAILED)]
    if proof.outcome == "right":
        named = final
    else:
        named = others[0] if proof.outcome == "not made" else others[1]
    for old in others:
        _refuse_foreign(old)
        if old.exists():
            landing.replace_folder(old, made.with_name(f"gone-{old.name}"))
    landing.replace_folder(made, named)
    return Deployed(destination.name, named, cache.size(named), proof)


def _refused(destination: Destination, file: ModelFile) -> Deployed:
    what = operators.refusal(destination, file)
    return Deployed(destination.name, None, 0, FolderProof("failed", (), what=what))


def _unpacked(error: EnvironmentFault | TargetError) -> FolderProof:
    return FolderProof("not made", (), what=error.what, cures=error.cures)


def _refuse_foreign(folder: Path) -> None:
    """Raises InputError for a folder that `deploy` did not make."""
    if folder.exists() and not (folder / documents.RECORD).is_file():
        raise InputError(
            f"{folder} is there and was not made by toolkit deploy: it is left as it is",
            "-o FOLDER    puts the deployed folders elsewhere",
        )
