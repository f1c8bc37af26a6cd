"""Model → question → judged targets → generations of blocks → record → report."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from toolkit import __version__, onnxfile, referencefile
from toolkit.answers.verdict import Limits
from toolkit.engine import course, entrants, judging, planning, runner
from toolkit.engine import question as questions
from toolkit.engine.cautions import with_cautions
from toolkit.engine.circuit import Bound, Circuit, Entrant
from toolkit.engine.judging import Judged
from toolkit.engine.question import Question, Wanted
from toolkit.errors import InputError
from toolkit.measure import schedule
from toolkit.measure.schedule import Pace
from toolkit.pipelines import reporting
from toolkit.records import machine, store
from toolkit.records.schema import (
    VERSION,
    Caution,
    Failure,
    Machine,
    Plan,
    Record,
    Run,
    State,
    Warning,
)
from toolkit.records.store import Folder
from toolkit.runtimes import listing
from toolkit.runtimes.target import Target, parse
from toolkit.sources.source import Source
from toolkit.tensors import Array
from toolkit.units import Seconds
from toolkit.workers import environments
from toolkit.workers.jobs import Patience

REFERENCE = Path("models/mlp/mlp.onnx")

Watch = Callable[[str, float | None, str], None]
"""Told what is being done ('ask', 'judge', 'measure'), the share done and details."""


@dataclass(frozen=True)
class Order:
    """What a user asks to be measured, besides the model."""

    targets: Sequence[Target] = ()
    """Empty: what makes sense here."""
    everything: bool = False
    """Every runtime that is installed, besides."""
    baseline: str | None = None
    wanted: Wanted = field(default_factory=Wanted)
    source: Source | None = None
    pace: Pace = field(default_factory=schedule.pace)
    limits: Limits = field(default_factory=Limits)
    threads: Sequence[int] = (1,)
    """Of each target that names no number of its own; several: each target at each of them."""
    patience: Patience = field(default_factory=Patience)
    command: Sequence[str] = ()
    """As it was typed, for the record."""

    @property
    def terms(self) -> planning.Terms:
        """What of it stands in the plan."""
        return planning.Terms(
            self.pace, self.limits, self.threads[0], self.wanted.seed, self.patience.verb
        )


@dataclass(frozen=True)
class Finished:
    """A run and where it lies."""

    folder: Path | None
    """None where nothing was kept: `check`."""
    run: Run
    notes: Sequence[str] = ()
    """What could not be done while the question was made, in words."""

    @property
    def unmet(self) -> list[str]:
        """The targets that the user named and that were not measured, or are not right."""
        named = [i for i, target in enumerate(self.run.plan.targets) if target.asked]
        records = {record.target: record for record in self.run.records}
        timed = self.folder is not None
        return [
            self.run.plan.targets[i].label
            for i in named
            if not _met(found := records.get(i)) or (timed and not (found and found.timings))
        ]


def bench(
    model: str | Path = REFERENCE,
    order: Order | Sequence[str] = (),
    *,
    reports: str | Path = "reports",
    resume: Path | None = None,
    watch: Watch = lambda step, share, text: None,
) -> Finished:
    """Measures a model on targets; every number stands beside a verdict of the same session.

    `order` is an Order, or the targets as they are typed: `bench("m.onnx", ["onnxruntime:cpu"])`.
    `resume` is the folder of an unfinished run of the same model, targets and feeds. A target that
    fails is a row with its error. Raises ToolkitError where nothing can be measured; a run that was
    interrupted keeps what was measured.
    """
    if not isinstance(order, Order):
        order = Order([parse(text) for text in order])
    began = time.monotonic()
    path, here = Path(model), machine.describe()
    file = onnxfile.read(path)
    known = order.source is not None or referencefile.matches(path)
    targets = entrants.crossed(
        entrants.chosen(order.targets, here, source=known, everything=order.everything),
        order.threads,
    )
    if any(target.runtime == "reference" for target in targets):
        raise InputError(
            "reference is what the standard says, not a runtime to be timed",
            "toolkit check --target reference    judges its answers",
        )
    folder = store.reopen(resume) if resume else store.create(Path(reports), file.name, _now())
    with folder.held():
        try:
            rooms = environments.lay(
                folder.fresh() / "rooms", [listing.find(t.runtime) for t in targets]
            )
            watch("ask", None, "finding out what is right")
            asked = _ask(path, order, folder, rooms)
            plan = _plan(asked, targets, order)
            run = _begun(folder, plan, here, order, resume)
        except BaseException:
            folder.clear() if resume else folder.discard()
            raise
        try:
            run, able = judge_all(run, asked, targets, rooms, order, watch)
            folder.begin(run)
            circuit = _circuit(rooms, able, asked, run, order)
            said = course.measure(
                circuit, run, folder, order.pace, lambda share, text: watch("measure", share, text)
            )
        except BaseException as error:
            _interrupted(folder, run, error, time.monotonic() - began)
            raise
        said += [Warning(kind=Caution.NOT_LOOKED_AT, detail=note) for note in asked.notes]
        whole = folder.finish(_done(run, said, time.monotonic() - began), with_cautions)
        reporting.write(folder.path, whole)
    return Finished(folder.path, whole, asked.notes)


def _ask(path: Path, order: Order, folder: Folder, rooms: Path) -> Question:
    with runner.unoptimised(rooms) as run:
        return questions.ask(
            path, order.wanted, folder.work, run, given=order.source, threads=order.threads[0]
        )


def _plan(asked: Question, targets: Sequence[Target], order: Order) -> Plan:
    shown = [entrants.recorded(target, order.threads[0]) for target in targets]
    base = entrants.baseline(shown, order.baseline, range(len(shown)))
    return planning.plan(asked, shown, base, order.terms)


def _begun(folder: Folder, plan: Plan, here: Machine, order: Order, resume: Path | None) -> Run:
    """run.json with the whole plan, or the one that is there and can go on."""
    if resume is not None:
        old = store.head(folder.path)
        planning.check_same(old, plan, here)
        going_on = planning.paced(old.plan, plan)
        return msgspec.structs.replace(old, state="running", plan=going_on, warnings=[])
    run = Run(
        version=VERSION,
        toolkit=__version__,
        state="running",
        started=_now().isoformat(timespec="seconds"),
        command=list(order.command),
        plan=plan,
        machine=here,
        records=[],
        generations=[],
    )
    folder.begin(run)
    return run


def judge_all(
    run: Run, asked: Question, targets: Sequence[Target], rooms: Path, order: Order, watch: Watch
) -> tuple[Run, list[Entrant]]:
    """The run with every target's verdict or error, and the targets that go on to be timed."""
    records, shown, able = [], list(run.plan.targets), []
    found: dict[int, Judged] = {}
    entered = [entrants.enter(index, target, asked) for index, target in enumerate(targets)]
    with judging.Ahead(rooms, order.patience) as ahead:
        for index, target in enumerate(targets):
            watch("judge", index / len(targets), target.label)
            ahead.start(entered[index : index + 2])
            entrant = entered[index]
            if isinstance(entrant, Failure):
                records.append(Record(target=index, failure=entrant))
                continue
            judged = ahead.judge(entrant, asked, order.limits)
            records.append(judged.record)
            found[index] = judged
            shown[index] = msgspec.structs.replace(
                shown[index],
                copies_inside=judged.copies,
                environment=entrants.home_name(target, entrant),
            )
            if _is_timed(judged.record):
                able.append(replace(entrant, program=judged.program, resident=judged.resident))
    right = [record.target for record in records if _met(record)]
    base = entrants.baseline(shown, order.baseline, right or range(len(shown)))
    plan = msgspec.structs.replace(run.plan, targets=shown, baseline=base)
    said = judging.disputes(found, [target.label for target in targets], asked)
    fresh = msgspec.structs.replace(run, records=records, plan=plan, warnings=said)
    planning.check_versions(run, fresh)
    return fresh, able


def _is_timed(record: Record) -> bool:
    """A wrong answer has no latency worth knowing; one that is only coarse has."""
    verdict = record.verdict
    return record.failure is None and verdict is not None and (verdict.right or not verdict.wrong)


def _met(record: Record | None) -> bool:
    return (
        record is not None
        and record.failure is None
        and record.verdict is not None
        and record.verdict.right
    )


def _circuit(
    rooms: Path, able: Sequence[Entrant], asked: Question, run: Run, order: Order
) -> Circuit:
    names = [case.name for case in run.plan.cases]
    bound = [
        Bound(name, asked.feeds[place].arrays, asked.types)
        for name, place in zip(names, asked.cases, strict=True)
    ]
    shapes = [asked.feeds[place].shapes for place in asked.cases]
    other = next((feed for feed in asked.feeds if feed.shapes not in shapes), None)
    verdicts = {record.target: record.verdict for record in run.records}

    def judge(target: int, case: int, outputs: Mapping[str, Array]) -> str:
        first = verdicts[target]
        if first is None:
            return "it was never judged"
        return asked.yardstick.border([outputs], first, [asked.cases[case]]).reason

    return Circuit(
        rooms=rooms,
        entrants=able,
        cases=bound,
        other=None if other is None else Bound("another shape", other.arrays, asked.types),
        rounds=run.plan.rounds,
        seed=run.plan.seed,
        patience=order.patience,
        judge=judge,
    )


def _now() -> datetime:
    return datetime.now(UTC)


def _done(run: Run, said: Sequence[Warning], took: Seconds) -> Run:
    seconds = run.seconds + took
    warnings = [*run.warnings, *said]
    return msgspec.structs.replace(run, state="done", warnings=warnings, seconds=seconds)


def _interrupted(folder: Folder, run: Run, error: BaseException, took: Seconds) -> None:
    """What was measured stays, and can go on; the scratch space goes."""
    folder.clear()  # First: a full disk has room for run.json then.
    state: State = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
    error.add_note("toolkit bench --resume    goes on with what was measured")
    folder.begin(msgspec.structs.replace(run, state=state, seconds=run.seconds + took))
