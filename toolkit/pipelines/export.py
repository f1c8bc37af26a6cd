"""Source → module → graph → file → proof → the file under its name, with test data beside it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from toolkit.deployment import signing
from toolkit.deployment.signing import Signer
from toolkit.engine import filenumbers
from toolkit.errors import InputError, unknown
from toolkit.exporter import landing, request, testdata, ways
from toolkit.exporter.quiet import Chatter
from toolkit.exporter.request import ExportRequest
from toolkit.onnxfiles import modelfile
from toolkit.pipelines import fixing, train
from toolkit.pipelines.attempts import Attempts, Exported, NotProven, Stage, Watch
from toolkit.sources import reference, source
from toolkit.sources.source import Source
from toolkit.units import Seconds

__all__ = ["Exported", "NotProven", "Stage", "Watch", "export"]

EXPORTERS = tuple(way.name for way in (ways.DYNAMO, ways.STRICT, ways.TORCHSCRIPT))
"""Torch's exporters, as `exporter` takes them."""
DATA_SETS = 3
"""Sets of test data beside a file: the traced sizes and two others."""


def export(
    of: Source | str | None = None,
    out: Path | str | None = None,
    *,
    input: Sequence[str] = (),
    weights: Path | str | None = None,
    opset: int | None = None,
    exporter: str | None = None,
    proof: bool = True,
    stateful: bool = False,
    allow_fixed: bool = False,
    cast_missing: bool = False,
    keep_traces: bool = False,
    force: bool = False,
    sign: Path | str | None = None,
    timeout: Seconds | None = None,
    watch: Watch = lambda stage: None,
    chatter: Chatter | None = None,
) -> Exported:
    """Exports a module and proves the file; without a source the reference model.

    `input` states inputs as `--input` does. `exporter` is the one of EXPORTERS to take; without it
    the others are tried where the usual one fails. Without `proof` nothing is compared, and the
    file's metadata says so. `stateful` makes the buffers that forward changes inputs and outputs.
    `allow_fixed` gives a dimension that cannot stay dynamic its traced size. `cast_missing` has
    operators that onnxruntime lacks in float16 or bfloat16 computed in float32. `keep_traces`
    leaves torch's notes in the file, with absolute paths and lines of the source. `force` replaces
    another model's test data beside the file. `sign` is a private key in PEM with which a file that
    is proven right is signed, in NAME.onnx.sig. `timeout` limits the proof, where another process
    watches over this one. `chatter` gathers what torch says, also where this raises. Raises
    InputError for what the user gave, ExportError where torch refuses, NotProven where the file is
    not the module's function; nothing is written then.
    """
    chatter = chatter or Chatter()
    own_weights = None if weights is None else Path(weights)
    pinned = _pinned(exporter)
    # Before the work: a key that cannot be used costs none.
    signer = None if sign is None else signing.signer(Path(sign))
    began = time.perf_counter()
    asked = request.of_source(_source(of, input, own_weights, watch), input, stateful=stateful)
    building = time.perf_counter() - began
    final = asked.default_path if out is None else Path(out)
    if not force and not final.is_dir():  # What is refused is refused before the work.
        owners = _earlier(final)
        testdata.replaceable(testdata.home(final, owners), owners)
    with landing.beside(final) as folder, filenumbers.started() as runner:
        attempts = Attempts(
            folder / final.name,
            runner,
            opset,
            keep_traces,
            timeout,
            watch,
            chatter,
            pinned,
            prove=proof,
            cast_missing=cast_missing,
        )
        files, exported = fixing.take(attempts, asked) if allow_fixed else attempts.take(asked)
        exported = replace(
            exported,
            notes=(*exported.notes, *_notes(asked)),
            seconds={"build": building, **exported.seconds},
        )
        watch("write")
        if signer is not None:
            exported = _signed(signer, files, exported)
        return _landed(files, final, exported, force=force)


def _signed(signer: Signer, files: list[Path], exported: Exported) -> Exported:
    """Signs the files that were written, the model the last of them, and adds the signature to
    them. What is not proven right bears nobody's signature."""
    if not exported.proof.holds:
        return replace(exported, notes=(*exported.notes, "not signed: its proof does not hold"))
    signature = files[-1].with_name(files[-1].name + signing.SUFFIX)
    signer.sign_files(files, signature)
    files.append(signature)
    return replace(exported, signed_by=signer.signed_by)


def _notes(asked: ExportRequest) -> tuple[str, ...]:
    """Lines about what forward does beside giving outputs."""
    if not asked.traced.forgotten:
        return ()
    names = ", ".join(asked.traced.forgotten)
    return (
        f"forward changes the buffer {names}, which the file does not keep: no output was seen to"
        " depend on it",
    )


def _pinned(exporter: str | None) -> ways.Way | None:
    if exporter is None:
        return None
    if exporter not in EXPORTERS:
        raise InputError(unknown("exporter", exporter, EXPORTERS))
    return next(way for way in ways.WAYS.values() if way.name == exporter)


def _source(
    of: Source | str | None, stated: Sequence[str], own_weights: Path | None, watch: Watch
) -> Source:
    """The source that is meant; the reference model's with its weights, trained where need be."""
    if of is None:
        if stated:
            raise InputError(
                "--input states the inputs of a model of yours; the reference model has its own",
                "toolkit export net.py:build --input 'x:float32[batch,64]'",
            )
        watch("train")
        of = replace(reference.SOURCE, weights=train.weights(own_weights))
    watch("build")
    return of if isinstance(of, Source) else source.parse(of, weights=own_weights)


def _landed(files: Sequence[Path], final: Path, exported: Exported, *, force: bool) -> Exported:
    """Gives everything its final place; once the test data is written there are renames only."""
    facts = exported.facts
    owners = {facts.sha256, *_earlier(final)}
    sets = [testdata.of_expected(facts, each) for each in exported.proof.expected[:DATA_SETS]]
    written = testdata.write(facts, sets)
    place = final.parent if force else testdata.home(final, owners)
    old = testdata.replaceable(place, owners, force=force)
    for file in files:
        landing.land(file, final.with_name(file.name))
    if written:
        place.mkdir(exist_ok=True)
    landed = landing.land_folders(written, place, instead_of=old)
    return replace(exported, path=final, facts=replace(facts, path=final), test_data=tuple(landed))


def _earlier(final: Path) -> list[str]:
    """The sha256 of the file that is replaced, if any: the test data beside it may be its own, and
    is replaced with it."""
    return [modelfile.read(final).sha256] if final.is_file() else []
