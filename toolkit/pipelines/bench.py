"""Model → assignment → judged targets → generations of blocks → record → report."""

from __future__ import annotations

import contextlib
import errno
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec

from toolkit.answers.simulate import StartRunner
from toolkit.data import opening
from toolkit.engine import assignment as assignments
from toolkit.engine import datapass, planning, runloop, selection, unoptimised
from toolkit.engine import setup as setups
from toolkit.engine.assignment import Assignment
from toolkit.engine.judging import Besides
from toolkit.engine.verdicts import judge_all
from toolkit.engine.warnings import with_warnings
from toolkit.errors import InputError, RunError
from toolkit.machine import describe, facts
from toolkit.machine.facts import Machine
from toolkit.onnxfiles import filestates, modelfile, referencefile
from toolkit.onnxfiles.modelfile import Opened
from toolkit.pipelines import reporting
from toolkit.pipelines.request import REFERENCE, BenchRequest, FinishedRun, Watch, as_request
from toolkit.records import privacy, store, whereabouts
from toolkit.records.schema import Plan, PlannedTarget, Run, State, Warning, WarningKind
from toolkit.records.store import RunFolder
from toolkit.records.whereabouts import Whereabouts
from toolkit.runtimes import listing
from toolkit.runtimes.target import Target
from toolkit.supervision import progress
from toolkit.units import Seconds
from toolkit.workers import environments
from toolkit.workers.launch import Launcher

__all__ = ["REFERENCE", "BenchRequest", "FinishedRun", "Watch", "bench"]


def bench(
    model: str | Path = REFERENCE,
    order: BenchRequest | Sequence[str] = (),
    *,
    reports: str | Path = "reports",
    resume: Path | None = None,
    watch: Watch = lambda step, share, text: None,
) -> FinishedRun:
    """Measures a model on targets; every number stands beside a verdict of the same session.

    `order` is a BenchRequest, or the targets as they are typed:
    `bench("m.onnx", ["onnxruntime:cpu"])`. `resume` is the folder of an unfinished run of the same
    model, targets and feeds. A target that fails is a row with its error. Raises ToolkitError where
    nothing can be measured; a run that was interrupted keeps what was measured.
    """
    request, began = as_request(order), time.monotonic()
    machine = describe.describe()
    with progress.bounded(request.deadline):
        opened = modelfile.open_once(Path(model))
    targets = _targets(opened, request, machine)
    examples = None if request.data is None else opening.opened(opened, request.data)
    now = datetime.now(UTC)
    name = _folder_name(Path(model), targets, anonymous=request.anonymous)
    folder = store.reopen(resume) if resume else store.create(Path(reports), name, now)
    if resume:
        _demand_resumable(folder, opened, targets, request, machine)
    with folder.held():
        try:
            # Killed while it finds out what is right, it has nothing to keep.
            with progress.leaving(folder.work if resume else folder.path):
                worker_code = environments.lay(
                    folder.fresh() / "rooms", [listing.find(target.runtime) for target in targets]
                )
                launcher = Launcher(worker_code, request.patience)
                watch("ask", None, "finding out what is right")
                assignment = ask(opened, request, launcher)
            plan = planned(assignment, targets, request)
            run = _begun(folder, plan, machine, request, resume)
        except BaseException:
            folder.clear() if resume else folder.discard()
            raise
        try:
            run, answered = judge_all(
                run,
                assignment,
                targets,
                launcher,
                request.baseline,
                partial(watch, "judge"),
                Besides(timed=True, relu=request.relu),
            )
            # A kill from here on leaves the time so far in the record, or in its generations.
            run, began = _with_time(run, began)
            folder.begin(run)
            if request.data is not None and examples is not None:
                setup = setups.of_run(run, assignment, answered, launcher)
                run = datapass.measure(
                    run, setup, assignment, examples, request.data, opened.model,
                    partial(watch, "data"), anonymous=request.anonymous,
                )  # fmt: skip
                run, began = _with_time(run, began)
                folder.begin(run)
            records = {record.target: record for record in run.records}
            timed = [target for target in answered if records[target.index].may_be_timed]
            setup = setups.of_run(run, assignment, timed, launcher)
            warnings = runloop.measure(setup, run, folder, request.pace, partial(watch, "measure"))
            filestates.demand_unchanged(setup.files)
        except BaseException as error:
            if resume is None and not folder.has_parts():
                folder.discard()  # Nothing was measured that a later command could go on with.
            else:
                _interrupted(folder, run, error, began)
            raise
        done, _ = _with_time(_done(run, [*warnings, *_unseen(assignment)]), began)
        whole = _finished(folder, run, done, began)
        reporting.write(folder.path, whole)
        whereabouts.forget(folder.path)
    return FinishedRun(folder.path, whole, assignment.notes)


def _folder_name(model: Path, targets: Sequence[Target], *, anonymous: bool) -> str:
    """Names a run by its model, and by the first file that a target has in place of it.

    A file that is called model.onnx, as most are that come from a hub, is named by its folder.
    """
    files = [model, *(Path(target.model) for target in targets if target.model)]
    names = [file.stem if anonymous else modelfile.telling_name(file) for file in files[:2]]
    return "-vs-".join(names)


def demand_resumable(model: Path, request: BenchRequest, resume: Path) -> None:
    """Raises RunError where an unfinished run cannot go on, as far as that is seen without running
    anything that the request names: before packages are installed for it."""
    machine = describe.describe()
    with progress.bounded(request.deadline):
        opened = modelfile.open_once(model)
    targets = _targets(opened, request, machine)
    _demand_resumable(store.reopen(resume), opened, targets, request, machine)


def _demand_resumable(
    folder: RunFolder,
    opened: Opened,
    targets: Sequence[Target],
    request: BenchRequest,
    machine: Machine,
) -> None:
    planning.check_before(
        _on_its_machine(folder, store.head(folder.path)),
        opened.facts,
        _recorded(targets, request),
        request.source,
        request.options,
        machine,
    )


def _targets(opened: Opened, request: BenchRequest, machine: Machine) -> list[Target]:
    """The targets of the run, each at each number of threads."""
    is_known = request.source is not None or referencefile.matches(opened)
    chosen = selection.chosen(
        request.targets, machine, source=is_known, everything=request.everything
    )
    targets = selection.crossed(chosen, request.threads)
    if any(target.runtime == "reference" for target in targets):
        raise InputError(
            "reference is what the standard says, not a runtime to be timed",
            "toolkit check --target reference    judges its answers",
        )
    return targets


def ask(opened: Opened, request: BenchRequest, launcher: Launcher) -> Assignment:
    """The assignment of a model, with its simulations run in a worker.

    Raises InputError where the file changed while it was found out what is right.
    """
    is_bare = request.source is None and not referencefile.matches(opened)
    with (
        progress.bounded(request.deadline),
        filestates.unchanged(opened.facts.states),
        _simulated_by(launcher.worker_code, early=is_bare) as start,
    ):
        return assignments.ask(
            opened,
            request.wanted,
            launcher.work,
            start,
            given=request.source,
            threads=request.threads[0],
        )


@contextlib.contextmanager
def _simulated_by(worker_code: Path, *, early: bool) -> Iterator[StartRunner]:
    """What brings the runner of simulations. Of a bare file, whose float32 it runs in any case, it
    is imported `early`, while the oracle computes."""
    if not early:
        yield partial(unoptimised.unoptimised, worker_code)
        return
    with unoptimised.imported_early(worker_code) as start:
        yield start


def planned(assignment: Assignment, targets: Sequence[Target], request: BenchRequest) -> Plan:
    """The plan of these targets, with the baseline that they would have if all were right."""
    shown = _recorded(targets, request)
    base = selection.baseline(shown, request.baseline, range(len(shown)))
    return planning.plan(assignment, shown, base, request.options)


def _recorded(targets: Sequence[Target], request: BenchRequest) -> list[PlannedTarget]:
    return privacy.targets([selection.recorded(target, request.threads[0]) for target in targets])


def _begun(
    folder: RunFolder, plan: Plan, machine: Machine, request: BenchRequest, resume: Path | None
) -> Run:
    """run.json with the whole plan, or the one that is there and can go on."""
    if resume is not None:
        old = store.head(folder.path)
        parts = store.parts(folder.path, old.plan)
        going_on = planning.resumed(_on_its_machine(folder, old), parts, plan, machine)
        return msgspec.structs.replace(going_on, machine=old.machine)
    shown = facts.anonymous(machine) if request.anonymous else machine
    run = planning.new_run(plan, shown, request.command)
    folder.begin(run)
    if request.anonymous or request.whole_command:
        whereabouts.keep(
            Whereabouts(
                folder=str(folder.path.resolve()),
                started=run.started,
                command=list(request.whole_command),
                identity=machine.identity,
            )
        )
    return run


def _on_its_machine(folder: RunFolder, old: Run) -> Run:
    """The record of a run, with the identity of its machine where it is anonymous.

    Raises RunError where that is not known: the run may be another machine's.
    """
    if old.machine.identity != facts.ANONYMOUS:
        return old
    kept = whereabouts.of(folder.path, old.started)
    if kept is None:
        raise RunError(
            f"{folder.path} is anonymous, and no cache of yours says that this machine began it",
            "toolkit bench    starts a new one",
        )
    machine = msgspec.structs.replace(old.machine, identity=kept.identity)
    return msgspec.structs.replace(old, machine=machine)


def _unseen(assignment: Assignment) -> list[Warning]:
    return [Warning(kind=WarningKind.NOT_LOOKED_AT, detail=note) for note in assignment.notes]


def _with_time(run: Run, began: Seconds) -> tuple[Run, Seconds]:
    """The record with the time since `began` added to its own, and the moment until which it has
    it; both on the clock of time.monotonic."""
    now = time.monotonic()
    return msgspec.structs.replace(run, seconds=run.seconds + now - began), now


def _done(run: Run, warnings: Sequence[Warning]) -> Run:
    return msgspec.structs.replace(run, state="done", warnings=[*run.warnings, *warnings])


def _finished(folder: RunFolder, run: Run, done: Run, began: Seconds) -> Run:
    """Puts the record together; where that is interrupted the run can go on, unless it is whole."""
    try:
        return folder.finish(done, with_warnings)
    except BaseException as error:
        if store.head(folder.path).state != "done":
            _interrupted(folder, run, error, began)
        raise


def _interrupted(folder: RunFolder, run: Run, error: BaseException, began: Seconds) -> None:
    """Keeps what was measured, so that the run can go on, and removes the scratch space."""
    folder.clear()  # First: a full disk has room for run.json then.
    error.add_note("toolkit bench --resume    goes on with what was measured")
    left, _ = _with_time(run, began)
    folder.begin(msgspec.structs.replace(left, state=_state(error)))


def _state(error: BaseException) -> State:
    """'interrupted' where a person or the machine ended the run. A terminal that was closed may
    show in a write to it before its signal comes: that error names no file."""
    terminal = isinstance(error, OSError) and error.errno == errno.EIO and error.filename is None
    return "interrupted" if isinstance(error, KeyboardInterrupt) or terminal else "failed"
