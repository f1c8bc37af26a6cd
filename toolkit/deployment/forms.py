"""The form of the model that a destination takes, where that is not the .onnx itself (R8)."""

from __future__ import annotations

from pathlib import Path

from toolkit.engine import conversion, selection
from toolkit.engine.assignment import Assignment
from toolkit.errors import EnvironmentFault, TargetError
from toolkit.records.schema import Failure
from toolkit.runtimes import listing
from toolkit.runtimes.target import parse
from toolkit.workers import environments
from toolkit.workers.jobs import Patience
from toolkit.workers.launch import Worker


def made(form: str, asked: Assignment, work: Path) -> Path:
    """The folder that the `convert` of the target `form` filled, from the cache where it is there.

    Raises EnvironmentFault where the runtime is not here, TargetError where it cannot convert.
    """
    (target,) = selection.settled([parse(form)])
    facts = listing.facts(listing.find(target.runtime))
    if facts is not None and facts.starts_from == "source" and asked.program.source is None:
        raise TargetError(
            f"{target.runtime} starts from the PyTorch source, which is not known",
            "--source FILE:FACTORY    names it",
        )
    ready_target = selection.enter(0, target, asked)
    if isinstance(ready_target, Failure):
        raise EnvironmentFault(ready_target.what, *ready_target.cures)
    worker_code = environments.lay(work / "rooms", [listing.find(target.runtime)])
    first = asked.feeds[asked.cases[0]].arrays
    with Worker(ready_target.spec, worker_code, patience=Patience()) as worker:
        worker.post_hello()
        hello = worker.hello()
        ready, _ = conversion.converted(worker, hello, ready_target.program, first)
    if ready.converted is None:
        raise TargetError(f"{target.runtime} makes no form of its own of a model")
    return ready.converted
