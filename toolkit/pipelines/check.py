"""Model → assignment → every target's verdict. Nothing is timed."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec

from toolkit.data import opening
from toolkit.deployment import verifying
from toolkit.deployment.verifying import Trusted, Verified
from toolkit.engine import datapass, planning, selection
from toolkit.engine import setup as setups
from toolkit.engine.judging import Besides
from toolkit.engine.verdicts import judge_all
from toolkit.errors import InputError
from toolkit.machine import describe, facts
from toolkit.onnxfiles import modelfile, referencefile
from toolkit.onnxfiles.modelfile import Opened
from toolkit.pipelines.bench import ask, planned
from toolkit.pipelines.request import REFERENCE, BenchRequest, FinishedRun, Watch, as_request
from toolkit.runtimes import listing
from toolkit.runtimes.target import Target
from toolkit.supervision import progress
from toolkit.units import Seconds
from toolkit.workers import environments
from toolkit.workers.launch import Launcher


def check(
    model: str | Path = REFERENCE,
    order: BenchRequest | Sequence[str] = (),
    *,
    verify: Trusted | Verified | None = None,
    watch: Watch = lambda step, share, text: None,
) -> FinishedRun:
    """Judges a model's answers on targets. The record has verdicts and special values, no times.

    `model` is an .onnx file, or a folder with one, as `deploy` makes it. `order` is a BenchRequest,
    or the targets as they are typed. `verify` says whose signature the model must have before
    anything of it is read, or is what `signature` gave for it. Raises ToolkitError where nothing
    can be judged; a target that fails is a row with its error.
    """
    request, path = as_request(order), Path(model)
    verified = signature(path, verify, request.deadline) if isinstance(verify, Trusted) else verify
    machine = describe.describe()
    file = verifying.model_of(path) if verified is None else verified.model
    if file is None:
        raise InputError(f"{model} is a folder, not an .onnx file")
    with progress.bounded(request.deadline):
        opened = modelfile.open_once(file)
    if verified is not None:
        verified.demand_covers(opened.facts.states)
    targets = _targets(opened, request)
    examples = None if request.data is None else opening.opened(opened, request.data)
    with tempfile.TemporaryDirectory(prefix="toolkit-") as work:
        worker_code = environments.lay(
            Path(work) / "rooms", [listing.find(target.runtime) for target in targets]
        )
        launcher = Launcher(worker_code, request.patience)
        watch("ask", None, "finding out what is right")
        assignment = ask(opened, request, launcher)
        plan = planned(assignment, targets, request)
        shown = facts.anonymous(machine) if request.anonymous else machine
        run = planning.new_run(plan, shown, request.command)
        judged, able = judge_all(
            run,
            assignment,
            targets,
            launcher,
            request.baseline,
            partial(watch, "judge"),
            Besides(relu=request.relu),
        )
        if request.data is not None and examples is not None:
            setup = setups.of_run(judged, assignment, able, launcher)
            judged = datapass.measure(
                judged, setup, assignment, examples, request.data, opened.model,
                partial(watch, "data"), anonymous=request.anonymous,
            )  # fmt: skip
    done = msgspec.structs.replace(judged, state="done")
    return FinishedRun(None, done, assignment.notes, assignment.held, verified)


def signature(model: Path, trusted: Trusted, deadline: Seconds | None = None) -> Verified:
    """Verifies the signature of a model file, or of a folder, before anything else reads it.

    `deadline` is the limit of the time for that. Raises InputError where a file was changed, added
    or removed, or the signature is not that of the key or identity.
    """
    with progress.bounded(deadline):
        return verifying.verified(model, trusted)


def _targets(opened: Opened, request: BenchRequest) -> list[Target]:
    """The named targets, else those that are here; each at each number of threads."""
    is_known = request.source is not None or referencefile.matches(opened)
    named = selection.settled(request.targets or _default(source=is_known))
    return selection.crossed(named, request.threads)


def _default(*, source: bool) -> list[Target]:
    """The runtimes in this environment: ONNX Runtime, PyTorch where its source is known, and the
    reference evaluator, which is always there."""
    names = ["onnxruntime"] if importlib.util.find_spec("onnxruntime") is not None else []
    names += ["torch"] if source else []
    return [Target(name, "cpu", asked=False) for name in [*names, "reference"]]
