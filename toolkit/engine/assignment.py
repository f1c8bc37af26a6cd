"""What every target of a run is asked: a model, feeds, and what is right for them.

The oracle of a model whose PyTorch source is known is the module in double; of a bare file it is
the file in float64 on the ONNX reference evaluator. The simulations of lower formats come from the
file in either case.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
from onnx import ModelProto

from toolkit.answers.declared import of_file
from toolkit.answers.formats import Precision
from toolkit.answers.judge import Judge
from toolkit.answers.simulate import Runner
from toolkit.engine import judges
from toolkit.engine.unoptimised import program, save
from toolkit.errors import InputError, unknown
from toolkit.exporter import structure
from toolkit.feeds import dimensions, drawing, sizes, supplied, variations
from toolkit.feeds.digits import Digits
from toolkit.feeds.feed import Feed
from toolkit.onnxfiles import graphs, modelfile, referencefile
from toolkit.onnxfiles.modelfile import ModelFile
from toolkit.oracle import oracles, portable
from toolkit.oracle.enough import ENOUGH
from toolkit.oracle.oracles import RefusedFeed
from toolkit.oracle.portable import Unsupported
from toolkit.runtimes.base import Program
from toolkit.sources import factory, reference
from toolkit.sources.source import Source
from toolkit.tensors import Array, TensorSpec

MOST_FEEDS = 64
"""Further feeds that are drawn at most."""
FIRST_FURTHER = 1000
"""Their first number: no feed of the same sizes has it."""


Draw: TypeAlias = Callable[[sizes.Dims, int], Feed]


@dataclass(frozen=True)
class FeedRequest:
    """What the user wants the model to be fed."""

    dims: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Dynamic dimension → the sizes that are timed."""
    batch: Sequence[int] = ()
    """Sizes of the first dynamic dimension, whatever its name."""
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    inputs: Path | None = None
    seed: int = 0


@dataclass(frozen=True)
class Assignment:
    """One model with its feeds and the answers that are right."""

    file: ModelFile
    program: Program
    portable: Program
    """What the reference evaluator runs: the file brought to opset 17 where it is older, since
    below 13 and 14 that evaluator computes Softmax and BatchNormalization wrongly."""
    exposed: Program | None
    """The file with its taps as further outputs; None where there are none."""
    feeds: tuple[Feed, ...]
    cases: tuple[int, ...]
    """Numbers of the feeds that are timed; all are judged."""
    judge: Judge
    declared: Precision
    """What the file itself says that it is computed in: float16 by its types, int8 by operators."""
    shape_arithmetic: Counter[str]
    """Operator → how many of its nodes compute shapes only."""
    notes: tuple[str, ...]
    """What could not be done, in words."""
    disputed: str
    """Why the oracle may be what is wrong, where something speaks for it; else empty."""

    def program_of(self, runtime: str) -> Program:
        """What a runtime is given to load."""
        return self.portable if runtime == "reference" else self.program

    @property
    def types(self) -> dict[str, str]:
        """ONNX types of the inputs."""
        return {spec.name: spec.type for spec in self.file.inputs}


def ask(
    path: Path,
    wanted: FeedRequest,
    work: Path,
    runner: Runner,
    *,
    given: Source | None = None,
    threads: int = 1,
) -> Assignment:
    """Reads the model, draws its feeds and finds out what is right for them.

    Raises InputError for a model or a wish that cannot be met.
    """
    file = modelfile.read(path)
    model = modelfile.load(path)
    known = given or reference_source(path, work)
    draw = _draw(file, model, wanted, known)
    timed = _timed(file, wanted, draw)
    found = _oracle(file, model, known, timed[0])
    everything = [*timed, *_others(file, wanted, draw, known, timed)]
    answered = _answered(found, everything, len(timed), None if wanted.inputs else draw)
    feeds = tuple(feed for feed, _ in answered)
    notes: list[str] = [] if found.exact else [found.name]
    notes += [
        f"not judged at {name}, which the model refuses" for name in _left_out(everything, feeds)
    ]
    if given is not None and found.exact:
        notes += _demand_same(model, answered, given)
    made = judges.build(
        file,
        model,
        [feed.arrays for feed in feeds],
        [outputs for _, outputs in answered],
        origin=found.name,
        runner=runner,
        plain=[found.in_float32(feed.arrays) for feed in feeds],
        bare=known is None,
    )
    cases = tuple(range(len(timed)))
    whole = Program(path.resolve(), file.inputs, file.outputs, known, threads)
    return Assignment(
        file=file,
        program=whole,
        portable=_portable(whole, model, work, notes),
        exposed=_exposed(made.exposed, work, threads),
        feeds=feeds,
        cases=cases,
        judge=made.judge,
        declared=of_file(model),
        shape_arithmetic=graphs.shape_arithmetic(model),
        notes=(*notes, *made.notes),
        disputed=made.disputed,
    )


def reference_source(path: Path, work: Path) -> Source | None:
    """The PyTorch source of a file that meets the reference model's contract, with the file's own
    initializers as its weights; None for any other file."""
    if not referencefile.matches(path):
        return None
    weights = work / "reference.npz"
    np.savez(weights, **referencefile.weights(path))  # type: ignore[arg-type]
    return Source(reference.SOURCE.factory, weights)


def _timed(file: ModelFile, wanted: FeedRequest, draw: Draw) -> list[Feed]:
    """The feeds that are timed: what the user gave, or one at chosen sizes."""
    if wanted.inputs is not None:
        return supplied.read(wanted.inputs, file.inputs)
    stated = {name: tuple(values) for name, values in wanted.dims.items()}
    if wanted.batch:
        dynamic = dimensions.free(file.inputs)
        if not dynamic:
            raise InputError("--batch: this model has no dynamic dimensions")
        stated = {dynamic[0]: tuple(wanted.batch), **stated}
    dimensions.check_names(file.inputs, stated)
    known = [spec.name for spec in file.inputs]
    if strange := [name for name in wanted.shapes if name not in known]:
        raise InputError(f"--shape: {unknown('input', strange[0], known)}")
    fixed = {**sizes.chosen(file.inputs), **dimensions.dims_of(file.inputs, wanted.shapes)}
    return [draw({**fixed, **each}, n) for n, each in enumerate(sizes.combinations(stated))]


def _others(
    file: ModelFile, wanted: FeedRequest, draw: Draw, known: Source | None, timed: Sequence[Feed]
) -> list[Feed]:
    """Feeds that are judged and not timed: other sizes of every dynamic dimension."""
    if wanted.inputs is not None or wanted.shapes or not dimensions.free(file.inputs):
        return []
    batches = {"batch": reference.JUDGED_BATCHES} if _is_reference(known) else {}
    seen = [dict(feed.dims) for feed in timed]
    others = [d for d in variations.tried(timed[0].dims, wanted=batches) if d not in seen]
    return [draw(dims, len(timed) + number) for number, dims in enumerate(others)]


def _draw(file: ModelFile, model: ModelProto, wanted: FeedRequest, known: Source | None) -> Draw:
    """Draws a feed of given sizes, with a number that tells feeds of one size apart."""
    if _is_reference(known):
        return Digits(file.inputs[0].name, wanted.seed).draw
    return drawing.drawer(model, _stated(file, wanted), wanted.seed).draw


def _stated(file: ModelFile, wanted: FeedRequest) -> tuple[TensorSpec, ...]:
    """The inputs with the shapes that the user stated in place of the file's."""
    return tuple(replace(s, shape=wanted.shapes.get(s.name, s.shape)) for s in file.inputs)


def _is_reference(known: Source | None) -> bool:
    return known is not None and known.factory == reference.SOURCE.factory


def _oracle(
    file: ModelFile, model: ModelProto, known: Source | None, probe: Feed
) -> oracles.Oracle:
    if known is not None:
        return oracles.of_module(factory.build(known), file.inputs, probe.arrays)
    try:
        return oracles.of_model(model)
    except Unsupported as error:
        raise _no_oracle(error) from error


def _no_oracle(error: Unsupported, dims: sizes.Dims | None = None) -> InputError:
    return InputError(
        f"the answers of this model cannot be judged, so no number is shown: {error.what}",
        "--source FILE.py:NAME    judges them by the PyTorch module that the file was made from",
        *_other(dims or {}),
    )


def _answered(
    oracle: oracles.Oracle, feeds: Sequence[Feed], timed: int, draw: Draw | None
) -> list[tuple[Feed, list[Array]]]:
    """Each feed with what is right for it, in the order of the file's outputs; a size that the
    model itself refuses is left out. Then further feeds of the largest size, until there are enough
    elements to judge.

    Raises InputError where one of the first `timed` is refused.
    """
    found: list[tuple[Feed, list[Array]]] = []
    for place, feed in enumerate(feeds):
        try:
            found.append((feed, [*oracle.answer(feed.arrays).values()]))
        except (Unsupported, RefusedFeed) as error:
            if isinstance(error, Unsupported) and not found:
                raise _no_oracle(error, feed.dims) from error
            # The evaluator could do the model at another size: it is this one that is refused.
            if place < timed:
                raise InputError(f"at {feed.name}: {error.what}", *_other(feed.dims)) from error
    if draw is None:
        return found
    largest = max(found, key=lambda pair: sum(array.size for array in pair[1]))[0]
    for number in range(MOST_FEEDS):
        if min(sum(o[i].size for _, o in found) for i in range(len(found[0][1]))) >= ENOUGH:
            break
        feed = draw(largest.dims, FIRST_FURTHER + number)
        with contextlib.suppress(Unsupported, RefusedFeed):  # Values that the model does not take.
            found.append((feed, [*oracle.answer(feed.arrays).values()]))
    return found


def _other(dims: sizes.Dims) -> list[str]:
    """How to ask for another size."""
    return [f"--dim {name}={2 * size}    asks for another size" for name, size in dims.items()]


def _demand_same(
    model: ModelProto, answered: Sequence[tuple[Feed, list[Array]]], given: Source
) -> list[str]:
    """Raises InputError for a file that is not the function of its source: judged by another
    model, every target would be wrong. Returns what could not be compared, in words."""
    try:
        file = oracles.of_model(model)
        for feed, right in answered:
            got = file.answer(feed.arrays)
            error, reason = structure.difference(got, dict(zip(got, right, strict=False)))
            if error > structure.CONSTANTS:
                said = reason or f"they differ by {error:.2g} of the largest value"
                raise InputError(
                    f"the file is not the function of {given.name}: "
                    f"in float64, at {feed.name}, {said}",
                    "--source names the module that the file was made from, --weights its weights",
                )
    except Unsupported as error:
        return [f"the graph was not compared with its source: {error.what}"]
    return []


def _left_out(asked: Sequence[Feed], answered: Sequence[Feed]) -> list[str]:
    kept = {id(feed) for feed in answered}
    return [feed.name for feed in asked if id(feed) not in kept]


def _portable(whole: Program, model: ModelProto, work: Path, notes: list[str]) -> Program:
    try:
        made = portable.portable(model)
    except Unsupported as error:
        notes.append(f"reference runs the file as it is: {error.what}")
        return whole
    if graphs.opset(made) == graphs.opset(model):
        return whole
    notes.append(f"reference runs the file brought from opset {graphs.opset(model)} to 17")
    save(made, work / "portable.onnx")
    return replace(whole, model=work / "portable.onnx")


def _exposed(exposed: ModelProto | None, work: Path, threads: int) -> Program | None:
    if exposed is None:
        return None
    file = work / "exposed.onnx"
    save(exposed, file)
    return program(file, exposed, threads)
