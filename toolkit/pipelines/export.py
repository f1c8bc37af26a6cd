"""Source → module → graph → file → proof → the file under its name, with test data beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from toolkit import __version__
from toolkit.engine import filenumbers
from toolkit.errors import InputError, ProofError
from toolkit.exporter import convert, guards, landing, prove, specialised, testdata, tracing
from toolkit.exporter.prove import Contract, ExportProof
from toolkit.exporter.quiet import Chatter
from toolkit.exporter.resampled import Resampled
from toolkit.exporter.specialised import Narrowed
from toolkit.exporter.testdata import DataSet
from toolkit.exporter.tracing import Traced
from toolkit.feeds import drawing, elements
from toolkit.feeds.digits import Digits
from toolkit.feeds.feed import Draws
from toolkit.feeds.sizes import Dims
from toolkit.onnxfiles import modelfile
from toolkit.onnxfiles.modelfile import ModelFile
from toolkit.oracle import oracles
from toolkit.oracle.oracles import Oracle, RefusedFeed
from toolkit.oracle.sizesweep import Sizes
from toolkit.pipelines import train
from toolkit.sources import calls, factory, inputs, reference, source, weights
from toolkit.sources.inputs import Stated, dimensions
from toolkit.sources.source import Source

if TYPE_CHECKING:
    from torch import nn

MODEL = Path("models/mlp/mlp.onnx")
REFERENCE_INPUT = f"{reference.INPUT}:float32[batch=2,{reference.FEATURES}]"
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


@dataclass(frozen=True)
class ExportRequest:
    """A module, with all that is known before it is exported."""

    source: Source
    module: nn.Module
    inputs: tuple[Stated, ...]
    traced: Traced
    own_values: bool
    """The tensors to trace with are the user's."""

    @property
    def reference(self) -> bool:
        return self.source.factory == reference.SOURCE.factory


def export(
    of: Source | str | None = None,
    out: Path | str | None = None,
    *,
    input: Sequence[str] = (),
    weights: Path | str | None = None,
    opset: int | None = None,
    keep_traces: bool = False,
    force: bool = False,
    watch: Watch = lambda stage: None,
    chatter: Chatter | None = None,
) -> Exported:
    """Exports a module and proves the file; without a source the reference model.

    `input` states inputs as `--input` does. `keep_traces` leaves torch's notes in the file, with
    absolute paths and lines of the source. `force` replaces another model's test data beside the
    file. `chatter` gathers what torch says, also where this raises. Raises InputError for what the
    user gave, ExportError where torch refuses, NotProven where the file is not the module's
    function; nothing is written then.
    """
    chatter = chatter or Chatter()
    wish = _wish(of, input, weights, watch)
    final = _final(wish, out)
    with landing.beside(final) as folder:
        watch("convert")
        made = convert.convert(wish.module, wish.inputs, wish.traced, opset=opset, chatter=chatter)
        suspects = _narrowed(wish, made, chatter)
        convert.portable(made.model, _metadata(wish), keep_traces=keep_traces)
        files = convert.write(made.model, folder / final.name)
        watch("prove")
        exported = _proven(files[-1], wish, suspects)
        watch("write")
        return _landed(files, final, exported, force=force)


def _wish(
    of: Source | str | None, input: Sequence[str], weights: Path | str | None, watch: Watch
) -> ExportRequest:
    own = None if weights is None else Path(weights)
    if of is None:
        if input:
            raise InputError(
                "--input states the inputs of a model of yours; the reference model has its own",
                "toolkit export net.py:build --input 'x:float32[batch,64]'",
            )
        watch("train")
        of = replace(reference.SOURCE, weights=_reference_weights(own))
    watch("build")
    found = of if isinstance(of, Source) else source.parse(of, weights=own)
    module = factory.build(found)
    is_reference = found.factory == reference.SOURCE.factory
    stated = inputs.parse_all([REFERENCE_INPUT] if is_reference else input)
    values = {} if is_reference else factory.examples(found, module)
    stated = stated or inputs.of_examples(values)
    if not stated:
        raise _unstated(module)
    return ExportRequest(found, module, stated, tracing.find(module, stated, values), bool(values))


def _reference_weights(given: Path | None) -> Path:
    """The weights' file, trained where there is none yet."""
    file = given or train.WEIGHTS
    if given is None and not file.exists():
        train.train(file)
    if not file.is_file():
        raise InputError(f"no such file: {file}")
    return file.resolve()


def _unstated(module: nn.Module) -> InputError:
    names = calls.parameters(module)
    shown = ", ".join(names) or "*args"
    return InputError(
        f"what goes into {type(module).__name__}.forward({shown}) is not known",
        *(f"--input '{name}:float32[batch,64]'   states its type and shape" for name in names[:3]),
        "or a function example_inputs() beside the factory gives tensors",
    )


def _final(wish: ExportRequest, out: Path | str | None) -> Path:
    """Where the file goes: the reference model's place, or the source's name in this folder."""
    if out is not None:
        return Path(out)
    if wish.reference:
        return MODEL
    head = wish.source.name.rpartition(":")[0]
    return Path(f"{head.removesuffix('.py').rpartition('.')[2]}.onnx")


def _narrowed(
    wish: ExportRequest, made: convert.Converted, chatter: Chatter
) -> tuple[Narrowed, ...]:
    """What torch took for granted about sizes. Raises ProofError for what the file itself shows."""
    if not dimensions(wish.inputs):
        return ()
    assumed = guards.find(wish.module, wish.inputs, wish.traced, chatter)
    shown = specialised.fixed(wish.module, wish.inputs, wish.traced, made, assumed)
    if first := next(shown, None):
        raise specialised.error(first, wish.traced)
    return specialised.possible(wish.module, wish.inputs, wish.traced, made, assumed)


def _metadata(wish: ExportRequest) -> dict[str, str]:
    import torch

    return {
        "toolkit": __version__,
        "torch": convert.public(torch.__version__),
        "source": wish.source.name,
        "weights_sha256": weights.sha256(wish.source, wish.module),
    }


def _proven(file: Path, wish: ExportRequest, suspects: Sequence[Narrowed]) -> Exported:
    """The file with its proof. Raises NotProven, by the dimension at fault where one is."""
    facts = modelfile.read(file)
    draws = _draws(file, wish)
    oracle = _oracle(wish, draws)
    at = Sizes(
        wish.traced.sizes,
        dimensions(wish.inputs),
        {"batch": [n for n in prove.REFERENCE_SIZES if n != 2]} if wish.reference else {},
        [_at(suspect, wish) for suspect in suspects],
    )
    specs = {stated.name: stated.spec for stated in wish.inputs}
    contract = Contract(
        tuple(specs[name] for name in wish.traced.tensors),
        tuple(convert.distinct(wish.traced.outputs, tuple(wish.traced.tensors))),
        wish.reference,
    )
    with filenumbers.of_file(file, oracle) as judged:
        proof = prove.prove(file, contract, oracle, draws, at, numbers=judged)
    exported = Exported(file, wish.source, facts, wish.traced.sizes, proof)
    if not proof.holds:
        raise NotProven(_fault(exported, wish, suspects), exported)
    return exported


def _draws(file: Path, wish: ExportRequest) -> Draws:
    """Real digits for the reference model, the user's own values, else what fits the graph."""
    specs = [stated.spec for stated in wish.inputs]
    if wish.reference:
        return Digits(reference.INPUT)
    if wish.own_values:
        return Resampled(specs, tracing.arrays(wish.traced.tensors), wish.traced.sizes)
    return drawing.drawer(modelfile.load(file), specs)


def _oracle(wish: ExportRequest, draws: Draws) -> Oracle:
    specs = [stated.spec for stated in wish.inputs]
    try:
        return oracles.of_module(wish.module, specs, draws.draw(wish.traced.sizes).arrays)
    except RefusedFeed as error:
        raise InputError(
            f"drawn inputs are not what this module takes: {error.what}",
            "a function example_inputs() beside the factory gives real ones",
        ) from error


def _at(suspect: Narrowed, wish: ExportRequest) -> Dims:
    size = wish.traced.sizes[suspect.name] if suspect.size is None else suspect.size
    return {**wish.traced.sizes, suspect.name: size}


def _fault(exported: Exported, wish: ExportRequest, suspects: Sequence[Narrowed]) -> ProofError:
    """What failed, in words: a dimension that was narrowed, or the first step that fails."""
    wrong = [tried.dims for tried in exported.proof.wrong()]
    for suspect in suspects:
        if _at(suspect, wish) in wrong:
            return specialised.error(suspect, wish.traced, exported.proof.right())
    step = next(step for step in exported.proof.steps if step.outcome == "fails")
    return ProofError(
        f"the exported file is not what the module is: {step.name} {step.what}: {step.says}",
        *step.details,
        "No file was written.",
    )


def _landed(files: Sequence[Path], final: Path, exported: Exported, *, force: bool) -> Exported:
    """Gives everything its final place; from here on there are renames only."""
    facts = exported.facts
    owners = [modelfile.read(final).sha256] if final.is_file() else []
    sets = [_data_set(facts, each) for each in exported.proof.expected[:DATA_SETS]]
    made = testdata.write(facts, sets)
    old = testdata.replaceable(final.parent, [facts.sha256, *owners], force=force)
    for file in files:
        landing.land(file, final.with_name(file.name))
    landed = landing.land_folders(made, final.parent, instead_of=old)
    return replace(exported, path=final, facts=replace(facts, path=final), test_data=tuple(landed))


def _data_set(facts: ModelFile, expected: oracles.Expected) -> DataSet:
    """What any tool can check itself by: the right outputs, rounded to the file's types."""
    outputs = zip(facts.outputs, expected.outputs.values(), strict=True)
    return DataSet(
        expected.feed.arrays,
        {spec.name: elements.as_type(array, spec.type) for spec, array in outputs},
    )
