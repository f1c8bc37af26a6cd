"""Builds the judge of all targets from a model and what is right for its feeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from toolkit.answers import dispute, intermediates, moved, silence, unread
from toolkit.answers.acceptance import FLOATS
from toolkit.answers.judge import Answers, Judge, Simulation
from toolkit.answers.simulate import PLAIN, LowerForms, Simulator, StartRunner
from toolkit.engine import readforms
from toolkit.errors import InputError
from toolkit.onnxfiles import thinmodels
from toolkit.onnxfiles.modelfile import ModelFile, Opened
from toolkit.onnxfiles.thinmodels import ThinModel
from toolkit.oracle import portable
from toolkit.oracle.evaluator import Evaluator
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
    unread: Mapping[str, Array] = field(default_factory=dict)
    """The positions of each output that nobody reads; empty: all count."""


@dataclass(frozen=True)
class JudgeBuild:
    """A judge and what came with it."""

    judge: Judge
    exposed: ThinModel | None
    """The model with its intermediate outputs as further ones; None where there are none."""
    notes: tuple[str, ...]
    """The things that could not be done, in words."""
    disputed: str
    """The reason why the oracle may be what is wrong; empty: nothing speaks for it."""


def judged_feeds(file: ModelFile, oracle: Oracle, expected: Sequence[Expected]) -> list[JudgedFeed]:
    """The feeds with the oracle's outputs under the file's names.

    Raises InputError where the oracle has another number of outputs than the file.
    """
    plain = oracle.all_in_float32([each.feed.arrays for each in expected])
    return [
        JudgedFeed(
            each.feed.arrays,
            by_file_names(file, each.outputs),
            None if own is None else by_file_names(file, own),
            each.unread,
        )
        for each, own in zip(expected, plain, strict=True)
    ]


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
    opened: Opened,
    feeds: Sequence[JudgedFeed],
    *,
    origin: str,
    start: StartRunner,
    bare: bool = False,
) -> JudgeBuild:
    """Finds the noise of float32 on these feeds and builds the judge of a model, which simulates
    lower formats when it needs them.

    `start` brings the runner of simulations, when it is first needed. `origin` is the oracle, in
    words. A `bare` file has no other oracle than itself: there the runner's float32 stands beside
    the oracle's own, unless the two read the file differently. Where the oracle is the PyTorch
    module, its float32 stands alone: a file that is another function must not set its own noise.
    """
    file = opened.facts
    model = thinmodels.of_opened(opened)
    hidden = intermediates.find(model.proto)
    exposed = intermediates.exposed(model, hidden) if hidden.tensors() else None
    arrays = [feed.arrays for feed in feeds]
    notes: list[str] = []
    simulator = Simulator(_portable(exposed or model, notes), arrays, start, _here)
    numbers = tuple(range(len(feeds)))
    disputed = ""
    if bare or any(feed.plain is None for feed in feeds):
        with simulator.running():
            plain = simulator.simulations([PLAIN], numbers)
            disputed = _disputed(file, feeds, plain, simulator) if bare else ""
        plain = _with_plain(plain, feeds, beside=bare and not disputed)
    else:
        plain = _with_plain([_behind_in_float32(simulator, exposed, arrays)], feeds, beside=False)
    off = [feed.unread for feed in feeds]
    lower = LowerForms(simulator, numbers)
    judge = Judge(
        outputs=file.outputs,
        oracle=unread.without([feed.right for feed in feeds], off),
        simulated=tuple(readforms.simulation_without(each, off) for each in plain),
        origin=origin,
        choices=hidden.choices,
        scored=hidden.scored,
        moved=moved.only_moved(model.proto.graph),
        unfed=_unfed(file, model, arrays),
        saturated=hidden.saturated,
        gathered=hidden.gathered,
        lower=readforms.ReadForms(lower, off) if any(off) else lower,
        behind=None if exposed is None else BehindOutputs(exposed, arrays, numbers),
        unread=off if any(off) else (),
    )
    return JudgeBuild(judge, exposed, tuple(notes), disputed)


def _unfed(file: ModelFile, model: ThinModel, feeds: Sequence[Feed]) -> frozenset[str]:
    """The outputs that no value of an input decides; all of them where the feeds are the same
    throughout, so that nothing can be seen to change with them."""
    vary = any(
        not silence.is_constant([np.asarray(feed[name], np.float64) for feed in feeds])
        for name, array in feeds[0].items()
        if array.dtype.kind in "fiub"
    )
    if not vary:
        return frozenset(spec.name for spec in file.outputs)
    return moved.unfed(model.proto.graph)


def _here(model: ThinModel, feeds: Sequence[Feed]) -> list[dict[str, Array]] | None:
    """Runs a model on the oracle's evaluator as its file says, without a copy of its weights and
    without another process; None where the evaluator cannot."""
    try:
        answers = Evaluator(model, exact=False).run_all(feeds)
    except Unsupported:
        return None
    outputs = [answer for answer in answers if isinstance(answer, dict)]
    return outputs if len(outputs) == len(feeds) else None


def _behind_in_float32(
    simulator: Simulator, exposed: ThinModel | None, feeds: Sequence[Feed]
) -> Simulation:
    """What lies behind the outputs in float32, for feeds whose outputs are known."""
    if exposed is None:
        return Simulation(PLAIN.precision, PLAIN.name, [{} for _ in feeds])
    ran = simulator.simulation(PLAIN, range(len(feeds)), here=True)
    assert ran is not None, "float32 is made, or what keeps it from that is raised"
    return ran


@dataclass(frozen=True)
class BehindOutputs:
    """The intermediate outputs in float64, computed when they are first asked for (`Behind`)."""

    exposed: ThinModel
    arrays: Sequence[Feed]
    feeds: tuple[int, ...]
    """The numbers of the feeds that are meant."""
    _values: list[list[dict[str, Array]]] = field(default_factory=list)
    _refusals: list[str] = field(default_factory=list)

    def of(self, feeds: Sequence[int]) -> BehindOutputs:
        """Gives the same for some of these feeds, by their places here."""
        return replace(self, feeds=tuple(self.feeds[i] for i in feeds))

    def values(self) -> Sequence[dict[str, Array]]:
        """The intermediate outputs for each feed; empty where the evaluator cannot do the model."""
        if not self._values:
            self._values.append(self._computed())
        (every,) = self._values
        return [every[i] for i in self.feeds] if every else []

    def _computed(self) -> list[dict[str, Array]]:
        try:
            answers = Evaluator(self.exposed).run_all(self.arrays)
            if refused := [each for each in answers if isinstance(each, Unsupported)]:
                raise refused[0]
            return [each for each in answers if isinstance(each, dict)]
        except Unsupported as error:
            self._refusals.append(f"not looked at behind the outputs: {error.what}")
            return []

    def left_out(self) -> tuple[str, ...]:
        """The reason why the evaluator could not do the model, if it was tried; else nothing."""
        return tuple(self._refusals)


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
    file: ModelFile,
    feeds: Sequence[JudgedFeed],
    plain: Sequence[Simulation],
    simulator: Simulator,
) -> str:
    """Tells in words the outputs at which the runner reads the file otherwise than the oracle; ''
    where it reads all alike (dispute.py, D1)."""
    own = [feed.plain for feed in feeds if feed.plain is not None]
    if len(own) < len(feeds):
        return ""

    def rounded() -> list[Answers]:
        forms = [form for form in simulator.lower if form.precision == "bfloat16"]
        return [form.outputs for form in simulator.simulations(forms, range(len(feeds)))]

    outputs = dispute.misread(
        [spec.name for spec in file.outputs if spec.type in FLOATS],
        [feed.right for feed in feeds],
        own,
        plain[0].outputs,
        rounded,
    )
    return f"onnxruntime without optimisations differs from it in {outputs}" if outputs else ""


def _portable(model: ThinModel, notes: list[str]) -> ThinModel:
    """The portable form, where the file has one: old opsets lack what int8 needs."""
    try:
        return model.changed(portable.portable)
    except Unsupported as error:
        notes.append(error.what)
        return model
