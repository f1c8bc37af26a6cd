"""Makes the form of the model that a destination ships where that is not the .onnx itself (R8)."""

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


def convert(form: str, assignment: Assignment, work: Path) -> Path:
    """Returns the folder that the `convert` of a target filled, from the cache where it is kept.

    `form` is the target as it is typed: 'iree,processor=generic'. The conversion runs in a worker
    of that target. Raises EnvironmentFault where the runtime is not installed, TargetError where
    it cannot convert this model.
    """
    (target,) = selection.settled([parse(form)])
    facts = listing.facts(listing.find(target.runtime))
    if facts is not None and facts.starts_from == "source" and assignment.program.source is None:
        raise TargetError(
            f"{target.runtime} starts from the PyTorch source, which is not known",
            "--source FILE:FACTORY    names it",
        )
    ready_target = selection.enter(0, target, assignment)
    if isinstance(ready_target, Failure):
        raise EnvironmentFault(ready_target.what, *ready_target.cures)
    worker_code = environments.lay(work / "rooms", [listing.find(target.runtime)])
    feed = assignment.feeds[assignment.cases[0]].arrays
    with Worker(ready_target.spec, worker_code, patience=Patience()) as worker:
        worker.post_hello()
        hello = worker.hello()
        program, _ = conversion.converted(worker, hello, ready_target.program, feed)
    if program.converted is None:
        raise TargetError(f"{target.runtime} loads an .onnx as it is: there is no form to ship")
    return program.converted
