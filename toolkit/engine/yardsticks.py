"""From a model and what is right for its feeds to the yardstick of all its targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from onnx import ModelProto

from toolkit.answers import simulate, tap
from toolkit.answers.simulate import Runner
from toolkit.answers.yardstick import Simulated, Yardstick
from toolkit.onnxfile import ModelFile
from toolkit.oracle import oracles, portable
from toolkit.oracle.portable import Unsupported
from toolkit.tensors import Array, Feed


@dataclass(frozen=True)
class Made:
    """A yardstick and what came with it."""

    yardstick: Yardstick
    tapped: ModelProto | None
    """The model with its taps as further outputs; None where there are none."""
    notes: tuple[str, ...]
    """What could not be done, in words."""


def make(
    file: ModelFile,
    model: ModelProto,
    feeds: Sequence[Feed],
    truth: Sequence[Sequence[Array]],
    *,
    origin: str,
    runner: Runner,
    plain: Sequence[Mapping[str, Array] | None] = (),
) -> Made:
    """`truth` holds the oracle's outputs for each feed, in the order of the file's: by place, since
    a file renames an output that has the name of an input. `origin` is the oracle, in words.

    `plain` holds what the PyTorch module gives in float32, where it is the oracle: the simulations
    come from the file, and a file that is another function must not set its own noise.
    """
    taps, notes = tap.taps(model), list[str]()
    tapped = tap.tapped(model, taps) if taps.tensors() else None
    behind = _behind(tapped, feeds, notes) if tapped else [{} for _ in feeds]
    names = [spec.name for spec in file.outputs]
    simulated = _simulated(tapped or model, feeds, runner, notes)
    yardstick = Yardstick(
        outputs=file.outputs,
        oracle=[
            {**hidden, **dict(zip(names, outputs, strict=True))}
            for hidden, outputs in zip(behind, truth, strict=True)
        ],
        simulated=tuple(_by_module(form, names, plain) for form in simulated),
        origin=origin,
        choices=taps.choices,
        saturated=taps.saturated,
    )
    return Made(yardstick, tapped, tuple(notes))


def _by_module(
    form: Simulated, names: Sequence[str], plain: Sequence[Mapping[str, Array] | None]
) -> Simulated:
    """The plain evaluation by the module itself, where there is one."""
    known = [outputs for outputs in plain if outputs is not None]
    if form.precision != "float32" or len(known) != len(form.outputs):
        return form
    outputs = tuple(
        {**mine, **dict(zip(names, theirs.values(), strict=True))}
        for mine, theirs in zip(form.outputs, known, strict=True)
    )
    return replace(form, form="the PyTorch module", outputs=outputs)


def _behind(
    tapped: ModelProto, feeds: Sequence[Feed], notes: list[str]
) -> Sequence[dict[str, Array]]:
    """What lies behind the outputs, in float64; nothing where the evaluator cannot do the model."""
    try:
        oracle = oracles.of_model(tapped)
        return [oracle.answer(feed) for feed in feeds]
    except Unsupported as error:
        notes.append(f"not looked at behind the outputs: {error.what}")
        return [{} for _ in feeds]


def _simulated(
    model: ModelProto, feeds: Sequence[Feed], runner: Runner, notes: list[str]
) -> tuple[Simulated, ...]:
    """Of the portable form, where the file has one: old opsets lack what int8 needs."""
    try:
        model = portable.portable(model)
    except Unsupported as error:
        notes.append(error.what)
    made = simulate.simulate(model, feeds, runner)
    notes.extend(f"not simulated: {left}" for left in made.left_out)
    return made.made
