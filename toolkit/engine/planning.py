"""What a run sets out to do, as a record; and whether an unfinished one can go on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

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
from toolkit.records.schema import Case, Model, Plan, PlannedTarget, Run, Tensor
from toolkit.runtimes import listing
from toolkit.sources import factory
from toolkit.tensors import Feed, TensorSpec
from toolkit.units import Bytes


@dataclass(frozen=True)
class PlanOptions:
    """What the user decides besides targets and feeds."""

    pace: Pace
    limits: Limits
    threads: int
    seed: int
    timeout: float


def plan(
    assignment: Assignment, targets: Sequence[PlannedTarget], baseline: int, options: PlanOptions
) -> Plan:
    """The plan, whole before anything is measured."""
    source = assignment.program.source
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
        source_sha256=None if source is None else factory.digest(source),
        timeout=options.timeout,
        rounds=schedule.rounds(
            pinned=all(target.threads == 1 for target in targets),
            compiling=any(map(_compiles_while_running, targets)),
        ),
        quick=options.pace.quick,
    )


def _compiles_while_running(target: PlannedTarget) -> bool:
    return listing.provider(listing.find(target.runtime), target.provider).compiles_while_running


def model(file: ModelFile) -> Model:
    """The facts of the file as a record has them."""
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
    names = [assignment.feeds[place].name for place in assignment.cases]
    found = []
    for place, name in zip(assignment.cases, names, strict=True):
        feed = assignment.feeds[place]
        single = names.count(name) == 1
        found.append(
            Case(
                name=name if single else f"{name}, feed {place + 1}",
                dims=dict(feed.dims),
                shapes=feed.shapes,
                origin=feed.origin,
                bytes_in=feed.size,
                bytes_out=_bytes_out(assignment, place),
                sha256=_digest(feed.arrays),
            )
        )
    return found


def _digest(arrays: Feed) -> str:
    digest = hashlib.sha256()
    for name, array in arrays.items():
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _bytes_out(assignment: Assignment, place: int) -> Bytes:
    right = assignment.judge.oracle[place]
    return sum(
        int(np.size(right[spec.name])) * tensors.dtype_of(spec.type).itemsize
        for spec in assignment.file.outputs
    )


def _tensor(spec: TensorSpec) -> Tensor:
    shape = None if spec.shape is None else list(spec.shape)
    return Tensor(name=spec.name, type=spec.type, shape=shape)


def check_same(old: Run, new: Plan, machine: Machine) -> None:
    """Raises RunError, naming the first difference, where an unfinished run cannot go on."""
    was = old.plan
    differences = {
        "toolkit": (old.toolkit, __version__),
        "machine": (old.machine.identity, machine.identity),
        "model": (was.model.sha256[:12], new.model.sha256[:12]),
        "targets": (_names(was), _names(new)),
        "files": (_files(was), _files(new)),
        "seed": (str(was.seed), str(new.seed)),
        "threads": (str(was.threads), str(new.threads)),
        "feed": (_feeds(was), _feeds(new)),
        "source": (_source(was), _source(new)),
        "limits": (str(was.limits), str(new.limits)),
    }
    for what, (before, now) in differences.items():
        if before != now:
            raise RunError(
                f"this run cannot go on: its {what} was {before}, now it is {now}",
                "toolkit bench    starts a new one",
            )


def paced(old: Plan, new: Plan) -> Plan:
    """The plan of a run that goes on: how long it may take is as it is asked for now."""
    return msgspec.structs.replace(
        old,
        precision=new.precision,
        time=new.time,
        looks=new.looks,
        alpha=new.alpha,
        quick=new.quick,
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


def _files(plan: Plan) -> str:
    """The other files of the model that targets run."""
    own = [target.model for target in plan.targets if target.model is not None]
    return ", ".join(f"{model.name} ({model.sha256[:12]})" for model in own) or "none"


def _names(plan: Plan) -> str:
    return ", ".join(target.name for target in plan.targets)
