"""Selects the targets of a run: those that the user named, or those that make sense here."""

from __future__ import annotations

import glob
import importlib.util
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from toolkit.engine import planning, variants
from toolkit.engine.assignment import Assignment
from toolkit.engine.setup import ReadyTarget
from toolkit.errors import InputError, ToolkitError
from toolkit.machine import describe as machines
from toolkit.machine.facts import Machine
from toolkit.onnxfiles import modelfile
from toolkit.records import privacy, schema
from toolkit.records.schema import Failure
from toolkit.runtimes import base, listing
from toolkit.runtimes.base import Provider, RuntimeFacts
from toolkit.runtimes.onnxruntime import OnnxRuntime
from toolkit.runtimes.target import Target, parse
from toolkit.runtimes.torch import Torch
from toolkit.workers import managed, recipes
from toolkit.workers.environments import OWN
from toolkit.workers.jobs import WorkerSpec
from toolkit.workers.recipes import Recipe

NO_RUNTIME = (
    "no onnxruntime is installed here, and no target was named",
    "python -m pip install onnxruntime        for the CPU",
    "python -m pip install onnxruntime-gpu    for NVIDIA GPUs; one of the two, never both",
)


def crossed(targets: Sequence[Target], threads: Sequence[int]) -> list[Target]:
    """Each target at each number of threads; one that names its own number, or that computes on a
    GPU, is there once.

    Raises InputError for more threads than cores, and where two targets become one.
    """
    at_all = [target for named in targets for target in _at(named, threads)]
    cores = len(os.sched_getaffinity(0))
    if large := [target for target in at_all if (target.threads or 1) > cores]:
        raise InputError(f"{large[0].name}: there are {cores} cores that are allowed here")
    return settled(at_all)


def _at(target: Target, threads: Sequence[int]) -> list[Target]:
    if len(threads) == 1 or target.threads or _provider(target).accelerator != "none":
        return [target]
    return [replace(target, threads=count) for count in threads]


def chosen(
    named: Sequence[Target], machine: Machine, *, source: bool, everything: bool
) -> list[Target]:
    """The targets of a run: those that were named, with `everything` also all that is installed,
    and where neither is given what makes sense here. `source`: a PyTorch source is known.

    Raises InputError where there are none.
    """
    if not everything:
        return settled(named or default(machine, source=source))
    first = settled(named)
    names = {target.name for target in first}
    installed = settled(all_installed(machine, source=source))
    targets = [*first, *(target for target in installed if target.name not in names)]
    if not targets:
        raise InputError(*NO_RUNTIME)
    return targets


def default(machine: Machine, *, source: bool) -> list[Target]:
    """ONNX Runtime's providers that this machine has, and PyTorch where its source is known.

    Raises InputError where there is nothing to run.
    """
    targets = []
    if importlib.util.find_spec("onnxruntime") is not None:
        for provider in usable(OnnxRuntime, machine):
            targets += [Target("onnxruntime", provider), Target("onnxruntime", provider, BOUND)]
    if source:
        targets += [Target("torch", provider) for provider in usable(Torch, machine)]
    if not targets:
        raise InputError(*NO_RUNTIME)
    return [replace(target, asked=False) for target in targets]


BOUND = {"io": "bound"}


def all_installed(machine: Machine, *, source: bool) -> list[Target]:
    """Every runtime that is installed, on the providers that may work here; torch, and what else
    starts from the PyTorch source, where that is known. None of them was named by the user."""
    targets = []
    for name in listing.BUILT_IN:
        runtime = listing.facts(listing.find(name))
        if runtime is None or (runtime.starts_from == "source" and not source):
            continue
        targets += [
            Target(name, provider, options, asked=False)
            for provider in usable(runtime, machine)
            if managed.is_installed(runtime, provider)
            for options in runtime.variants
        ]
    return targets


def usable(runtime: type[RuntimeFacts], machine: Machine) -> list[str]:
    """The providers of a runtime whose accelerator this machine has, as far as one can see."""
    return [p.name for p in base.providers(runtime) if _has_accelerator(machine, p)]


def _has_accelerator(machine: Machine, provider: Provider) -> bool:
    match provider.accelerator:
        case "nvidia":
            return bool(machine.gpus)
        case "gpu":
            return bool(machine.gpus) or machines.draws()
        case "other":
            return any(map(glob.glob, provider.device_files))
        case "none":
            return True


def _provider(target: Target) -> Provider:
    return listing.provider(listing.find(target.runtime), target.provider)


def missing(targets: Sequence[Target]) -> list[Recipe]:
    """The environments that `--install` makes for these targets, each once. One that names its own
    environment needs none."""
    absent = []
    for target in targets:
        runtime = listing.facts(listing.find(target.runtime))
        if runtime is None or not runtime.requirements or target.environment is not None:
            continue
        provider = target.provider or base.providers(runtime)[0].name
        if not managed.is_installed(runtime, provider, target.version):
            recipe = recipes.of(runtime, provider)
            absent.append(recipe.at(target.version) if target.version else recipe)
    return [*dict.fromkeys(absent)]


def settled(targets: Sequence[Target]) -> list[Target]:
    """The targets with their provider written out. Raises InputError where one is named twice."""
    whole = [replace(target, provider=target.provider or _first(target)) for target in targets]
    names = [target.name for target in whole]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(
            f"the target {twice[0]} is named twice",
            "an option that tells them apart makes two of them, such as io=bound",
        )
    return whole


def _first(target: Target) -> str:
    """The provider that a runtime takes where none is named."""
    return listing.provider(listing.find(target.runtime), "").name


def recorded(target: Target, threads: int = 1) -> schema.PlannedTarget:
    """A target as the plan shows it: the name of its environment, without the folder around it.

    `threads`: those of a target that names no number.
    """
    environment = target.environment
    return schema.PlannedTarget(
        name=target.name,
        label=target.label,
        runtime=target.runtime,
        provider=target.provider,
        options=dict(target.options),
        environment=OWN if environment is None else _last(environment),
        asked=target.asked,
        model=None if target.model is None else planning.model(modelfile.read(Path(target.model))),
        threads=target.threads or threads,
    )


def enter(index: int, target: Target, assignment: Assignment) -> ReadyTarget | Failure:
    """Makes a target ready to be started, or says why its environment or file cannot be used.

    `index`: that of the plan's target.
    """
    try:
        variant = None if target.model is None else variants.of(target.model, assignment)
        entry = listing.find(target.runtime)
        home = managed.home(entry, target.provider, target.version, target.environment)
    except ToolkitError as error:
        return Failure(verb="start", what=error.what, cures=list(error.cures))
    spec = WorkerSpec(entry, home, target.provider, target.options)
    program = variant.program if variant else assignment.program_of(target.runtime)
    program = replace(program, threads=target.threads or program.threads)
    return ReadyTarget(index, target.label, spec, program, variant)


def home_name(target: Target, ready_target: ReadyTarget) -> str:
    """The environment that was found for a target, as the plan shows it."""
    return (
        ready_target.spec.environment.name
        if target.environment is None
        else _last(target.environment)
    )


def _last(folder: str) -> str:
    """A folder's name without what it lies in."""
    return folder.rstrip("/").rsplit("/", 1)[-1]


def baseline(
    targets: Sequence[schema.PlannedTarget], asked: str | None, able: Sequence[int]
) -> int:
    """The index of what the others are compared with: what the user named, else PyTorch, else the
    first, among those that are `able`. Raises InputError for a name that no target has."""
    names = [target.name for target in targets]
    if asked is not None:
        words = {asked, privacy.target(_canonical(asked))}
        wanted = [i for i, t in enumerate(targets) if words & _known_as(t)]
        if not wanted:
            raise InputError(
                f"--baseline {asked}: no target of this run; there are: {', '.join(names)}"
            )
        return wanted[0]
    torch = [i for i in able if targets[i].runtime == "torch"]
    return next(iter([*torch, *able]), 0)


def _known_as(target: schema.PlannedTarget) -> set[str]:
    """The names by which a user may call it; of several numbers of threads the first has the plain
    name."""
    plain = re.sub(r",threads=\d+$", "", target.name)
    return {target.name, target.label, target.runtime, plain}


def _canonical(text: str) -> str:
    """A target's name, from the way it may be typed: 'onnxruntime,io=bound'. Other texts stay."""
    try:
        return settled([parse(text)])[0].name
    except InputError:
        return text
