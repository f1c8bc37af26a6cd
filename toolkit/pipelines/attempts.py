"""Makes and proves a file of a module by one way of torch's, and by others where that fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, NoReturn, TypeAlias

from toolkit.engine.filenumbers import FileRunner
from toolkit.errors import ExportError, InputError, ProofError
from toolkit.exporter import casting, convert, multiples, proofplan, prove, specialised, ways
from toolkit.exporter.conditions import Evidence
from toolkit.exporter.convert import Converted
from toolkit.exporter.multiples import OwnMultiple
from toolkit.exporter.ownlimits import OwnLimit
from toolkit.exporter.proof import ExportProof
from toolkit.exporter.prove import CannotRun, Numbers
from toolkit.exporter.quiet import Chatter, quiet
from toolkit.exporter.request import ExportRequest
from toolkit.exporter.specialised import NarrowedError
from toolkit.exporter.ways import Fault, Way
from toolkit.feeds.sizes import Dims, text
from toolkit.onnxfiles import modelfile
from toolkit.onnxfiles.modelfile import ModelFile
from toolkit.sources.inputs import dimensions, in_words
from toolkit.sources.source import Source
from toolkit.supervision import progress
from toolkit.units import Seconds

Stage: TypeAlias = Literal[
    "train", "build", "convert", "prove", "write", "unoptimized", "strict", "torchscript"
]
Watch: TypeAlias = Callable[[Stage], None]

STAGES: Mapping[Way, Stage] = {
    ways.DYNAMO: "convert",
    ways.UNOPTIMIZED: "unoptimized",
    ways.STRICT: "strict",
    ways.TORCHSCRIPT: "torchscript",
}

TURNS = 3
"""Times that a module is traced with other sizes: each shows the conditions of one side only."""

CAST = "computed in float32 and rounded, since onnxruntime has none for the module's type"


@dataclass(frozen=True)
class Exported:
    """A file and its proof."""

    path: Path
    source: Source
    facts: ModelFile
    traced: Dims
    proof: ExportProof
    test_data: tuple[Path, ...] = ()
    way: str = ways.DYNAMO.name
    """The exporter of torch's that made the file."""
    instead: str = ""
    """Why the usual exporter did not; empty where it did, or another one was asked for."""
    notes: tuple[str, ...] = ()
    """A line for each thing that the module does and the file does not."""
    seconds: Mapping[str, Seconds] = field(default_factory=dict)
    """The time of the steps before the proof: 'build', 'convert', 'write'."""
    signed_by: str = ""
    """The fingerprint of the key by which the file is signed; empty: it is not."""

    def _repr_html_(self) -> str:
        """The proof as a notebook shows it."""
        from toolkit.report import notebook
        from toolkit.report.grids.grid import NONE, Grid

        rows = [
            (step.name, step.what, NONE if step.figure is None else f"{step.figure:.1e}", step.says)
            for step in self.proof.steps
        ]
        grid = Grid(("step", "what was compared", "error", "outcome"), tuple(rows), frozenset({2}))
        proven = "not proven" if self.unproven else "proven" if self.proof.holds else "not shown"
        title = f"{self.path} from {self.source.name}: {proven}"
        return notebook.grid_markup(title, grid, self.notes)

    @property
    def unproven(self) -> bool:
        """The file was written without a proof, since that was asked for."""
        return not self.proof.steps


class NotProven(ProofError):
    """The file is not the module's function; nothing was written. `exported` says how it failed,
    `own_limits` and `own_multiples` where it may be the module's function all the same, `dim` the
    dimension at fault, empty where none is; `elsewhere` sizes of dimensions that may be traced with
    instead; `converted` the graph, where it may be so at multiples."""

    def __init__(
        self,
        error: ProofError,
        exported: Exported,
        fault: Fault,
        own_limits: tuple[OwnLimit, ...] = (),
        elsewhere: Mapping[str, int] | None = None,
        own_multiples: tuple[OwnMultiple, ...] = (),
        converted: Converted | None = None,
    ) -> None:
        super().__init__(error.what, *error.cures)
        self.dim = error.dim if isinstance(error, NarrowedError) else ""
        self.exported = exported
        self.fault = fault
        self.own_limits = own_limits
        self.elsewhere = elsewhere or {}
        self.own_multiples = own_multiples
        self.converted = converted


@dataclass(frozen=True)
class Attempts:
    """All that a file is made and proven with, but for the module."""

    file: Path
    runner: FileRunner | str
    opset: int | None
    keep_traces: bool
    timeout: Seconds | None
    watch: Watch
    chatter: Chatter
    pinned: Way | None = None
    """The one way to take; None: the usual one, and others where it fails."""
    prove: bool = True
    cast_missing: bool = False
    """What onnxruntime lacks in a narrow type is computed in float32."""

    def take(self, asked: ExportRequest) -> tuple[list[Path], Exported]:
        """The first file that is proven: by the usual way, at the fixed batch of the example where
        a dynamic one was only tried, and then by such other ways as may help.

        Raises what the first way raised where none of them gives a right file.
        """
        first = self.pinned or ways.DYNAMO
        try:
            return self._once(asked, first)
        except (ExportError, ProofError, InputError) as error:
            if asked.otherwise is not None:
                return self.take(replace(asked.otherwise, otherwise=None))
            if isinstance(error, InputError):
                raise
            if self.pinned:
                return self._at_multiples(asked, error)
            return self._by_others(asked, error)

    def _by_others(
        self, asked: ExportRequest, failed: ExportError | ProofError
    ) -> tuple[list[Path], Exported]:
        # What `_demand_dynamic` raises is no NotProven: the file itself shows a fixed size.
        fault = failed.fault if isinstance(failed, NotProven) else "fixed"
        tried: list[str] = []
        for way in ways.after(failed, fault):
            try:
                files, exported = self._once(asked, way)
            except (ExportError, ProofError, InputError):
                tried.append(way.says)
                continue
            return files, replace(exported, instead=failed.what)
        if tried:
            failed.cures = (*failed.cures, f"Tried too, in vain: {'; '.join(tried)}")
        return self._elsewhere(asked, failed)

    def _elsewhere(
        self, asked: ExportRequest, failed: ExportError | ProofError
    ) -> tuple[list[Path], Exported]:
        """The first file that is proven of those that are traced with other sizes, at which a
        condition is false that the traced ones met. Raises what failed where there is none."""
        request = asked
        error: ExportError | ProofError | InputError = failed
        tried: list[str] = []
        while (sizes := _instead(error)) and len(tried) < TURNS and not asked.own_values:
            tried.append(text(sizes))
            try:
                request = request.traced_at(sizes)
                files, exported = self._once(request, ways.DYNAMO)
            except (ExportError, ProofError, InputError) as again:
                if _is_wrong_at(again, asked.traced.sizes):
                    break  # Neither side holds for all sizes.
                error = again
                continue
            why = f"{failed.what.partition(':')[0]} with {text(asked.traced.sizes)}"
            return files, replace(
                exported, notes=(*exported.notes, f"traced with {tried[-1]}, since {why}")
            )
        if tried:
            failed.cures = (*failed.cures, f"Traced too, in vain, with {'; '.join(tried)}")
        return self._at_multiples(asked, failed)

    def _at_multiples(self, asked: ExportRequest, failed: ExportError | ProofError) -> NoReturn:
        """Raises what failed; where the file is right at multiples of a number and wrong between
        them, with the option that states the multiples, which was proven to work.

        They are not taken unasked: whoever asked for any size would get a file that fails at most.
        """
        request, error = asked, failed
        taken: dict[str, OwnMultiple] = {}
        for _ in range(TURNS):
            if not isinstance(error, NotProven) or error.converted is None:
                raise failed
            taken |= {own.dim.name: own for own in error.own_multiples}
            request = request.held_to(own.dim for own in error.own_multiples)
            try:
                if self.cast_missing:  # The kept graph was cast already.
                    self._once(request, error.converted.way)
                else:
                    self._of_converted(request, error.converted)
            except (ExportError, ProofError) as again:
                error = again
                continue
            except InputError:
                raise failed from None
            failed.cures = (*multiples.command(asked.inputs, [*taken.values()]), *failed.cures)
            raise failed
        raise failed

    def _once(self, asked: ExportRequest, way: Way) -> tuple[list[Path], Exported]:
        """Converts, writes and proves by one way."""
        self.watch(STAGES[way])
        converted = convert.convert(
            asked.module,
            asked.inputs,
            asked.traced,
            opset=self.opset,
            chatter=self.chatter,
            way=way,
        )
        _demand_dynamic(asked, converted)
        return self._of_converted(asked, converted)

    def _of_converted(
        self, asked: ExportRequest, converted: Converted
    ) -> tuple[list[Path], Exported]:
        """Writes and proves what was converted."""
        way, wide = converted.way, self._cast(converted)
        origin = convert.metadata(
            asked.source,
            asked.module,
            way,
            translated=converted.translated,
            wide=wide,
            sizes=in_words(dimensions(asked.inputs).values()),
            proven=self.prove,
        )
        convert.portable(converted.model, origin, keep_traces=self.keep_traces)
        began = time.perf_counter()
        files = convert.write(converted.model, self.file)
        seconds = {"convert": converted.seconds, "write": time.perf_counter() - began}
        notes = [f"{', '.join(wide)}: {CAST}"] if wide else []
        if not self.prove:
            unproven = ExportProof((), 0.0)
            facts = modelfile.read(files[-1])
            sizes = asked.traced.sizes
            exported = Exported(
                files[-1], asked.source, facts, sizes, unproven, way=way.name, seconds=seconds
            )
            return files, replace(exported, notes=tuple(notes))
        self.watch("prove")
        with progress.bounded(self.timeout):
            exported, held = _within_limits(files[-1], asked, converted, self.runner, seconds)
        if held is not asked:  # The file says for which sizes it is: the graph is the same.
            narrower = in_words(dimensions(held.inputs).values())
            origin[modelfile.SIZES] = narrower
            convert.portable(converted.model, origin, keep_traces=self.keep_traces)
            files = convert.write(converted.model, self.file)
            exported = replace(exported, facts=modelfile.read(files[-1]))
        return files, replace(exported, notes=(*exported.notes, *notes))

    def _cast(self, converted: Converted) -> tuple[str, ...]:
        """Has what onnxruntime lacks computed in float32, where that was asked for; gives the
        operators. Raises InputError where there is no onnxruntime to ask."""
        if not self.cast_missing:
            return ()
        if isinstance(self.runner, str):
            raise InputError(f"--cast-missing asks onnxruntime what it lacks: {self.runner}")
        with quiet(self.chatter):  # Inference of types logs what it refuses.
            return casting.cast(converted.model, self.runner.takes)


def _is_wrong_at(error: Exception, sizes: Dims) -> bool:
    proof = error.exported.proof if isinstance(error, NotProven) else ExportProof((), 0.0)
    return any(compared.dims == sizes for compared in proof.wrong())


def _instead(error: Exception) -> Mapping[str, int]:
    """The sizes to trace with in place of those with which an export failed so."""
    if isinstance(error, NotProven):
        return error.elsewhere
    if isinstance(error, NarrowedError) and error.other is not None and error.other > 1:
        return {error.dim: error.other}
    return {}


def _demand_dynamic(asked: ExportRequest, converted: Converted) -> None:
    """Raises ProofError for a dimension that torch fixed, as the file itself shows."""
    if not dimensions(asked.inputs):
        return
    evidence = Evidence(asked.module, asked.inputs, asked.traced, converted)
    if shown := next(specialised.fixed(evidence), None):
        raise specialised.error(shown, asked.traced)


def _within_limits(
    file: Path,
    asked: ExportRequest,
    converted: Converted,
    runner: FileRunner | str,
    seconds: Mapping[str, Seconds],
) -> tuple[Exported, ExportRequest]:
    """The file with its proof, and the request that it meets; where it is wrong beyond limits of
    the module's own alone, with the proof that it is right up to them. The graph is the same, so
    torch is not asked again.

    Raises NotProven.
    """
    try:
        return _proven(file, asked, converted, runner, seconds), asked
    except NotProven as failed:
        narrower = asked
        for limit in failed.own_limits:
            narrower = narrower.within(limit)
        if narrower is asked:
            raise
        exported, held = _within_limits(file, narrower, converted, runner, seconds)
        ends = [{**asked.traced.sizes, **limit.end} for limit in narrower.own_limits]
        if not all(end in exported.proof.right() for end in ends):
            raise  # The module refuses its own limit, or a call there is too dear.
        told = tuple(limit.told for limit in held.own_limits)
        return replace(exported, notes=told), held


def _proven(
    file: Path,
    asked: ExportRequest,
    converted: Converted,
    runner: FileRunner | str,
    seconds: Mapping[str, Seconds],
) -> Exported:
    """The file with its proof, which takes about half of the time that converting took.

    Raises NotProven, by the dimension at fault where one is.
    """
    opened = modelfile.open_once(file, check=False)  # The proof's first step has the checker.
    loading = None if isinstance(runner, str) else runner.load(opened)
    first = proofplan.sizes(asked, (), converted.seconds).first()
    chosen = proofplan.draws(asked, opened.model, first)
    evidence = Evidence(asked.module, asked.inputs, asked.traced, converted)
    if chosen.feed is not None:  # The module took it before.
        evidence.took(chosen.feed.dims)
    suspects = specialised.possible(evidence)
    at = proofplan.sizes(asked, suspects, converted.seconds)
    oracle, at = proofplan.oracle(asked, chosen, at)
    contract = proofplan.contract(asked)

    def numbers() -> Numbers | CannotRun | str:
        return str(runner) if loading is None else loading.numbers(oracle)

    proof = prove.prove(opened, contract, oracle, chosen.draws, at, numbers=numbers)
    exported = Exported(
        file,
        asked.source,
        opened.facts,
        asked.traced.sizes,
        proof,
        way=converted.way.name,
        seconds=seconds,
    )
    if proof.fails:
        blamed = specialised.blamed(suspects, asked.traced, proof)
        own = multiples.of(evidence, *proof.failing())
        kept = converted if own else None
        if not blamed:
            error = _ranged(proof.error(), asked, proof)
            fault: Fault = "runtime" if proof.steps[-1].cures else "file"
            raise NotProven(error, exported, fault, own_multiples=own, converted=kept)
        error = specialised.error(blamed[0], asked.traced, proof.right())
        if blamed[0].kind == "guard":
            error = _ranged(error, asked, proof)
        limits = specialised.taken(suspects, asked.inputs, proof)
        others = specialised.elsewhere(blamed)
        raise NotProven(error, exported, "branch", limits, others, own, kept)
    return exported


def _ranged(error: ProofError, asked: ExportRequest, proof: ExportProof) -> ProofError:
    """The error with a range to state before its last line, where one leaves out what is wrong."""
    *reasons, last = error.cures
    error.cures = (*reasons, *specialised.ranges(asked.inputs, proof), last)
    return error
