"""Which targets a run has: those that the user named, or those that make sense here."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import replace

from toolkit.engine.circuit import Entrant
from toolkit.errors import InputError, ToolkitError
from toolkit.records import schema
from toolkit.records.schema import Failure, Machine
from toolkit.runtimes import listing
from toolkit.runtimes.base import Program
from toolkit.runtimes.target import Target, parse
from toolkit.workers import environments
from toolkit.workers.environments import OWN
from toolkit.workers.jobs import Job

NO_RUNTIME = (
    "no onnxruntime is installed here, and no target was named",
    "python -m pip install onnxruntime        for the CPU",
    "python -m pip install onnxruntime-gpu    for NVIDIA GPUs; one of the two, never both",
)


def default(machine: Machine, *, source: bool) -> list[Target]:
    """ONNX Runtime's providers that this machine has, and PyTorch where its source is known.

    Raises InputError where there is nothing to run.
    """
    providers = ["cpu", *(["cuda"] if machine.gpus else [])]
    found = []
    if importlib.util.find_spec("onnxruntime") is not None:
        for provider in providers:
            found += [Target("onnxruntime", provider), Target("onnxruntime", provider, BOUND)]
    if source:
        found += [Target("torch", provider) for provider in providers]
    if not found:
        raise InputError(*NO_RUNTIME)
    return [replace(target, asked=False) for target in found]


BOUND = {"io": "bound"}


def settled(targets: Sequence[Target]) -> list[Target]:
    """The targets with their provider written out. Raises InputError where one is named twice."""
    found = [replace(target, provider=target.provider or _first(target)) for target in targets]
    names = [target.name for target in found]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(
            f"the target {twice[0]} is named twice",
            "an option that tells them apart makes two of them, such as io=bound",
        )
    return found


def _first(target: Target) -> str:
    """The provider that a runtime takes where none is named."""
    runtime = listing.facts(listing.find(target.runtime))
    return runtime.providers[0] if runtime else "cpu"


def recorded(target: Target) -> schema.Target:
    """A target as the plan shows it: the name of its environment, without the folder around it."""
    environment = target.environment
    return schema.Target(
        name=target.name,
        label=target.label,
        runtime=target.runtime,
        provider=target.provider,
        options=dict(target.options),
        environment=OWN if environment is None else environment.rstrip("/").rsplit("/", 1)[-1],
        asked=target.asked,
    )


def enter(index: int, target: Target, program: Program) -> Entrant | Failure:
    """The target ready to be started, or why its environment cannot carry it."""
    try:
        listed = listing.find(target.runtime)
        environment = environments.of(listed, target.environment)
    except ToolkitError as error:
        return Failure(verb="start", what=error.what, cures=list(error.cures))
    job = Job(listed, environment, target.provider, target.options)
    return Entrant(index, target.label, job, program)


def baseline(targets: Sequence[schema.Target], asked: str | None, able: Sequence[int]) -> int:
    """The index of what the others are compared with: what the user named, else PyTorch, else the
    first, among those that are `able`. Raises InputError for a name that no target has."""
    names = [target.name for target in targets]
    if asked is not None:
        words = {asked, _canonical(asked)}
        wanted = [i for i, t in enumerate(targets) if words & {t.name, t.label, t.runtime}]
        if not wanted:
            raise InputError(
                f"--baseline {asked}: no target of this run; there are: {', '.join(names)}"
            )
        return wanted[0]
    torch = [i for i in able if targets[i].runtime == "torch"]
    return next(iter([*torch, *able]), 0)


def _canonical(text: str) -> str:
    """A target's name from how it may be typed: 'onnxruntime,io=bound'. Other texts stay."""
    try:
        return settled([parse(text)])[0].name
    except InputError:
        return text
