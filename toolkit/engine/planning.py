"""Writes the plan of a run into its record, and decides whether an unfinished run can go on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
import numpy as np

from toolkit import __version__, tensors
from toolkit.answers.verdict import Limits
from toolkit.engine.assignment import Assignment
from toolkit.errors import RunError
from toolkit.machine.facts import Machine
from toolkit.measure import schedule
from toolkit.measure.schedule import Pace
from toolkit.onnxfiles.modelfile import ModelFile
from toolkit.records.parts import GenerationPart
from toolkit.records.schema import (
    VERSION,
    Case,
    Model,
    Plan,
    PlannedTarget,
    Run,
    Tensor,
    Warning,
    WarningKind,
)
from toolkit.runtimes import listing
from toolkit.sources import factory
from toolkit.sources.source import Source
from toolkit.tensors import Feed, TensorSpec
from toolkit.units import Bytes, Seconds


@dataclass(frozen=True)
class PlanOptions:
    """The options that the user decides, besides targets and feeds."""

    pace: Pace
    limits: Limits
    threads: int
    """The threads of a target that names no number of its own."""
    seed: int
    timeout: Seconds
    """The time that a verb of a worker may take."""
    latency_limit: Seconds | None = None
    """The p50 that a target may have at most to be chosen."""
    price: float | None = None
    """What an hour of this machine costs."""


def new_run(plan: Plan, machine: Machine, command: Sequence[str]) -> Run:
    """The record of a run that begins now: its whole plan, and nothing measured."""
    return Run(
        version=VERSION,
        toolkit=__version__,
        state="running",
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        command=list(command),
        plan=plan,
        machine=machine,
        records=[],
        generations=[],
    )


def resumed(old: Run, parts: Sequence[GenerationPart], plan: Plan, machine: Machine) -> Run:
    """The record of an unfinished run that goes on; how long it may take is as it is asked for now.

    `parts` are the generations that it has. Raises RunError, naming the first difference, where it
    cannot go on.
    """
    check_same(old, plan, machine)
    before = [warning for warning in old.warnings if warning.kind is WarningKind.RESUMED]
    going_on = msgspec.structs.replace(
        old.plan,
        precision=plan.precision,
        time=plan.time,
        looks=plan.looks,
        alpha=plan.alpha,
        quick=plan.quick,
        latency_limit=plan.latency_limit,
        price=plan.price,
    )
    return msgspec.structs.replace(
        old,
        state="running",
        plan=going_on,
        warnings=[*before, _resumed_now(len(parts))],
        # A run that was killed could not write how long it had taken; its generations tell.
        seconds=max([old.seconds, *(part.seconds for part in parts)]),
    )


def _resumed_now(starts: int) -> Warning:
    noun = "process start" if starts == 1 else "process starts"
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Warning(kind=WarningKind.RESUMED, detail=f"after {starts} {noun}, at {now}")


def plan(
    assignment: Assignment, targets: Sequence[PlannedTarget], baseline: int, options: PlanOptions
) -> Plan:
    """The plan of a run, whole before anything is measured; `baseline`: an index into `targets`."""
    source = assignment.program.source
    files = {} if source is None else factory.digests(source)
    return Plan(
        model=model(assignment.file),
        targets=list(targets),
        baseline=baseline,
        cases=cases(assignment),
        seed=options.seed,
        threads=options.threads,
        precision=options.pace.precision,
        time=options.pace.time,
        looks=list(options.pace.looks),
        alpha=options.pace.alpha,
        limits=options.limits,
        source=None if source is None else source.name,
        source_sha256=None if source is None else factory.joined(files),
        source_files=files,
        timeout=options.timeout,
        rounds=schedule.rounds(
            pinned=all(target.threads == 1 for target in targets),
            compiling=any(map(_compiles_while_running, targets)),
        ),
        quick=options.pace.quick,
        latency_limit=options.latency_limit,
        price=options.price,
    )


def _compiles_while_running(target: PlannedTarget) -> bool:
    return listing.provider(listing.find(target.runtime), target.provider).compiles_while_running


def model(file: ModelFile) -> Model:
    """The facts of the file as a record holds them."""
    return Model(
        name=file.name,
        sha256=file.sha256,
        size=file.size,
        opset=file.opset,
        ir_version=file.ir_version,
        producer=file.producer,
        operators=dict(file.operators),
        inputs=[_tensor(spec) for spec in file.inputs],
        outputs=[_tensor(spec) for spec in file.outputs],
        metadata=dict(file.metadata),
        parameters=file.parameters,
    )


def cases(assignment: Assignment) -> list[Case]:
    """The feeds that are timed; two of the same sizes are told apart by their number."""
    names = [assignment.feeds[number].name for number in assignment.cases]
    return [_case(assignment, number, names) for number in assignment.cases]


def _case(assignment: Assignment, number: int, names: Sequence[str]) -> Case:
    feed = assignment.feeds[number]
    is_single = names.count(feed.name) == 1
    return Case(
        name=feed.name if is_single else f"{feed.name}, feed {number + 1}",
        dims=dict(feed.dims),
        shapes=feed.shapes,
        origin=feed.origin,
        bytes_in=feed.size,
        bytes_out=_bytes_out(assignment, number),
        sha256=_digest(feed.arrays),
    )


def _digest(arrays: Feed) -> str:
    """A digest of names, types, shapes and values."""
    digest = hashlib.sha256()
    for name, array in arrays.items():
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _bytes_out(assignment: Assignment, number: int) -> Bytes:
    """The size of a feed's outputs in the file's own types."""
    right = assignment.judge.oracle[number]
    return sum(
        int(np.size(right[spec.name])) * tensors.dtype_of(spec.type).itemsize
        for spec in assignment.file.outputs
    )


def _tensor(spec: TensorSpec) -> Tensor:
    shape = None if spec.shape is None else list(spec.shape)
    return Tensor(name=spec.name, type=spec.type, shape=shape)


def _processors(before: Machine, now: Machine) -> tuple[str, str]:
    """The features of both processors; nothing where an older record does not tell them."""
    if before.features is None or now.features is None:
        return "", ""
    return " ".join(before.features), " ".join(now.features)


def check_before(
    old: Run,
    file: ModelFile,
    targets: Sequence[PlannedTarget],
    source: Source | None,
    options: PlanOptions,
    machine: Machine,
) -> None:
    """Raises RunError, naming the first difference, where it can be seen without running anything
    that an unfinished run cannot go on: before code is imported and a worker is started.

    `source` is the one that the user names now; None: the model tells its own, or there is none.
    """
    was = old.plan
    _demand_equal(
        {
            **_makers(old, machine),
            "model": (was.model.sha256[:12], file.sha256[:12]),
            "targets": (_names(was.targets), _names(targets)),
            "files": (_files(was.targets), _files(targets)),
            **_settings(was, options.seed, options.threads, options.limits),
        }
    )
    if source is None:
        return
    _demand_equal({"source": (str(was.source), source.name)})
    if name := factory.changed(source, was.source_files):
        _demand_equal({"source": (f"another {name}", "changed")})


def check_same(old: Run, new: Plan, machine: Machine) -> None:
    """Raises RunError, naming the first difference, where an unfinished run cannot go on."""
    was = old.plan
    _demand_equal(
        {
            **_makers(old, machine),
            "model": (was.model.sha256[:12], new.model.sha256[:12]),
            "targets": (_names(was.targets), _names(new.targets)),
            "files": (_files(was.targets), _files(new.targets)),
            **_settings(was, new.seed, new.threads, new.limits),
            "feed": (_feeds(was), _feeds(new)),
            "source": (_source(was), _source(new)),
        }
    )


Sides = dict[str, tuple[str, str]]
"""What is compared → how it was, and how it is now."""


def _makers(old: Run, machine: Machine) -> Sides:
    return {
        "toolkit": (old.toolkit, __version__),
        "machine": (old.machine.identity, machine.identity),
        "processor": _processors(old.machine, machine),
    }


def _settings(was: Plan, seed: int, threads: int, limits: Limits) -> Sides:
    return {
        "seed": (str(was.seed), str(seed)),
        "threads": (str(was.threads), str(threads)),
        "limits": (str(was.limits), str(limits)),
    }


def _demand_equal(sides: Sides) -> None:
    for what, (before, now) in sides.items():
        if before != now:
            raise RunError(
                f"this run cannot go on: its {what} was {before}, now it is {now}",
                "toolkit bench    starts a new one",
            )


def check_versions(old: Run, new: Run) -> None:
    """Raises RunError where a runtime is another one than in the run that is to go on."""
    before = {record.target: record.library for record in old.records if record.library}
    for record in new.records:
        was = before.get(record.target)
        if was is not None and record.library is not None and was != record.library:
            raise RunError(
                f"this run cannot go on: {was.runtime} was {was.version}, "
                f"now it is {record.library.version}"
            )


def _source(plan: Plan) -> str:
    return f"{plan.source} ({(plan.source_sha256 or '')[:8]})"


def _feeds(plan: Plan) -> str:
    return ", ".join(f"{case.name} ({case.sha256[:8]})" for case in plan.cases)


def _files(targets: Sequence[PlannedTarget]) -> str:
    """The other files of the model that targets run."""
    own = [target.model for target in targets if target.model is not None]
    return ", ".join(f"{model.name} ({model.sha256[:12]})" for model in own) or "none"


def _names(targets: Sequence[PlannedTarget]) -> str:
    return ", ".join(target.name for target in targets)
