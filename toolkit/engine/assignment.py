"""The assignment: what every target of a run is given and held to.

It is a model, its feeds, and what is right for them. The oracle of a model whose PyTorch source is
known is the module in double; that of a bare file is the file in float64 on the ONNX reference
evaluator. The simulations of lower formats come from the file in either case.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto

from toolkit.answers.declared import of_file
from toolkit.answers.formats import Precision
from toolkit.answers.judge import Judge
from toolkit.answers.saturation import saturable
from toolkit.answers.simulate import StartRunner
from toolkit.engine import judges, ownsizes, padding, telling
from toolkit.engine.judges import JudgeBuild, JudgedFeed
from toolkit.engine.ownsizes import NotTheSource
from toolkit.engine.sizesheld import SizesHeld
from toolkit.engine.unoptimised import program
from toolkit.errors import InputError, unknown
from toolkit.exporter import structure
from toolkit.exporter.multiples import OwnMultiple
from toolkit.exporter.ownlimits import OwnLimit
from toolkit.feeds import dimensions, drawing, sizes, supplied, variations
from toolkit.feeds.digits import Digits
from toolkit.feeds.feed import Draws, Feed
from toolkit.onnxfiles import graphs, modelfile, referencefile, storedtensors, thinmodels
from toolkit.onnxfiles.modelfile import ModelFile, Opened
from toolkit.onnxfiles.thinmodels import ThinModel
from toolkit.oracle import oracles, portable
from toolkit.oracle.oracles import Expected, Oracle
from toolkit.oracle.portable import Unsupported
from toolkit.runtimes.base import Program
from toolkit.sources import factory, reference
from toolkit.sources.inputs import Dimension
from toolkit.sources.source import Source
from toolkit.supervision import progress
from toolkit.tensors import Array, TensorSpec

MOST_WORK = 2e10
"""Multiplications in float64 of all feeds together that are judged beside the timed ones, about a
second on two cores: the model in float32 and every target compute as many again. BERT-base takes
them for 235 tokens, GPT-2 for 160, ResNet-50 for 5 pictures; ViT-B/16 takes more for two, and those
it is given all the same."""

MOST_HELD = 4_000_000
"""Elements of the outputs of these feeds: the right ones, float32's, a witness's and a target's are
held in 20 bytes of each. A model with 50,000 words has them for 80 tokens."""


@dataclass(frozen=True)
class FeedRequest:
    """The feeds that the user wants."""

    dims: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Dynamic dimension → the sizes that are timed."""
    batch: Sequence[int] = ()
    """Sizes of the first dynamic dimension, whatever its name."""
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Input → its whole shape."""
    inputs: Path | None = None
    """A file or folder of the user's own feeds; None: they are drawn."""
    seed: int = 0


@dataclass(frozen=True)
class ChangedFile:
    """The file with another graph.

    It is written when a target is to run it: external data lies beside it once more.
    """

    model: ThinModel
    file: Path
    threads: int

    def program(self) -> Program:
        """The program of the file, which is written where it is not there yet."""
        if not self.file.exists():
            self.model.save(self.file)
        beside = storedtensors.external_data(
            self.file, onnx.load(self.file, load_external_data=False)
        )
        return replace(program(self.file, self.model.proto, self.threads), external=beside)

    def remove(self) -> None:
        """Removes the file and the weights that were brought beside it."""
        thinmodels.remove(self.file)


@dataclass(frozen=True)
class Assignment:
    """One model with its feeds and the answers that are right."""

    file: ModelFile
    program: Program
    portable: ChangedFile | None
    """The file brought to opset 17 where it is older, for the reference evaluator: below 13 and 14
    that computes Softmax and BatchNormalization wrongly. None: it runs the file as it is."""
    exposed: ChangedFile | None
    """The file with its intermediate outputs as further ones; None where there are none."""
    feeds: tuple[Feed, ...]
    cases: tuple[int, ...]
    """Numbers of the feeds that are timed; all are judged."""
    judge: Judge
    declared: Precision
    """The precision that the file itself says: float16 by its types, int8 by its operators."""
    shape_arithmetic: Counter[str]
    """Operator → how many of its nodes compute shapes only."""
    saturable: Counter[str]
    """Operator → how many of its nodes have products of bytes that may saturate without VNNI."""
    asked: tuple[str, ...]
    """The things that could not be done when it was made, in words."""
    held: SizesHeld
    """The sizes at which the file holds; at others it is not judged."""
    disputed: str
    """The reason why the oracle may be what is wrong, where something speaks for it; else empty."""

    @property
    def notes(self) -> tuple[str, ...]:
        """The things that could not be done so far, in words: the judge may try more."""
        return (*self.asked, *self.judge.left_out)

    def program_of(self, runtime: str) -> Program:
        """The program that a runtime is given to load."""
        if runtime != "reference" or self.portable is None:
            return self.program
        changed = self.portable.program()
        return replace(self.program, model=changed.model, external=changed.external)

    def drop_files(self) -> None:
        """Removes what was written for targets that were judged: none of it is timed."""
        for changed in (self.portable, self.exposed):
            if changed is not None:
                changed.remove()

    @property
    def types(self) -> dict[str, str]:
        """ONNX types of the inputs."""
        return {spec.name: spec.type for spec in self.file.inputs}


def ask(
    model: Path | Opened,
    wanted: FeedRequest,
    work: Path,
    start: StartRunner,
    *,
    given: Source | None = None,
    threads: int = 1,
    own: tuple[OwnLimit | OwnMultiple, ...] = (),
) -> Assignment:
    """Reads the model, unless it was opened already, draws its feeds and finds out what is right
    for them.

    `work` is scratch space that lasts as long as the assignment, and `start` brings what runs the
    simulations, now and when a verdict needs more of them. Sizes that nobody asked for are chosen
    among those for which the file says that it holds, and within `own`, the limits and multiples of
    the source. Raises InputError for a model or a wish that cannot be met.
    """
    opened = model if isinstance(model, Opened) else modelfile.open_once(model)
    work = work.resolve()  # By it a saved graph knows which weights lie beside it already.
    file, proto = opened.facts, opened.model
    source = given or reference_source(opened, work)
    draws = _draws(file, proto, wanted, source)
    within = {**modelfile.ranges(file), **{each.dim.name: each.dim for each in own}}
    timed = _timed(file, wanted, draws, within)
    oracle = _oracle(opened, source, timed[0])
    try:
        expected = _expected(oracle, timed, timed=True)
    except InputError as error:
        cures = () if wanted.inputs is not None else telling.cures(file)
        raise InputError(error.what, *cures, *error.cures) from error
    elements = sum(array.size for each in expected for array in each.outputs.values())
    cost = None if oracle.work is None else max(oracle.work / MOST_WORK, elements / MOST_HELD)
    others, left_out = _others(file, wanted, draws, source, timed, cost, within)
    expected += _expected(oracle, others, timed=False)
    held = _held([*timed, *others], expected, wanted)
    notes = [note for note in ("" if oracle.exact else oracle.name, held.told, left_out) if note]
    if wanted.inputs is None:
        expected = oracles.enough(oracle, expected, draws)
    expected = padding.left_out(opened, oracle, expected)
    notes += [padding.TOLD] if any(each.unread for each in expected) else []
    judged = judges.judged_feeds(file, oracle, expected)
    if given is None and file.unproven:
        notes.append(file.unproven)
    if given is not None and oracle.exact:
        try:
            notes += _demand_same(opened, oracle, expected, judged, given)
        except NotTheSource as error:
            found = () if own else ownsizes.of(opened, oracle, draws, given, timed, error)
            if found:
                return ask(opened, wanted, work, start, given=given, threads=threads, own=found)
            if not error.unsupported:
                raise
            notes.append(f"the graph was not compared with its source: {error.unsupported}")
    notes += [each.told for each in own]
    build = partial(judges.build, opened, origin=oracle.name, start=start, bare=source is None)
    built = build(judged)
    declared = of_file(proto)
    if wanted.inputs is None and declared == "float32":
        alone = partial(_judge_of, opened, oracle, build)
        largest = max((each.feed for each in expected), key=lambda feed: feed.size)
        told = telling.more(file, oracle, built.judge, largest, alone)
        if told.expected:
            expected += padding.left_out(opened, oracle, told.expected)
            notes.append(told.note)
            built = build(judges.judged_feeds(file, oracle, expected))
    return Assignment(
        file=file,
        program=modelfile.program(file, source, threads),
        portable=_portable(opened, work, threads, notes),
        exposed=ChangedFile(built.exposed, work / "exposed.onnx", threads)
        if built.exposed
        else None,
        feeds=tuple(each.feed for each in expected),
        cases=tuple(range(len(timed))),
        judge=built.judge,
        declared=declared,
        shape_arithmetic=graphs.shape_arithmetic(proto),
        saturable=saturable(proto, opened.folder),
        asked=(*notes, *built.notes),
        held=held if source is None else SizesHeld(),  # A module may refuse what it likes.
        disputed=built.disputed,
    )


def _judge_of(
    opened: Opened,
    oracle: Oracle,
    build: Callable[[Sequence[JudgedFeed]], JudgeBuild],
    expected: Sequence[Expected],
) -> Judge:
    """A judge of some feeds alone."""
    return build(judges.judged_feeds(opened.facts, oracle, expected)).judge


def reference_source(of: Path | Opened, work: Path) -> Source | None:
    """The PyTorch source of a file that meets the reference model's contract, with the file's own
    initializers as its weights; None for any other file."""
    if not referencefile.matches(of):
        return None
    weights = work / "reference.npz"  # The factory reads a file, in a worker of torch too.
    np.savez(weights, **referencefile.weights(of))  # type: ignore[arg-type]
    return Source(reference.SOURCE.factory, weights)


def _timed(
    file: ModelFile, wanted: FeedRequest, draws: Draws, within: Mapping[str, Dimension]
) -> list[Feed]:
    """The feeds that are timed: what the user gave, or one at each of the chosen sizes."""
    if wanted.inputs is not None:
        return supplied.read(wanted.inputs, file.inputs)
    stated = {name: tuple(values) for name, values in wanted.dims.items()}
    if wanted.batch:
        dynamic = dimensions.free(file.inputs)
        if not dynamic:
            raise InputError("--batch: this model has no dynamic dimensions")
        stated = {dynamic[0]: tuple(wanted.batch), **stated}
    dimensions.check_names(file.inputs, stated)
    inputs = [spec.name for spec in file.inputs]
    if strange := [name for name in wanted.shapes if name not in inputs]:
        raise InputError(f"--shape: {unknown('input', strange[0], inputs)}")
    _demand_held(stated, within)
    chosen = sizes.chosen(file.inputs, ranges=within)
    fixed = {**chosen, **dimensions.dims_of(file.inputs, wanted.shapes)}
    return [draws.draw({**fixed, **each}, n) for n, each in enumerate(sizes.combinations(stated))]


def _demand_held(stated: Mapping[str, Sequence[int]], within: Mapping[str, Dimension]) -> None:
    """Raises InputError for a size for which the file says that it does not hold: there it is
    another function than its module."""
    for name, asked in stated.items():
        dim = within.get(name, Dimension(name))
        for size in asked:
            if size not in dim:
                raise InputError(
                    f"--dim {name}={size}: the file says that it holds for {name}={dim.range} only",
                    f"--dim {name}={dim.from_on(size)}",
                )


def _others(
    file: ModelFile,
    wanted: FeedRequest,
    draws: Draws,
    source: Source | None,
    timed: Sequence[Feed],
    cost: float | None,
    within: Mapping[str, Dimension],
) -> tuple[list[Feed], str]:
    """Feeds that are judged and not timed: other sizes of every dynamic dimension; and in words
    those that a large model is not judged at.

    `cost` is what the timed feeds took, as a share of the most that these may take all together,
    where that was counted.
    """
    if wanted.inputs is not None or wanted.shapes or not dimensions.free(file.inputs):
        return [], ""
    batches = {"batch": reference.JUDGED_BATCHES} if _is_reference(source) else {}
    seen = [dict(feed.dims) for feed in timed]  # A size that is timed is judged already.
    tried = variations.tried(timed[0].dims, within, batches)
    others = [dims for dims in tried if dims not in seen]
    taken, left = _affordable(others, timed, cost, within)
    feeds = [draws.draw(dims, len(timed) + number) for number, dims in enumerate(taken)]
    names = "; ".join(sizes.text(dims) for dims in left)
    return feeds, f"not judged at {names}: the model computes too much there" if left else ""


def _affordable(
    others: Sequence[dict[str, int]],
    timed: Sequence[Feed],
    cost: float | None,
    within: Mapping[str, Dimension],
) -> tuple[list[dict[str, int]], list[dict[str, int]]]:
    """The sizes that do not cost too much all together, and the rest; where there is a rest, all
    dimensions just beyond the first timed sizes are looked at in its place.

    Costs are taken to grow in proportion to each size.
    """
    if cost is None:
        return [*others], []
    first = timed[0].dims
    unit = cost / sum(_ratio(feed.dims, first) for feed in timed)
    ordered = sorted(others, key=lambda dims: _ratio(dims, first))  # many that take little
    total = itertools.accumulate(unit * _ratio(dims, first) for dims in ordered)
    count = sum(spent <= 1.0 for spent in total)
    taken = [dims for dims in others if dims in ordered[:count]]
    left = ordered[count:]
    beyond = variations.just_beyond(first, within)
    if left and beyond not in [*taken, *(dict(feed.dims) for feed in timed)]:
        taken.append(beyond)
    return taken, [dims for dims in left if dims not in taken]


def _ratio(dims: sizes.Dims, first: sizes.Dims) -> float:
    return math.prod(dims[name] / max(1, size) for name, size in first.items())


def _draws(file: ModelFile, model: ModelProto, wanted: FeedRequest, source: Source | None) -> Draws:
    """Digits for the reference model, else what fits the graph."""
    if _is_reference(source):
        return Digits(file.inputs[0].name, wanted.seed)
    return drawing.drawer(model, _stated(file, wanted), wanted.seed)


def _stated(file: ModelFile, wanted: FeedRequest) -> tuple[TensorSpec, ...]:
    """The inputs with the shapes that the user stated in place of the file's."""
    return tuple(replace(s, shape=wanted.shapes.get(s.name, s.shape)) for s in file.inputs)


def _is_reference(source: Source | None) -> bool:
    return source is not None and source.factory == reference.SOURCE.factory


def _oracle(opened: Opened, source: Source | None, probe: Feed) -> Oracle:
    """The oracle of the source where it is known, else of the file itself."""
    if source is not None:
        with progress.waiting(f"building {source.name}"):
            module = factory.build(source)
        return oracles.of_module(module, opened.facts.inputs, probe.arrays)
    try:
        return oracles.of_model(opened.model, opened.folder)
    except Unsupported as error:
        raise _no_oracle(error) from error


def _no_oracle(error: Unsupported, dims: sizes.Dims | None = None) -> InputError:
    return InputError(
        f"the answers of this model cannot be judged, so no number is shown: {error.what}",
        "--source FILE.py:NAME    judges them by the PyTorch module that the file was made from",
        *_other(dims or {}),
    )


def _expected(oracle: Oracle, feeds: Sequence[Feed], *, timed: bool) -> list[Expected]:
    """Each feed with the oracle's outputs; a size that the model itself refuses is left out.

    Of feeds that are `timed` none may be: raises InputError then.
    """
    expected: list[Expected] = []
    answers = oracle.answer_all([feed.arrays for feed in feeds])
    for number, (feed, answer) in enumerate(zip(feeds, answers, strict=True)):
        if isinstance(answer, dict):
            expected.append(Expected(feed, answer))
            continue
        if timed and isinstance(answer, Unsupported) and not number:
            raise _no_oracle(answer, feed.dims) from answer
        # The evaluator could do the model at another size: it is this one that is refused.
        if timed:
            raise InputError(f"at {feed.name}: {answer.what}", *_other(feed.dims)) from answer
    return expected


def _held(feeds: Sequence[Feed], expected: Sequence[Expected], wanted: FeedRequest) -> SizesHeld:
    """The sizes at which the model was judged, and those that it refused."""
    kept = {id(each.feed) for each in expected}
    first = [] if not wanted.batch or not feeds[0].dims else [next(iter(feeds[0].dims))]
    return SizesHeld(
        tuple(each.feed.dims for each in expected),
        tuple(feed.dims for feed in feeds if id(feed) not in kept),
        (*wanted.dims, *first),
    )


def _other(dims: sizes.Dims) -> list[str]:
    """Lines that tell how to ask for another size."""
    return [f"--dim {name}={2 * size}    asks for another size" for name, size in dims.items()]


def _demand_same(
    opened: Opened,
    oracle: Oracle,
    expected: Sequence[Expected],
    judged: Sequence[JudgedFeed],
    given: Source,
) -> list[str]:
    """Raises NotTheSource for a file that is not the function of its source: judged by another
    model, every target would be wrong. Returns what could not be compared, in words."""
    wanted = [
        (Expected(each.feed, right.right), partial(_plain, right))
        for each, right in zip(expected, judged, strict=True)
    ]
    try:
        compared, refused = ownsizes.compared(opened, oracle, wanted)
    except Unsupported as error:
        return [f"the graph was not compared with its source: {error.what}"]
    wrong = [n for n, seen in enumerate(compared) if seen.wrong(structure.CONSTANTS)]
    if not wrong:
        return []
    computed = [n for n in wrong if n not in refused]
    first = (computed or wrong)[0]
    why = "" if computed else refused[first]
    raise NotTheSource(given, expected[first].feed, compared[first], compared, why)


def _plain(right: JudgedFeed) -> Mapping[str, Array] | None:
    return right.plain


def _portable(opened: Opened, work: Path, threads: int, notes: list[str]) -> ChangedFile | None:
    """The file for the reference evaluator (`Assignment.portable`)."""
    model = opened.model
    if portable.is_portable(model):
        return None
    try:
        newer = thinmodels.of_opened(opened).changed(portable.portable)
    except Unsupported as error:
        notes.append(f"reference runs the file as it is: {error.what}")
        return None
    if graphs.opset(newer.proto) == graphs.opset(model):
        return None
    notes.append(f"reference runs the file brought from opset {graphs.opset(model)} to 17")
    return ChangedFile(newer, work / "portable.onnx", threads)
