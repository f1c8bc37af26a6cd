"""From a model and what is right for its feeds to the judge of all its targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from onnx import ModelProto

from toolkit.answers import dispute, intermediates, simulate
from toolkit.answers.acceptance import FLOATS
from toolkit.answers.judge import Judge, Simulation
from toolkit.answers.simulate import Runner
from toolkit.onnxfiles.modelfile import ModelFile
from toolkit.oracle import oracles, portable
from toolkit.oracle.portable import Unsupported
from toolkit.tensors import Array, Feed


@dataclass(frozen=True)
class JudgeBuild:
    """A judge and what came with it."""

    judge: Judge
    exposed: ModelProto | None
    """The model with its taps as further outputs; None where there are none."""
    notes: tuple[str, ...]
    """What could not be done, in words."""
    disputed: str
    """Why the oracle may be what is wrong; empty: nothing speaks for it."""


def build(
    file: ModelFile,
    model: ModelProto,
    feeds: Sequence[Feed],
    truth: Sequence[Sequence[Array]],
    *,
    origin: str,
    runner: Runner,
    plain: Sequence[Mapping[str, Array] | None] = (),
    bare: bool = False,
) -> JudgeBuild:
    """`truth` holds the oracle's outputs for each feed, in the order of the file's: by place, since
    a file renames an output that has the name of an input. `origin` is the oracle, in words.

    `plain` holds what the oracle's own evaluator gives in float32. Where that is the PyTorch module
    it replaces the plain evaluation of the file: a file that is another function must not set its
    own noise. That of a `bare` file stands beside the runner's, unless they read it differently.
    """
    hidden, notes = intermediates.find(model), list[str]()
    exposed = intermediates.exposed(model, hidden) if hidden.tensors() else None
    behind = _behind(exposed, feeds, notes) if exposed else [{} for _ in feeds]
    names = [spec.name for spec in file.outputs]
    simulated = _simulated(exposed or model, feeds, runner, notes)
    disputed = _disputed(file, truth, plain, simulated) if bare else ""
    judge = Judge(
        outputs=file.outputs,
        oracle=[
            {**inner, **dict(zip(names, outputs, strict=True))}
            for inner, outputs in zip(behind, truth, strict=True)
        ],
        simulated=_with_plain(simulated, names, plain, beside=bare and not disputed),
        origin=origin,
        choices=hidden.choices,
        saturated=hidden.saturated,
    )
    return JudgeBuild(judge, exposed, tuple(notes), disputed)


def _with_plain(
    simulated: Sequence[Simulation],
    names: Sequence[str],
    plain: Sequence[Mapping[str, Array] | None],
    *,
    beside: bool,
) -> tuple[Simulation, ...]:
    """The simulations with the oracle's own plain evaluation, where there is one, beside the
    runner's or in its place."""
    found: list[Simulation] = []
    for form in simulated:
        known = [outputs for outputs in plain if outputs is not None]
        if form.precision != "float32" or len(known) != len(form.outputs):
            found.append(form)
            continue
        outputs = tuple(
            {**mine, **dict(zip(names, theirs.values(), strict=True))}
            for mine, theirs in zip(form.outputs, known, strict=True)
        )
        own = replace(form, form="the oracle in float32", outputs=outputs)
        found += [own, form] if beside else [own]
    return tuple(found)


def _disputed(
    file: ModelFile,
    truth: Sequence[Sequence[Array]],
    plain: Sequence[Mapping[str, Array] | None],
    simulated: Sequence[Simulation],
) -> str:
    """Whether the runner reads the file otherwise than the oracle (dispute.py, D1)."""
    names = [spec.name for spec in file.outputs]
    floats = [spec.name for spec in file.outputs if spec.type in FLOATS]
    known = [dict(zip(names, p.values(), strict=True)) for p in plain if p is not None]
    other = [form.outputs for form in simulated if form.precision == "float32"]
    rounded = [form.outputs for form in simulated if form.precision == "bfloat16"]
    if len(known) != len(truth) or not other:
        return ""
    oracle = [dict(zip(names, outputs, strict=True)) for outputs in truth]
    found = dispute.misread(floats, oracle, known, other[0], rounded)
    return f"onnxruntime without optimisations differs from it in {found}" if found else ""


def _behind(
    exposed: ModelProto, feeds: Sequence[Feed], notes: list[str]
) -> Sequence[dict[str, Array]]:
    """What lies behind the outputs, in float64; nothing where the evaluator cannot do the model."""
    try:
        oracle = oracles.of_model(exposed)
        return [oracle.answer(feed) for feed in feeds]
    except Unsupported as error:
        notes.append(f"not looked at behind the outputs: {error.what}")
        return [{} for _ in feeds]


def _simulated(
    model: ModelProto, feeds: Sequence[Feed], runner: Runner, notes: list[str]
) -> tuple[Simulation, ...]:
    """Of the portable form, where the file has one: old opsets lack what int8 needs."""
    try:
        model = portable.portable(model)
    except Unsupported as error:
        notes.append(error.what)
    made = simulate.simulate(model, feeds, runner)
    notes.extend(f"not simulated: {left}" for left in made.left_out)
    return made.made
