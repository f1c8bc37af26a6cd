"""Judges all targets of a run, one after the other, before anything is timed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Self

import msgspec

from toolkit.answers import dispute
from toolkit.answers.acceptance import FLOATS
from toolkit.answers.verdict import Limits
from toolkit.engine import judging, planning, saturation, selection, setup
from toolkit.engine.assignment import Assignment
from toolkit.engine.judging import Besides, JudgedTarget
from toolkit.engine.setup import ReadyTarget
from toolkit.errors import InputError, TargetError
from toolkit.onnxfiles import filestates
from toolkit.records import pairing
from toolkit.records.schema import Failure, PlannedTarget, Run, TargetRecord, Warning, WarningKind
from toolkit.runtimes.target import Target
from toolkit.workers.launch import Launcher, Worker

RELU = "Relu"
AHEAD = 2
"""Workers that are alive at once: the one that is judged, and one that imports its library."""


def judge_all(
    run: Run,
    assignment: Assignment,
    targets: Sequence[Target],
    launcher: Launcher,
    baseline: str | None,
    watch: Callable[[float, str], None],
    besides: Besides,
) -> tuple[Run, list[ReadyTarget]]:
    """The run with every target's verdict or error, and the targets that answered; `may_be_timed`
    of their records says which of them go on to be timed.

    `baseline` is the target that the user named for it; `watch` is told the share done and the
    target that is judged. The special values of Relu are also looked at where the model has one.
    Raises InputError for a baseline that is no target and for a file that
    changed, and RunError where a runtime is another one than in the run that goes on.
    """
    ready = [selection.enter(index, target, assignment) for index, target in enumerate(targets)]
    _demand_planned(run.plan.targets, ready)
    files = setup.files(assignment, ready)
    labels = [target.label for target in targets]
    judged: dict[int, JudgedTarget] = {}
    looks = replace(besides, relu=besides.relu or RELU in assignment.file.operators)
    with Prestarted(launcher) as prestarted:
        for index, target in enumerate(ready):
            watch(index / len(ready), labels[index])
            prestarted.start(ready[index : index + AHEAD])
            if isinstance(target, ReadyTarget):
                with filestates.unchanged(files):
                    judged[index] = prestarted.judge(target, assignment, run.plan.limits, looks)
    assignment.drop_files()  # They have the size of the model.
    records = [
        TargetRecord(target=index, failure=target)
        if isinstance(target, Failure)
        else _with_saturation(judged[index].record, target, assignment, run.machine.features)
        for index, target in enumerate(ready)
    ]
    warnings = disputes(judged, labels, assignment)
    fresh = msgspec.structs.replace(run, records=records, warnings=[*run.warnings, *warnings])
    planned = [
        _planned(run.plan.targets[index], target, ready[index], judged.get(index))
        for index, target in enumerate(targets)
    ]
    able = pairing.right_targets(fresh) or pairing.compared_targets(fresh) or range(len(targets))
    base = selection.baseline(planned, baseline, able)
    planning.check_versions(run, fresh)
    plan = msgspec.structs.replace(run.plan, targets=planned, baseline=base)
    return msgspec.structs.replace(fresh, plan=plan), _answered(ready, judged)


def _demand_planned(
    planned: Sequence[PlannedTarget], ready: Sequence[ReadyTarget | Failure]
) -> None:
    """Raises InputError for a target's own file that was another one when the plan was written."""
    for plan, target in zip(planned, ready, strict=True):
        variant = target.variant if isinstance(target, ReadyTarget) else None
        if variant and plan.model and variant.file.sha256 != plan.model.sha256:
            raise InputError(
                f"{variant.file.path} changed while the command ran, so no result is shown",
                filestates.CURE,
            )


def _with_saturation(
    record: TargetRecord,
    target: ReadyTarget,
    assignment: Assignment,
    features: Sequence[str] | None,
) -> TargetRecord:
    """The record with a warning where its products of bytes may have saturated."""
    more = saturation.warnings(target, record, assignment, features)
    return msgspec.structs.replace(record, warnings=[*record.warnings, *more])


def _planned(
    planned: PlannedTarget,
    target: Target,
    ready: ReadyTarget | Failure,
    judged: JudgedTarget | None,
) -> PlannedTarget:
    """The target of the plan with what is known since its worker has run."""
    if judged is None or isinstance(ready, Failure):
        return planned
    home = selection.home_name(target, ready)
    return msgspec.structs.replace(planned, copies_inside=judged.copies, environment=home)


def _answered(
    ready: Sequence[ReadyTarget | Failure], judged: Mapping[int, JudgedTarget]
) -> list[ReadyTarget]:
    """The targets with a verdict, with the program that they loaded and the memory they held."""
    return [
        replace(target, program=done.program, resident=done.resident, cost=done.cost)
        for target in ready
        if not isinstance(target, Failure)
        if (done := judged[target.index]).record.failure is None
    ]


class Prestarted:
    """Workers that import their library while another target is judged: some take seconds."""

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher
        self._running: dict[int, Worker] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self._running.values():
            worker.stop()

    def start(self, targets: Sequence[ReadyTarget | Failure]) -> None:
        """Starts each one's worker, once."""
        for target in targets:
            if isinstance(target, Failure) or target.index in self._running:
                continue
            # One that does not start tells its error when it is judged.
            with contextlib.suppress(TargetError):
                self._running[target.index] = self._launcher.start_importing(target.spec)

    def judge(
        self, target: ReadyTarget, assignment: Assignment, limits: Limits, besides: Besides
    ) -> JudgedTarget:
        """Judges one with the worker that was started, if one was, and stops it."""
        worker = self._running.pop(target.index, None)
        return judging.judge(target, assignment, limits, self._launcher, worker, besides)


def disputes(
    judged: Mapping[int, JudgedTarget], labels: Sequence[str], assignment: Assignment
) -> list[Warning]:
    """Warnings where the oracle may be what is wrong, by witnesses that do not ask it (dispute.py).

    `judged`: the index of a target, also into `labels`, → its verdict.
    """
    reasons = [assignment.disputed] if assignment.disputed else []
    reasons += [
        f"{labels[first]} and {labels[second]} agree with each other, and not with it"
        for first, second in _agreeing(judged, assignment)
    ]
    origin = assignment.judge.origin
    return [Warning(kind=WarningKind.DISPUTED, detail=f"{origin}: {reason}") for reason in reasons]


def _agreeing(judged: Mapping[int, JudgedTarget], assignment: Assignment) -> list[tuple[int, int]]:
    """Pairs of targets that agree beyond the border, where no third library agrees with the
    oracle (dispute.py, D2)."""
    floats = [spec.name for spec in assignment.file.outputs if spec.type in FLOATS]
    noise = {name: assignment.judge.noise(name) for name in floats}
    if not floats or not all(noise.values()):
        return []
    libraries = {
        index: target.record.library.runtime
        for index, target in judged.items()
        if target.record.library
    }
    beyond = {
        index: (library, judged[index].answers)
        for index, library in libraries.items()
        if judged[index].answers
    }
    agreeing = {library for index, library in libraries.items() if judged[index].record.agrees}
    # What made the oracle is no witness for it.
    own = "torch" if assignment.program.source is not None else "reference"
    return [
        (first, second)
        for first, second in dispute.agreeing(floats, noise, beyond)
        if not agreeing - {libraries[first], libraries[second], own}
    ]
