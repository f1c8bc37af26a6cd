"""Builds the judge of all targets from a model and what is right for its feeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from onnx import ModelProto

from toolkit.answers import dispute, intermediates, simulate
from toolkit.answers.acceptance import FLOATS
from toolkit.answers.judge import Judge, Simulation
from toolkit.answers.simulate import Runner
from toolkit.errors import InputError
from toolkit.onnxfiles.modelfile import ModelFile
from toolkit.oracle import oracles, portable
from toolkit.oracle.oracles import Expected, Oracle
from toolkit.oracle.portable import Unsupported
from toolkit.tensors import Array, Feed


@dataclass(frozen=True)
class JudgedFeed:
    """A feed with what is right for it. Outputs have the file's names, in the file's order."""

    arrays: Feed
    right: Mapping[str, Array]
    """The oracle's outputs, in float64."""
    plain: Mapping[str, Array] | None
    """The outputs of the oracle's own evaluator in float32; None where it has no such evaluation.
    They show the noise of float32."""


@dataclass(frozen=True)
class JudgeBuild:
    """A judge and what came with it."""

    judge: Judge
    exposed: ModelProto | None
    """The model with its intermediate outputs as further ones; None where there are none."""
    notes: tuple[str, ...]
    """The things that could not be done, in words."""
    disputed: str
    """The reason why the oracle may be what is wrong; empty: nothing speaks for it."""


def judged_feed(file: ModelFile, oracle: Oracle, expected: Expected) -> JudgedFeed:
    """The feed with the oracle's outputs under the file's names.

    Raises InputError where the oracle has another number of outputs than the file.
    """
    arrays = expected.feed.arrays
    plain = oracle.in_float32(arrays)
    return JudgedFeed(
        arrays,
        by_file_names(file, expected.outputs),
        None if plain is None else by_file_names(file, plain),
    )


def by_file_names(file: ModelFile, outputs: Mapping[str, Array]) -> dict[str, Array]:
    """An oracle's outputs under the names of the file's.

    They are matched by name where both have the same names. Else they are matched in order: a file
    may not call an output as an input, and another tool names them as it likes. Raises InputError
    where their numbers differ.
    """
    names = [spec.name for spec in file.outputs]
    if len(names) != len(outputs):
        raise InputError(
            f"the outputs of {file.name} are {', '.join(names)}; "
            f"those of its PyTorch module are {', '.join(outputs)}",
            "--source names the module that the file was made from",
        )
    if set(names) == set(outputs):
        return {name: outputs[name] for name in names}
    return dict(zip(names, outputs.values(), strict=True))


def build(
    file: ModelFile,
    model: ModelProto,
    feeds: Sequence[JudgedFeed],
    *,
    origin: str,
    runner: Runner,
    bare: bool = False,
) -> JudgeBuild:
    """Simulates the model in every format on these feeds and builds its judge.

    `origin` is the oracle, in words. A `bare` file has no other oracle than itself: there the plain
    float32 evaluation of the oracle's stands beside the runner's, unless the two read the file
    differently. Where the oracle is the PyTorch module, its evaluation replaces the runner's: a
    file that is another function must not set its own noise.
    """
    hidden = intermediates.find(model)
    exposed = intermediates.exposed(model, hidden) if hidden.tensors() else None
    notes: list[str] = []
    arrays = [feed.arrays for feed in feeds]
    inner = _inner(exposed, arrays, notes) if exposed else [{} for _ in feeds]
    simulated = _simulated(exposed or model, arrays, runner, notes)
    disputed = _disputed(file, feeds, simulated) if bare else ""
    judge = Judge(
        outputs=file.outputs,
        oracle=[{**values, **feed.right} for values, feed in zip(inner, feeds, strict=True)],
        simulated=_with_plain(simulated, feeds, beside=bare and not disputed),
        origin=origin,
        choices=hidden.choices,
        saturated=hidden.saturated,
    )
    return JudgeBuild(judge, exposed, tuple(notes), disputed)


def _with_plain(
    simulations: Sequence[Simulation], feeds: Sequence[JudgedFeed], *, beside: bool
) -> tuple[Simulation, ...]:
    """The simulations with the oracle's own float32 evaluation, where all feeds have one: beside
    the runner's or in its place."""
    plain = [feed.plain for feed in feeds if feed.plain is not None]
    if len(plain) < len(feeds):
        return tuple(simulations)
    result: list[Simulation] = []
    for simulation in simulations:
        if simulation.precision != "float32":
            result.append(simulation)
            continue
        # What lies behind the outputs only the runner has.
        outputs = [{**ran, **own} for ran, own in zip(simulation.outputs, plain, strict=True)]
        result.append(replace(simulation, form="the oracle in float32", outputs=outputs))
        result += [simulation] if beside else []
    return tuple(result)


def _disputed(
    file: ModelFile, feeds: Sequence[JudgedFeed], simulations: Sequence[Simulation]
) -> str:
    """Tells in words the outputs at which the runner reads the file otherwise than the oracle; ''
    where it reads all alike (dispute.py, D1)."""
    plain = [feed.plain for feed in feeds if feed.plain is not None]
    ran = [form.outputs for form in simulations if form.precision == "float32"]
    if len(plain) < len(feeds) or not ran:
        return ""
    outputs = dispute.misread(
        [spec.name for spec in file.outputs if spec.type in FLOATS],
        [feed.right for feed in feeds],
        plain,
        ran[0],
        [form.outputs for form in simulations if form.precision == "bfloat16"],
    )
    return f"onnxruntime without optimisations differs from it in {outputs}" if outputs else ""


def _inner(
    exposed: ModelProto, feeds: Sequence[Feed], notes: list[str]
) -> Sequence[dict[str, Array]]:
    """The intermediate outputs in float64; nothing where the evaluator cannot do the model."""
    try:
        oracle = oracles.of_model(exposed)
        return [oracle.answer(feed) for feed in feeds]
    except Unsupported as error:
        notes.append(f"not looked at behind the outputs: {error.what}")
        return [{} for _ in feeds]


def _simulated(
    model: ModelProto, feeds: Sequence[Feed], runner: Runner, notes: list[str]
) -> tuple[Simulation, ...]:
    """Simulates the portable form, where the file has one: old opsets lack what int8 needs."""
    try:
        model = portable.portable(model)
    except Unsupported as error:
        notes.append(error.what)
    simulations = simulate.simulate(model, feeds, runner)
    notes.extend(f"not simulated: {left}" for left in simulations.left_out)
    return simulations.made
