"""One target's answers to the question: the whole rule, once, before anything is timed."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self, cast, get_args

import msgspec
import onnx

from toolkit.answers import card, dispute
from toolkit.answers.card import CardRow
from toolkit.answers.formats import RANK, Precision
from toolkit.answers.terms import FLOATS
from toolkit.answers.verdict import Limits, Verdict
from toolkit.doctor.cause import cuda_cause
from toolkit.engine.circuit import Entrant
from toolkit.engine.conversion import converted
from toolkit.engine.lane import failure
from toolkit.engine.question import Question
from toolkit.engine.runner import program
from toolkit.errors import LibraryError, ProviderFailed, ShapeRefused, TargetError
from toolkit.records import schema
from toolkit.records.schema import Caution, Conversion, Failure, Library, Record, Warning
from toolkit.runtimes.base import Placement, Program
from toolkit.sources import relu
from toolkit.tensors import Array, Feed
from toolkit.units import Bytes
from toolkit.workers.environments import PythonEnvironment
from toolkit.workers.jobs import Hello, Loaded, Patience
from toolkit.workers.launch import Worker


@dataclass(frozen=True)
class Heard:
    """What a target said of itself and answered."""

    hello: Hello
    loaded: Loaded
    program: Program
    """As it was loaded: with the runtime's own form of it, where it makes one."""
    conversion: Conversion | None
    answers: Mapping[int, Mapping[str, Array]]
    """The number of a feed → its outputs; without the feeds whose shape the target refuses."""
    refused: str = ""
    """What it said of the first shape that it refused; empty where it took all."""


@dataclass(frozen=True)
class Judged:
    """A target's record before it is timed."""

    record: Record
    program: Program
    """What its later workers load."""
    copies: str = ""
    """Which copies lie inside the timed call."""
    resident: Bytes = 0
    """What its worker held when it had answered."""
    answers: Sequence[Mapping[str, Array]] = ()
    """What it gave for all feeds, where it is beyond float32's border: for `disputes`."""


class Ahead:
    """Workers that import their library while another target is judged: some take seconds."""

    def __init__(self, rooms: Path, patience: Patience) -> None:
        self._rooms = rooms
        self._patience = patience
        self._running: dict[int, Worker] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self._running.values():
            worker.stop()

    def start(self, entrants: Sequence[Entrant | Failure]) -> None:
        """Starts each one's worker, once. One that does not start is told when it is judged."""
        for entrant in entrants:
            if isinstance(entrant, Failure) or entrant.index in self._running:
                continue
            with contextlib.suppress(TargetError):
                self._running[entrant.index] = started(entrant, self._rooms, self._patience)

    def judge(self, entrant: Entrant, question: Question, limits: Limits) -> Judged:
        """Judges one with the worker that was started, if one was, and stops it."""
        worker = self._running.pop(entrant.index, None)
        return judge(entrant, question, self._rooms, self._patience, limits, worker)


def started(entrant: Entrant, rooms: Path, patience: Patience) -> Worker:
    """A worker that imports its library. Raises TargetError where it does not start."""
    worker = Worker(entrant.job, rooms, patience=patience)
    try:
        worker.post_hello()
    except BaseException:
        worker.stop()
        raise
    return worker


def judge(
    entrant: Entrant,
    question: Question,
    rooms: Path,
    patience: Patience,
    limits: Limits,
    worker: Worker | None = None,
) -> Judged:
    """A target's library, placement, verdict and ReLU card, or its error; no times.

    `worker`: one that was `started` and is stopped here.
    """
    try:
        with worker or started(entrant, rooms, patience) as worker:
            heard = _hear(worker, entrant.program, question)
            variant = entrant.variant
            declared = _declared(heard.hello, variant.declared if variant else question.declared)
            yardstick = question.yardstick.of([*heard.answers])
            verdict = yardstick.judge([*heard.answers.values()], declared, limits)
            if variant is None:
                verdict = _witnessed(worker, heard, verdict, question)
            resident, _ = worker.usage()
            rows = _card(worker, heard.hello, rooms.parent)
    except TargetError as error:
        told = Record(target=entrant.index, failure=_explained(entrant, error))
        return Judged(told, entrant.program)
    shapes = variant.shape_arithmetic if variant else question.shape_arithmetic
    placement = _placement(heard.loaded.placement, entrant.job.provider, shapes)
    record = Record(
        target=entrant.index,
        library=_library(entrant, heard.hello),
        placement=placement,
        conversion=heard.conversion,
        verdict=verdict,
        card=rows,
        warnings=[*_warnings(entrant, placement), *_fewer(heard, question)],
    )
    beyond = not verdict.right and len(heard.answers) == len(question.feeds)
    answers = [*heard.answers.values()] if beyond else []
    return Judged(record, heard.program, heard.loaded.copies, resident, answers)


def disputes(
    judged: Mapping[int, Judged], labels: Sequence[str], question: Question
) -> list[Warning]:
    """Whether it is the oracle that is wrong, by witnesses that do not ask it (dispute.py)."""
    found = [question.disputed] if question.disputed else []
    asked = {
        index: (one.record.library.runtime, one.answers)
        for index, one in judged.items()
        if one.answers and one.record.library
    }
    right = {
        one.record.library.runtime
        for one in judged.values()
        if one.record.library and one.record.verdict and one.record.verdict.right
    }
    # What made the oracle is no witness for it.
    own = "torch" if question.program.source is not None else "reference"
    floats = [spec.name for spec in question.file.outputs if spec.type in FLOATS]
    noise = {name: question.yardstick.noise(name) for name in floats}
    if floats and all(noise.values()):
        found += [
            f"{labels[one]} and {labels[other]} agree with each other, and not with it"
            for one, other in dispute.agreeing(floats, noise, asked)
            if not right - {asked[one][0], asked[other][0], own}
        ]
    origin = question.yardstick.origin
    return [Warning(kind=Caution.DISPUTED, detail=f"{origin}: {one}") for one in found]


def _explained(entrant: Entrant, error: TargetError) -> Failure:
    """The error as a record shows it; that of ONNX Runtime's CUDA provider with its real cause,
    which the library itself tells on its log only."""
    told = failure(error)
    environment = entrant.job.environment
    if entrant.job.provider != "cuda" or entrant.job.listed.name != "onnxruntime":
        return told
    if not isinstance(environment, PythonEnvironment):
        return told
    if error.verb != "load" or not isinstance(error, ProviderFailed | LibraryError):
        return told
    cause = cuda_cause(environment.python, error.last_words)
    return msgspec.structs.replace(told, what=cause.what, cures=list(cause.cures))


def _hear(worker: Worker, whole: Program, question: Question) -> Heard:
    hello = worker.hello()
    first = question.feeds[question.cases[0]].arrays
    ready, fact = converted(worker, hello, whole, first, question.types)
    worker.post_load(ready)
    loaded = worker.load()
    answers: dict[int, dict[str, Array]] = {}
    refused = ""
    for number, feed in enumerate(question.feeds):
        try:
            answers[number] = _answer(worker, str(number), feed.arrays, question.types)
        except ShapeRefused as error:
            if number in question.cases:
                raise
            refused = refused or error.what
    return Heard(hello, loaded, ready, fact, answers, refused)


def _answer(worker: Worker, name: str, feed: Feed, types: Mapping[str, str]) -> dict[str, Array]:
    worker.bind(name, feed, types)
    return worker.answer(name)[0]


def _declared(hello: Hello, file: Precision) -> Precision:
    """The coarser of what the runtime and the file declare."""
    if hello.precision not in get_args(Precision):
        raise TargetError(f"it declares to compute in {hello.precision!r}, which is no class here")
    return max(cast(Precision, hello.precision), file, key=lambda precision: RANK[precision])


def _witnessed(worker: Worker, heard: Heard, verdict: Verdict, question: Question) -> Verdict:
    """What the tapped file shows besides; a target that cannot run it is not the worse for it."""
    if question.tapped is None or heard.hello.starts_from != "model":
        return verdict
    feeds = {number: question.feeds[number].arrays for number in heard.answers}
    first = question.feeds[question.cases[0]].arrays
    tapped = replace(question.tapped, threads=heard.program.threads)
    try:
        ready, _ = converted(worker, heard.hello, tapped, first, question.types)
        worker.post_load(ready)
        worker.load()
        answers = [_answer(worker, str(n), feed, question.types) for n, feed in feeds.items()]
    except TargetError:
        return verdict
    return question.yardstick.of([*feeds]).witnessed(verdict, answers)


def _card(worker: Worker, hello: Hello, work: Path) -> list[CardRow]:
    outcomes = {
        form: _relu(worker, hello, _relu_program(form, model, hello.starts_from, work))
        for form, model in card.models().items()
    }
    return card.read(outcomes["alone"], outcomes["fused"])


def _relu_program(form: str, model: onnx.ModelProto, starts_from: str, work: Path) -> Program:
    file = work / f"relu-{form}.onnx"
    onnx.save_model(model, str(file))
    plain = program(file, model)
    source = relu.FORMS[form] if starts_from == "source" else None
    return Program(plain.model, plain.inputs, plain.outputs, source)


def _relu(worker: Worker, hello: Hello, whole: Program) -> card.Outcome:
    feeds = card.feeds()
    try:
        ready, _ = converted(worker, hello, whole, feeds[0], {})
        worker.post_load(ready)
        worker.load()
        return [_answer(worker, str(n), feed, {}) for n, feed in enumerate(feeds)]
    except TargetError as error:
        return error.what


def _library(entrant: Entrant, hello: Hello) -> Library:
    environment = entrant.job.environment
    return Library(
        runtime=entrant.job.listed.name,
        version=hello.version,
        file="toolkit" if hello.file is None else environment.relative(hello.file),
        python=hello.python,
    )


def _placement(placed: Placement, asked: str, shapes: Counter[str]) -> schema.Placement:
    """`shapes`: operators that compute shapes only. What ran elsewhere is no more than those, or
    the row is no row of its provider."""
    others = {name: list(operators) for name, operators in placed.elsewhere.items()}
    away = Counter(operator for operators in others.values() for operator in operators)
    return schema.Placement(
        nodes=dict(placed.nodes),
        elsewhere=others,
        copies=placed.copies,
        asked=asked,
        shape_only=away <= shapes,
    )


def _warnings(entrant: Entrant, placement: schema.Placement) -> list[Warning]:
    if placement.shape_only:
        return []
    counts = ", ".join(f"{name} {count}" for name, count in placement.nodes.items())
    operators = sorted({op for operators in placement.elsewhere.values() for op in operators})
    detail = f"{entrant.label}: {counts} nodes; not on {placement.asked}: {', '.join(operators)}"
    return [Warning(kind=Caution.PLACEMENT, detail=detail)]


def _fewer(heard: Heard, question: Question) -> list[Warning]:
    """At which shapes the target was judged, where it was not at all of them."""
    if not heard.refused:
        return []
    names = dict.fromkeys(question.feeds[number].name for number in heard.answers)
    detail = f"judged at {', '.join(names)} only: {heard.refused}"
    return [Warning(kind=Caution.FEWER_SHAPES, detail=detail)]
