"""Model → question → judged targets → generations of blocks → record → report."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from toolkit import __version__
from toolkit.answers.verdict import Limits
from toolkit.engine import assignment as assignments
from toolkit.engine import judging, planning, runloop, selection, unoptimised
from toolkit.engine import setup as setups
from toolkit.engine.assignment import Assignment, FeedRequest
from toolkit.engine.judging import JudgedTarget
from toolkit.engine.setup import ReadyTarget
from toolkit.engine.warnings import with_warnings
from toolkit.errors import InputError
from toolkit.machine import describe
from toolkit.machine.facts import Machine
from toolkit.measure import schedule
from toolkit.measure.schedule import Pace
from toolkit.onnxfiles import modelfile, referencefile
from toolkit.pipelines import reporting
from toolkit.records import store
from toolkit.records.schema import (
    VERSION,
    Failure,
    Plan,
    Run,
    State,
    TargetRecord,
    Warning,
    WarningKind,
)
from toolkit.records.store import RunFolder
from toolkit.runtimes import listing
from toolkit.runtimes.target import Target, parse
from toolkit.sources.source import Source
from toolkit.units import Seconds
from toolkit.workers import environments
from toolkit.workers.jobs import Patience
from toolkit.workers.launch import Launcher

REFERENCE = Path("models/mlp/mlp.onnx")

Watch = Callable[[str, float | None, str], None]
"""Told what is being done ('ask', 'judge', 'measure'), the share done and details."""


@dataclass(frozen=True)
class BenchRequest:
    """What a user asks to be measured, besides the model."""

    targets: Sequence[Target] = ()
    """Empty: what makes sense here."""
    everything: bool = False
    """Every runtime that is installed, besides."""
    baseline: str | None = None
    wanted: FeedRequest = field(default_factory=FeedRequest)
    source: Source | None = None
    pace: Pace = field(default_factory=schedule.pace)
    limits: Limits = field(default_factory=Limits)
    threads: Sequence[int] = (1,)
    """Of each target that names no number of its own; several: each target at each of them."""
    patience: Patience = field(default_factory=Patience)
    command: Sequence[str] = ()
    """As it was typed, for the record."""

    @property
    def options(self) -> planning.PlanOptions:
        """What of it stands in the plan."""
        return planning.PlanOptions(
            self.pace, self.limits, self.threads[0], self.wanted.seed, self.patience.verb
        )


@dataclass(frozen=True)
class FinishedRun:
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
            if not (record := records.get(i)) or not record.right or (timed and not record.timings)
        ]


def bench(
    model: str | Path = REFERENCE,
    order: BenchRequest | Sequence[str] = (),
    *,
    reports: str | Path = "reports",
    resume: Path | None = None,
    watch: Watch = lambda step, share, text: None,
) -> FinishedRun:
    """Measures a model on targets; every number stands beside a verdict of the same session.

    `order` is an Order, or the targets as they are typed: `bench("m.onnx", ["onnxruntime:cpu"])`.
    `resume` is the folder of an unfinished run of the same model, targets and feeds. A target that
    fails is a row with its error. Raises ToolkitError where nothing can be measured; a run that was
    interrupted keeps what was measured.
    """
    if not isinstance(order, BenchRequest):
        order = BenchRequest([parse(text) for text in order])
    began = time.monotonic()
    path, here = Path(model), describe.describe()
    file = modelfile.read(path)
    known = order.source is not None or referencefile.matches(path)
    targets = selection.crossed(
        selection.chosen(order.targets, here, source=known, everything=order.everything),
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
            worker_code = environments.lay(
                folder.fresh() / "rooms", [listing.find(t.runtime) for t in targets]
            )
            watch("ask", None, "finding out what is right")
            asked = _ask(path, order, folder, worker_code)
            plan = _plan(asked, targets, order)
            run = _begun(folder, plan, here, order, resume)
        except BaseException:
            folder.clear() if resume else folder.discard()
            raise
        try:
            run, able = judge_all(run, asked, targets, worker_code, order, watch)
            folder.begin(run)
            launcher = Launcher(worker_code, order.patience)
            setup = setups.of_run(run, asked, able, launcher)
            said = runloop.measure(
                setup, run, folder, order.pace, lambda share, text: watch("measure", share, text)
            )
        except BaseException as error:
            _interrupted(folder, run, error, time.monotonic() - began)
            raise
        said += [Warning(kind=WarningKind.NOT_LOOKED_AT, detail=note) for note in asked.notes]
        whole = folder.finish(_done(run, said, time.monotonic() - began), with_warnings)
        reporting.write(folder.path, whole)
    return FinishedRun(folder.path, whole, asked.notes)


def _ask(path: Path, order: BenchRequest, folder: RunFolder, worker_code: Path) -> Assignment:
    with unoptimised.unoptimised(worker_code) as run:
        return assignments.ask(
            path, order.wanted, folder.work, run, given=order.source, threads=order.threads[0]
        )


def _plan(asked: Assignment, targets: Sequence[Target], order: BenchRequest) -> Plan:
    shown = [selection.recorded(target, order.threads[0]) for target in targets]
    base = selection.baseline(shown, order.baseline, range(len(shown)))
    return planning.plan(asked, shown, base, order.options)


def _begun(
    folder: RunFolder, plan: Plan, here: Machine, order: BenchRequest, resume: Path | None
) -> Run:
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
    run: Run,
    asked: Assignment,
    targets: Sequence[Target],
    worker_code: Path,
    order: BenchRequest,
    watch: Watch,
) -> tuple[Run, list[ReadyTarget]]:
    """The run with every target's verdict or error, and the targets that go on to be timed."""
    records, shown, able = [], list(run.plan.targets), []
    found: dict[int, JudgedTarget] = {}
    entered = [selection.enter(index, target, asked) for index, target in enumerate(targets)]
    with judging.Prestarted(worker_code, order.patience) as ahead:
        for index, target in enumerate(targets):
            watch("judge", index / len(targets), target.label)
            ahead.start(entered[index : index + 2])
            ready_target = entered[index]
            if isinstance(ready_target, Failure):
                records.append(TargetRecord(target=index, failure=ready_target))
                continue
            judged = ahead.judge(ready_target, asked, order.limits)
            records.append(judged.record)
            found[index] = judged
            shown[index] = msgspec.structs.replace(
                shown[index],
                copies_inside=judged.copies,
                environment=selection.home_name(target, ready_target),
            )
            if judged.record.may_be_timed:
                able.append(replace(ready_target, program=judged.program, resident=judged.resident))
    right = [record.target for record in records if record.right]
    base = selection.baseline(shown, order.baseline, right or range(len(shown)))
    plan = msgspec.structs.replace(run.plan, targets=shown, baseline=base)
    said = judging.disputes(found, [target.label for target in targets], asked)
    fresh = msgspec.structs.replace(run, records=records, plan=plan, warnings=said)
    planning.check_versions(run, fresh)
    return fresh, able


def _now() -> datetime:
    return datetime.now(UTC)


def _done(run: Run, said: Sequence[Warning], took: Seconds) -> Run:
    seconds = run.seconds + took
    warnings = [*run.warnings, *said]
    return msgspec.structs.replace(run, state="done", warnings=warnings, seconds=seconds)


def _interrupted(folder: RunFolder, run: Run, error: BaseException, took: Seconds) -> None:
    """What was measured stays, and can go on; the scratch space goes."""
    folder.clear()  # First: a full disk has room for run.json then.
    state: State = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
    error.add_note("toolkit bench --resume    goes on with what was measured")
    folder.begin(msgspec.structs.replace(run, state=state, seconds=run.seconds + took))
