"""Source → module → graph → file → proof → the file under its name, with test data beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

from toolkit.engine import filenumbers
from toolkit.engine.filenumbers import FileRunner
from toolkit.errors import ExportError, InputError, ProofError
from toolkit.exporter import (
    convert,
    landing,
    proofplan,
    prove,
    request,
    specialised,
    testdata,
)
from toolkit.exporter.conditions import Evidence
from toolkit.exporter.convert import Converted
from toolkit.exporter.proof import ExportProof
from toolkit.exporter.prove import Numbers
from toolkit.exporter.quiet import Chatter
from toolkit.exporter.request import ExportRequest
from toolkit.exporter.specialised import Narrowed
from toolkit.feeds.sizes import Dims
from toolkit.onnxfiles import modelfile
from toolkit.onnxfiles.modelfile import ModelFile
from toolkit.pipelines import train
from toolkit.sources import reference, source
from toolkit.sources.inputs import dimensions
from toolkit.sources.source import Source
from toolkit.supervision import progress
from toolkit.units import Seconds

DATA_SETS = 3
"""Sets of test data beside a file: the traced sizes and two others."""

Stage: TypeAlias = Literal["train", "build", "convert", "prove", "write"]
Watch: TypeAlias = Callable[[Stage], None]


@dataclass(frozen=True)
class Exported:
    """A file and its proof."""

    path: Path
    source: Source
    facts: ModelFile
    traced: Dims
    proof: ExportProof
    test_data: tuple[Path, ...] = ()


class NotProven(ProofError):
    """The file is not the module's function; nothing was written. `exported` says how it failed."""

    def __init__(self, error: ProofError, exported: Exported) -> None:
        super().__init__(error.what, *error.cures)
        self.exported = exported


def export(
    of: Source | str | None = None,
    out: Path | str | None = None,
    *,
    input: Sequence[str] = (),
    weights: Path | str | None = None,
    opset: int | None = None,
    keep_traces: bool = False,
    force: bool = False,
    timeout: Seconds | None = None,
    watch: Watch = lambda stage: None,
    chatter: Chatter | None = None,
) -> Exported:
    """Exports a module and proves the file; without a source the reference model.

    `input` states inputs as `--input` does. `keep_traces` leaves torch's notes in the file, with
    absolute paths and lines of the source. `force` replaces another model's test data beside the
    file. `timeout` limits the proof, where another process watches over this one. `chatter` gathers
    what torch says, also where this raises. Raises InputError for what the user gave, ExportError
    where torch refuses, NotProven where the file is not the module's function; nothing is written
    then.
    """
    chatter = chatter or Chatter()
    own_weights = None if weights is None else Path(weights)
    asked = request.of_source(_source(of, input, own_weights, watch), input)
    final = asked.default_path if out is None else Path(out)
    if not force and not final.is_dir():  # What is refused is refused before the work.
        owners = _earlier(final)
        testdata.replaceable(testdata.home(final, owners), owners)
    with landing.beside(final) as folder, filenumbers.started() as runner:
        steps = _Steps(folder / final.name, runner, opset, keep_traces, timeout, watch, chatter)
        files, exported = _with_batch(asked, steps)
        watch("write")
        return _landed(files, final, exported, force=force)


@dataclass(frozen=True)
class _Steps:
    """All that an export is made with, but for the module."""

    file: Path
    runner: FileRunner | str
    opset: int | None
    keep_traces: bool
    timeout: Seconds | None
    watch: Watch
    chatter: Chatter

    def take(self, asked: ExportRequest) -> tuple[list[Path], Exported]:
        """Converts, writes and proves; raises as `export`."""
        self.watch("convert")
        converted = convert.convert(
            asked.module, asked.inputs, asked.traced, opset=self.opset, chatter=self.chatter
        )
        suspects = _suspects(asked, converted)
        origin = convert.metadata(asked.source, asked.module, converted.translated)
        convert.portable(converted.model, origin, keep_traces=self.keep_traces)
        files = convert.write(converted.model, self.file)
        self.watch("prove")
        with progress.bounded(self.timeout):
            return files, _proven(files[-1], asked, suspects, converted.seconds, self.runner)


def _with_batch(asked: ExportRequest, steps: _Steps) -> tuple[list[Path], Exported]:
    """Takes all steps; where the batch was only tried as dynamic and does not hold so, once more
    with the sizes of the example."""
    if asked.otherwise is None:
        return steps.take(asked)
    try:
        return steps.take(asked)
    except (ExportError, ProofError, InputError):
        return steps.take(asked.otherwise)


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


def _suspects(asked: ExportRequest, converted: Converted) -> tuple[Narrowed, ...]:
    """The sizes that torch took for granted. Raises ProofError for those that the file shows."""
    if not dimensions(asked.inputs):
        return ()
    evidence = Evidence(asked.module, asked.inputs, asked.traced, converted)
    if shown := next(specialised.fixed(evidence), None):
        raise specialised.error(shown, asked.traced)
    return specialised.possible(evidence)


def _proven(
    file: Path,
    asked: ExportRequest,
    suspects: Sequence[Narrowed],
    converting: Seconds,
    runner: FileRunner | str,
) -> Exported:
    """The file with its proof, which takes about half of `converting`.

    Raises NotProven, by the dimension at fault where one is.
    """
    opened = modelfile.open_once(file, check=False)  # The proof's first step has the checker.
    loading = None if isinstance(runner, str) else runner.load(opened)
    draws = proofplan.draws(asked, opened.model)
    oracle, at = proofplan.oracle(asked, draws, proofplan.sizes(asked, suspects, converting))
    contract = proofplan.contract(asked)

    def numbers() -> Numbers | str:
        return str(runner) if loading is None else loading.numbers(oracle)

    proof = prove.prove(opened, contract, oracle, draws, at, numbers=numbers)
    exported = Exported(file, asked.source, opened.facts, asked.traced.sizes, proof)
    if not proof.holds:
        error = specialised.blamed(suspects, asked.traced, proof) or proof.error()
        raise NotProven(error, exported)
    return exported


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
    place.mkdir(exist_ok=True)
    landed = landing.land_folders(written, place, instead_of=old)
    return replace(exported, path=final, facts=replace(facts, path=final), test_data=tuple(landed))


def _earlier(final: Path) -> list[str]:
    """The sha256 of the file that is replaced, if any: the test data beside it may be its own, and
    is replaced with it."""
    return [modelfile.read(final).sha256] if final.is_file() else []
