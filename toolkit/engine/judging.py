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

from toolkit.answers import dispute, specialvalues
from toolkit.answers.acceptance import FLOATS
from toolkit.answers.formats import RANK, Precision
from toolkit.answers.specialvalues import SpecialValue
from toolkit.answers.verdict import Limits, Verdict
from toolkit.doctor.cause import cuda_cause
from toolkit.engine.assignment import Assignment
from toolkit.engine.conversion import converted
from toolkit.engine.setup import ReadyTarget
from toolkit.engine.targetrun import failure
from toolkit.engine.unoptimised import program
from toolkit.errors import LibraryError, ProviderFailed, ShapeRefused, TargetError
from toolkit.records import schema
from toolkit.records.schema import Conversion, Failure, Library, TargetRecord, Warning, WarningKind
from toolkit.runtimes import listing
from toolkit.runtimes.base import Placement, Program
from toolkit.sources import relu
from toolkit.tensors import Array, Feed
from toolkit.units import Bytes
from toolkit.workers.environments import PythonEnvironment
from toolkit.workers.jobs import Hello, Loaded, Patience
from toolkit.workers.launch import Worker


@dataclass(frozen=True)
class TargetAnswers:
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
class JudgedTarget:
    """A target's record before it is timed."""

    record: TargetRecord
    program: Program
    """What its later workers load."""
    copies: str = ""
    """Which copies lie inside the timed call."""
    resident: Bytes = 0
    """What its worker held when it had answered."""
    answers: Sequence[Mapping[str, Array]] = ()
    """What it gave for all feeds, where it is beyond float32's border: for `disputes`."""


class Prestarted:
    """Workers that import their library while another target is judged: some take seconds."""

    def __init__(self, worker_code: Path, patience: Patience) -> None:
        self._worker_code = worker_code
        self._patience = patience
        self._running: dict[int, Worker] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self._running.values():
            worker.stop()

    def start(self, ready_targets: Sequence[ReadyTarget | Failure]) -> None:
        """Starts each one's worker, once. One that does not start is told when it is judged."""
        for ready_target in ready_targets:
            if isinstance(ready_target, Failure) or ready_target.index in self._running:
                continue
            with contextlib.suppress(TargetError):
                self._running[ready_target.index] = started(
                    ready_target, self._worker_code, self._patience
                )

    def judge(
        self, ready_target: ReadyTarget, assignment: Assignment, limits: Limits
    ) -> JudgedTarget:
        """Judges one with the worker that was started, if one was, and stops it."""
        worker = self._running.pop(ready_target.index, None)
        return judge(ready_target, assignment, self._worker_code, self._patience, limits, worker)


def started(ready_target: ReadyTarget, worker_code: Path, patience: Patience) -> Worker:
    """A worker that imports its library. Raises TargetError where it does not start."""
    worker = Worker(ready_target.job, worker_code, patience=patience)
    try:
        worker.post_hello()
    except BaseException:
        worker.stop()
        raise
    return worker


def judge(
    ready_target: ReadyTarget,
    assignment: Assignment,
    worker_code: Path,
    patience: Patience,
    limits: Limits,
    worker: Worker | None = None,
) -> JudgedTarget:
    """A target's library, placement, verdict and ReLU card, or its error; no times.

    `worker`: one that was `started` and is stopped here.
    """
    try:
        with worker or started(ready_target, worker_code, patience) as worker:
            replies = _replies(worker, ready_target.program, assignment)
            variant = ready_target.variant
            declared = _declared(
                replies.hello, variant.declared if variant else assignment.declared
            )
            judge = assignment.judge.of([*replies.answers])
            verdict = judge.verdict([*replies.answers.values()], declared, limits)
            if variant is None:
                verdict = _with_witness(worker, replies, verdict, assignment)
            resident, _ = worker.usage()
            rows = _special_values(worker, replies.hello, worker_code.parent)
    except TargetError as error:
        told = TargetRecord(target=ready_target.index, failure=_explained(ready_target, error))
        return JudgedTarget(told, ready_target.program)
    shapes = variant.shape_arithmetic if variant else assignment.shape_arithmetic
    placement = _placement(replies.loaded.placement, ready_target.job.provider, shapes)
    record = TargetRecord(
        target=ready_target.index,
        library=_library(ready_target, replies.hello),
        placement=placement,
        conversion=replies.conversion,
        verdict=verdict,
        card=rows,
        warnings=[*_warnings(ready_target, placement), *_fewer(replies, assignment)],
    )
    beyond = not verdict.right and len(replies.answers) == len(assignment.feeds)
    answers = [*replies.answers.values()] if beyond else []
    return JudgedTarget(record, replies.program, replies.loaded.copies, resident, answers)


def disputes(
    judged: Mapping[int, JudgedTarget], labels: Sequence[str], assignment: Assignment
) -> list[Warning]:
    """Whether it is the oracle that is wrong, by witnesses that do not ask it (dispute.py)."""
    found = [assignment.disputed] if assignment.disputed else []
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
    own = "torch" if assignment.program.source is not None else "reference"
    floats = [spec.name for spec in assignment.file.outputs if spec.type in FLOATS]
    noise = {name: assignment.judge.noise(name) for name in floats}
    if floats and all(noise.values()):
        found += [
            f"{labels[one]} and {labels[other]} agree with each other, and not with it"
            for one, other in dispute.agreeing(floats, noise, asked)
            if not right - {asked[one][0], asked[other][0], own}
        ]
    origin = assignment.judge.origin
    return [Warning(kind=WarningKind.DISPUTED, detail=f"{origin}: {one}") for one in found]


def _explained(ready_target: ReadyTarget, error: TargetError) -> Failure:
    """The error as a record shows it; that of a provider whose library tells the real cause on its
    log only with that cause."""
    told = failure(error)
    job, environment = ready_target.job, ready_target.job.environment
    if not listing.provider(job.listed, job.provider).explained_by_doctor:
        return told
    if not isinstance(environment, PythonEnvironment):
        return told
    if error.verb != "load" or not isinstance(error, ProviderFailed | LibraryError):
        return told
    cause = cuda_cause(environment.python, error.last_words)
    return msgspec.structs.replace(told, what=cause.what, cures=list(cause.cures))


def _replies(worker: Worker, whole: Program, assignment: Assignment) -> TargetAnswers:
    hello = worker.hello()
    first = assignment.feeds[assignment.cases[0]].arrays
    ready, fact = converted(worker, hello, whole, first, assignment.types)
    worker.post_load(ready)
    loaded = worker.load()
    answers: dict[int, dict[str, Array]] = {}
    refused = ""
    for number, feed in enumerate(assignment.feeds):
        try:
            answers[number] = _answer(worker, str(number), feed.arrays, assignment.types)
        except ShapeRefused as error:
            if number in assignment.cases:
                raise
            refused = refused or error.what
    return TargetAnswers(hello, loaded, ready, fact, answers, refused)


def _answer(worker: Worker, name: str, feed: Feed, types: Mapping[str, str]) -> dict[str, Array]:
    worker.bind(name, feed, types)
    return worker.answer(name)[0]


def _declared(hello: Hello, file: Precision) -> Precision:
    """The coarser of what the runtime and the file declare."""
    if hello.precision not in get_args(Precision):
        raise TargetError(f"it declares to compute in {hello.precision!r}, which is no class here")
    return max(cast(Precision, hello.precision), file, key=lambda precision: RANK[precision])


def _with_witness(
    worker: Worker, replies: TargetAnswers, verdict: Verdict, assignment: Assignment
) -> Verdict:
    """What the tapped file shows besides; a target that cannot run it is not the worse for it."""
    if assignment.exposed is None or replies.hello.starts_from != "model":
        return verdict
    feeds = {number: assignment.feeds[number].arrays for number in replies.answers}
    first = assignment.feeds[assignment.cases[0]].arrays
    exposed = replace(assignment.exposed, threads=replies.program.threads)
    try:
        ready, _ = converted(worker, replies.hello, exposed, first, assignment.types)
        worker.post_load(ready)
        worker.load()
        answers = [_answer(worker, str(n), feed, assignment.types) for n, feed in feeds.items()]
    except TargetError:
        return verdict
    return assignment.judge.of([*feeds]).with_witness(verdict, answers)


def _special_values(worker: Worker, hello: Hello, work: Path) -> list[SpecialValue]:
    outcomes = {
        form: _relu(worker, hello, _relu_program(form, model, hello.starts_from, work))
        for form, model in specialvalues.models().items()
    }
    return specialvalues.read(outcomes["alone"], outcomes["fused"])


def _relu_program(form: str, model: onnx.ModelProto, starts_from: str, work: Path) -> Program:
    file = work / f"relu-{form}.onnx"
    onnx.save_model(model, str(file))
    plain = program(file, model)
    source = relu.FORMS[form] if starts_from == "source" else None
    return Program(plain.model, plain.inputs, plain.outputs, source)


def _relu(worker: Worker, hello: Hello, whole: Program) -> specialvalues.Outcome:
    feeds = specialvalues.feeds()
    try:
        ready, _ = converted(worker, hello, whole, feeds[0], {})
        worker.post_load(ready)
        worker.load()
        return [_answer(worker, str(n), feed, {}) for n, feed in enumerate(feeds)]
    except TargetError as error:
        return error.what


def _library(ready_target: ReadyTarget, hello: Hello) -> Library:
    environment = ready_target.job.environment
    return Library(
        runtime=ready_target.job.listed.name,
        version=hello.version,
        file="toolkit" if hello.file is None else environment.relative(hello.file),
        python=hello.python,
    )


def _placement(placed: Placement, asked: str, shapes: Counter[str]) -> schema.RecordedPlacement:
    """`shapes`: operators that compute shapes only. What ran elsewhere is no more than those, or
    the row is no row of its provider."""
    others = {name: list(operators) for name, operators in placed.elsewhere.items()}
    away = Counter(operator for operators in others.values() for operator in operators)
    return schema.RecordedPlacement(
        nodes=dict(placed.nodes),
        elsewhere=others,
        copies=placed.copies,
        asked=asked,
        shape_only=away <= shapes,
    )


def _warnings(ready_target: ReadyTarget, placement: schema.RecordedPlacement) -> list[Warning]:
    if placement.shape_only:
        return []
    counts = ", ".join(f"{name} {count}" for name, count in placement.nodes.items())
    operators = sorted({op for operators in placement.elsewhere.values() for op in operators})
    detail = (
        f"{ready_target.label}: {counts} nodes; not on {placement.asked}: {', '.join(operators)}"
    )
    return [Warning(kind=WarningKind.PLACEMENT, detail=detail)]


def _fewer(replies: TargetAnswers, assignment: Assignment) -> list[Warning]:
    """At which shapes the target was judged, where it was not at all of them."""
    if not replies.refused:
        return []
    names = dict.fromkeys(assignment.feeds[number].name for number in replies.answers)
    detail = f"judged at {', '.join(names)} only: {replies.refused}"
    return [Warning(kind=WarningKind.FEWER_SHAPES, detail=detail)]
