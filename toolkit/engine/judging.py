"""Judges one target's answers to the assignment: the whole rule, once, before anything is timed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast, get_args

import msgspec

from toolkit.answers.formats import RANK, Precision
from toolkit.answers.verdict import Limits, Verdict
from toolkit.doctor.cause import cuda_cause
from toolkit.engine import conversion, kernels, relu
from toolkit.engine.assignment import Assignment
from toolkit.engine.conversion import LoadedProgram
from toolkit.engine.failures import failure
from toolkit.engine.setup import ReadyTarget
from toolkit.errors import LibraryError, ProviderFailed, ShapeRefused, TargetError
from toolkit.measure.schedule import StartCost
from toolkit.records.schema import (
    Failure,
    Library,
    RecordedPlacement,
    TargetRecord,
    Warning,
    WarningKind,
)
from toolkit.runtimes import listing
from toolkit.runtimes.base import Placement, Program
from toolkit.tensors import Array
from toolkit.units import Bytes, Seconds
from toolkit.workers import managed
from toolkit.workers.environments import PythonEnvironment
from toolkit.workers.jobs import Hello
from toolkit.workers.launch import Launcher, Worker


@dataclass(frozen=True)
class Besides:
    """The things that are looked at besides a target's answers."""

    timed: bool = False
    """How long a process start takes, since the target is to be timed later."""
    relu: bool = False
    """What its Relu gives for the special values of float32."""


@dataclass(frozen=True)
class TargetAnswers:
    """All that a target said of itself, and its answers."""

    hello: Hello
    loaded: LoadedProgram
    answers: Mapping[int, Mapping[str, Array]]
    """The number of a feed → its outputs; without the feeds whose shape the target refuses."""
    refused: str = ""
    """Its reason at the first shape that it refused; empty where it took all."""
    calls: Sequence[Seconds] = ()
    """The shortest call at each case that is to be timed; empty in a check."""
    behind: Sequence[Mapping[str, Array]] = ()
    """Its answers with what lies behind the outputs; empty where it did not give any."""


@dataclass(frozen=True)
class JudgedTarget:
    """A target's record before it is timed."""

    record: TargetRecord
    program: Program
    """The program that its later workers load."""
    copies: str = ""
    """The copies that lie inside the timed call, in words."""
    resident: Bytes = 0
    """The memory that its worker held when it had answered."""
    cost: StartCost | None = None
    """The time of its process start; None where it is not to be timed."""
    answers: Sequence[Mapping[str, Array]] = ()
    """Its answers to all feeds, where they are beyond float32's border: for `verdicts.disputes`."""


def judge(
    target: ReadyTarget,
    assignment: Assignment,
    limits: Limits,
    launcher: Launcher,
    worker: Worker | None = None,
    besides: Besides = Besides(),
) -> JudgedTarget:
    """The target's library, placement, verdict and special values, or its error.

    `worker` is one that imports its library already; it is stopped here.
    """
    try:
        with worker or launcher.start_importing(target.spec) as worker:
            replies = _replies(worker, target.program, assignment)
            if besides.timed:
                replies = replace(replies, calls=_calls(worker, assignment))
            resident, _ = worker.usage()  # Before other models take the model's place.
            if target.variant is None:
                # A variant has intermediate outputs of its own, of which nothing is known.
                replies = replace(replies, behind=_behind(worker, replies, assignment))
            running = kernels.of(worker, target, launcher.work)
            special_values = (
                relu.special_values(worker, replies.hello, launcher.work) if besides.relu else []
            )
        # A verdict may need more simulations: their worker and the target's are not alive at once.
        verdict = _verdict(replies, target, assignment, limits)
    except TargetError as error:
        failed = TargetRecord(target=target.index, failure=_explained(target, error))
        return JudgedTarget(failed, target.program)
    loaded = replies.loaded
    placement = _placement(loaded.reply.placement, target, assignment)
    record = TargetRecord(
        target=target.index,
        library=_library(target, replies.hello),
        placement=placement,
        conversion=loaded.conversion,
        kernels=running,
        verdict=verdict,
        card=special_values,
        warnings=[*_elsewhere(target, placement), *_fewer_shapes(replies, assignment)],
    )
    is_beyond = verdict.refuted and len(replies.answers) == len(assignment.feeds)
    answers = [*replies.answers.values()] if is_beyond else []
    return JudgedTarget(
        record=record,
        program=loaded.program,
        copies=loaded.reply.copies,
        resident=resident,
        cost=_cost(replies) if besides.timed else None,
        answers=answers,
    )


def _calls(worker: Worker, assignment: Assignment) -> list[Seconds]:
    """The time of one more call at each case: its first one held what is done once."""
    seconds = []
    for number in assignment.cases:
        # Bound anew: nothing is timed here, so no later call is to differ from the judged one.
        worker.bind(str(number), assignment.feeds[number].arrays, assignment.types)
        seconds.append(worker.answer(str(number))[1])
    return seconds


def _cost(replies: TargetAnswers) -> StartCost:
    return StartCost(replies.hello.seconds, replies.loaded.reply.seconds, replies.calls)


def _replies(worker: Worker, program: Program, assignment: Assignment) -> TargetAnswers:
    """The target's answers to every feed whose shape it takes. Raises ShapeRefused for a shape that
    is to be timed."""
    hello = worker.hello()
    loaded = conversion.load(worker, hello, program, _first(assignment))
    answers: dict[int, dict[str, Array]] = {}
    refused = ""
    for number, feed in enumerate(assignment.feeds):
        try:
            answers[number] = worker.evaluate(str(number), feed.arrays, assignment.types)
        except ShapeRefused as error:
            if number in assignment.cases:
                raise
            refused = refused or error.what
    return TargetAnswers(hello, loaded, answers, refused)


def _first(assignment: Assignment) -> Mapping[str, Array]:
    return assignment.feeds[assignment.cases[0]].arrays


def _verdict(
    replies: TargetAnswers, target: ReadyTarget, assignment: Assignment, limits: Limits
) -> Verdict:
    """The verdict on the answers, with what the intermediate outputs show besides."""
    file = target.variant or assignment
    declared = _declared(replies.hello, file.declared)
    judge = assignment.judge.of([*replies.answers])
    verdict = judge.verdict([*replies.answers.values()], declared, limits)
    return judge.with_witness(verdict, replies.behind, limits) if replies.behind else verdict


def _declared(hello: Hello, file: Precision) -> Precision:
    """The coarser of what the runtime and the file declare."""
    if hello.precision not in get_args(Precision):
        raise TargetError(f"it declares to compute in {hello.precision!r}, which is no class here")
    return max(cast(Precision, hello.precision), file, key=lambda precision: RANK[precision])


def _behind(
    worker: Worker, replies: TargetAnswers, assignment: Assignment
) -> list[dict[str, Array]]:
    """The answers of the exposed file; none of a target that cannot run it, which is not the worse
    for it."""
    if assignment.exposed is None or replies.hello.starts_from != "model":
        return []
    exposed = replace(assignment.exposed.program(), threads=replies.loaded.program.threads)
    try:
        conversion.load(worker, replies.hello, exposed, _first(assignment))
        return [
            worker.evaluate(str(number), assignment.feeds[number].arrays, assignment.types)
            for number in replies.answers
        ]
    except TargetError:
        return []


def _explained(target: ReadyTarget, error: TargetError) -> Failure:
    """The error as a record shows it; that of a provider whose library tells the real cause on its
    log only with that cause."""
    plain = failure(error)
    environment = target.spec.environment
    if not listing.provider(target.spec.entry, target.spec.provider).explained_by_doctor:
        return plain
    if not isinstance(environment, PythonEnvironment):
        return plain
    if error.verb != "load" or not isinstance(error, ProviderFailed | LibraryError):
        return plain
    cause = cuda_cause(environment.python, error.last_words)
    return msgspec.structs.replace(plain, what=cause.what, cures=list(cause.cures))


def _library(target: ReadyTarget, hello: Hello) -> Library:
    environment = target.spec.environment
    made = managed.holding(environment)
    return Library(
        runtime=target.spec.entry.name,
        version=hello.version,
        file="toolkit" if hello.file is None else environment.relative(hello.file),
        python=hello.python,
        lock="" if made is None else made.lock,
        unhashed=[] if made is None else made.unhashed,
    )


def _placement(placed: Placement, target: ReadyTarget, assignment: Assignment) -> RecordedPlacement:
    """The placement as a record holds it. Where more ran elsewhere than the operators that compute
    shapes only, the row is no row of its provider."""
    file = target.variant or assignment
    others = {name: list(operators) for name, operators in placed.elsewhere.items()}
    away = Counter(operator for operators in others.values() for operator in operators)
    return RecordedPlacement(
        nodes=dict(placed.nodes),
        elsewhere=others,
        copies=placed.copies,
        asked=target.spec.provider,
        shape_only=away <= file.shape_arithmetic,
    )


def _elsewhere(target: ReadyTarget, placement: RecordedPlacement) -> list[Warning]:
    """A warning where not all nodes ran on the provider that was asked for."""
    if placement.shape_only:
        return []
    counts = ", ".join(f"{name} {count}" for name, count in placement.nodes.items())
    operators = sorted({op for operators in placement.elsewhere.values() for op in operators})
    detail = f"{target.label}: {counts} nodes; not on {placement.asked}: {', '.join(operators)}"
    return [Warning(kind=WarningKind.PLACEMENT, detail=detail)]


def _fewer_shapes(replies: TargetAnswers, assignment: Assignment) -> list[Warning]:
    """A warning with the shapes at which the target was judged, where it was not at all of them."""
    if not replies.refused:
        return []
    names = dict.fromkeys(assignment.feeds[number].name for number in replies.answers)
    detail = f"judged at {', '.join(names)} only: {replies.refused}"
    return [Warning(kind=WarningKind.FEWER_SHAPES, detail=detail)]
