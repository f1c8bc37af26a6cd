"""Judges a target's answers by a model's oracle and simulations.

a  Each output has its own verdict (rule.py, indices.py); the target has the worst (severity.py).
b  Right is what may be as precise as declared: where the feeds cannot tell float32 from less, it
   has not been shown to be less. What lies between two classes is as precise as the coarser one.
c  The user's own limits come first: another class, a tolerance, or how often the top class agrees.
d  In later generations only the border is checked: float32's, or what the first verdict showed.
e  An intermediate output is a second witness: asking for it may change what runs (it changed the
   first output of OpenVINO in float16 on 20 of 20 perceptrons), so it is told and decides nothing.
f  Lower formats are simulated where the rule needs them (`Lower`). The short rule asks float32 and
   the formats nearest to it; where it settles an output, the whole rule would settle it alike. For
   all other answers, and where a target declares less than float32, everything is simulated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Protocol, TypeAlias

import numpy as np

from toolkit.answers.acceptance import FLOATS, Acceptance, JudgedOutput, text
from toolkit.answers.discrete import DiscreteOutput
from toolkit.answers.floats import FloatOutput
from toolkit.answers.formats import ORDER, Precision, numbers, real
from toolkit.answers.gathered import Candidates, Gathering
from toolkit.answers.indices import Choice, Logits, logit_error
from toolkit.answers.near import Near
from toolkit.answers.pieces import rms_of
from toolkit.answers.pool import Pool, SimulatedOutput
from toolkit.answers.severity import severity
from toolkit.answers.verdict import Border, Limits, OutputVerdict, Verdict, unmeasured
from toolkit.oracle.enough import ENOUGH
from toolkit.tensors import Array, TensorSpec

Answers: TypeAlias = Sequence[Mapping[str, Array]]
"""Named outputs, a dict for each feed. bfloat16 may come as its bits, in uint16."""


@dataclass(frozen=True)
class Simulation:
    """The answers of the model simulated in one form of one class."""

    precision: Precision
    form: str
    """The form's name: 'full', 'weights only', 'truncated' … (simulate.py)"""
    outputs: Answers


class Lower(Protocol):
    """Simulates lower formats when a judge asks for them (`simulate.LowerForms`).

    Feeds are given by their places in the judge.
    """

    def of(self, feeds: Sequence[int]) -> Lower:
        """Gives the same for some of the feeds."""

    def near(self, feeds: Sequence[int]) -> tuple[Simulation, ...]:
        """Makes the forms nearest to float32, on some feeds; none where one cannot be made."""

    def every(self) -> tuple[Simulation, ...]:
        """Makes every form on all feeds."""

    def shows_nothing(self) -> bool:
        """Says whether a lower form is float32 itself here."""

    def left_out(self) -> tuple[str, ...]:
        """The forms that could not be made so far, in words."""


class Behind(Protocol):
    """Computes what lies behind the outputs, in float64, when it is first asked for."""

    def of(self, feeds: Sequence[int]) -> Behind:
        """Gives the same for some of the feeds, by their places here."""

    def values(self) -> Answers:
        """The intermediate outputs for each feed; empty where they cannot be computed."""

    def left_out(self) -> tuple[str, ...]:
        """The reason why they could not, in words, if it was tried; else nothing."""


@dataclass(frozen=True)
class Judge:
    """Holds the oracle and the simulations of one model on its feeds; made once a model.

    Every target's answers to the same feeds are judged by it.
    """

    outputs: tuple[TensorSpec, ...]
    """The file's outputs, without intermediate ones."""
    oracle: Answers
    """The right answers in float64; intermediate outputs too, where `behind` is None."""
    simulated: tuple[Simulation, ...]
    """The model in float32, intermediate outputs included; in lower formats too, where `lower` is
    None."""
    origin: str
    """The oracle's name: 'torch in float64', 'reference evaluator in float64' …"""
    choices: Mapping[str, Choice] = field(default_factory=dict)
    """Outputs that hold indices → the logits that they point into."""
    saturated: Mapping[str, str] = field(default_factory=dict)
    """Output → the tensor before its last saturating activation."""
    gathered: Mapping[str, Gathering] = field(default_factory=dict)
    """Output that is gathered by chosen indices → from what, and how they were chosen."""
    lower: Lower | None = None
    """Simulates lower formats; None: `simulated` holds all that there are."""
    behind: Behind | None = None

    def of(self, feeds: Sequence[int]) -> Judge:
        """Makes a judge of some of its feeds, given by their numbers; each once."""
        key = tuple(feeds)
        if key == tuple(range(len(self.oracle))):
            return self
        if key not in self._some:
            self._some[key] = replace(
                self,
                oracle=[self.oracle[i] for i in key],
                simulated=tuple(
                    replace(s, outputs=[s.outputs[i] for i in key]) for s in self.simulated
                ),
                lower=self.lower and self.lower.of(key),
                behind=self.behind and self.behind.of(key),
            )
        return self._some[key]

    @cached_property
    def whole(self) -> Judge:
        """The judge with every format simulated: it follows the whole rule."""
        if self.lower is None:
            return self
        return replace(self, simulated=(*self.simulated, *self.lower.every()), lower=None)

    @property
    def left_out(self) -> tuple[str, ...]:
        """The things that could not be computed so far, in words."""
        lower = () if self.lower is None else self.lower.left_out()
        behind = () if self.behind is None else self.behind.left_out()
        return (*(f"not simulated: {form}" for form in lower), *behind)

    def noise(self, output: str) -> float:
        """Gives the RMS error of a plain float32 evaluation of an output.

        0 for an output that is no float, and where float32 has no finite element.
        """
        part = self._parts[output]
        return part.pool.plain.noise.rms if isinstance(part, FloatOutput) else 0.0

    def verdict(
        self,
        answers: Answers,
        declared: Precision = "float32",
        limits: Limits | None = None,
        *,
        types: Mapping[str, str] | None = None,
    ) -> Verdict:
        """Follows the rule on a target's answers to all feeds, in the order of the oracle's.

        `declared` is the class that the target promises. `types` holds the ONNX types of answers
        whose numpy type does not tell. A float output may have the type that the target declares
        instead of the file's. Missing and surplus outputs are wrong, not an error.
        """
        acceptance = Acceptance(declared, limits or Limits(), types or {})
        judged = self._shortly(answers, acceptance) if declared == "float32" else None
        if judged is None:
            judged = self.whole._wholly(answers, acceptance)  # f
        judged += [_surplus(name) for name in self._unknown(answers)]
        shown = worst(judged)  # a
        where = f"{shown.verdict.output}: " if shown.fault and len(judged) > 1 else ""
        return Verdict(
            text=text(shown.verdict),
            right=not shown.fault,
            reason=f"{where}{shown.fault}",
            declared=declared,
            outputs=tuple(j.verdict for j in judged),
            feeds=len(self.oracle),
            oracle=self.origin,
        )

    def _wholly(self, answers: Answers, acceptance: Acceptance) -> list[JudgedOutput]:
        return [
            output.judge([a.get(name) for a in answers], acceptance)
            for name, output in self._parts.items()
        ]

    def _shortly(self, answers: Answers, acceptance: Acceptance) -> list[JudgedOutput] | None:
        """The short rule's verdict on every output; None where it does not settle one (f)."""
        if self.lower is None:
            return None
        judged: list[JudgedOutput] = []
        for name, output in self._parts.items():
            arrays = [a.get(name) for a in answers]
            if isinstance(output, FloatOutput):
                settled = output.short(arrays, acceptance, partial(self.near, name))
            else:
                settled = output.short(arrays, acceptance)
            if settled is None:
                return None
            judged.append(settled)
        return judged

    def near(self, tensor: str) -> Near:
        """Measures the formats nearest to float32 at an output or an intermediate one, once."""
        if tensor not in self._nears:
            self._nears[tensor] = self._near(tensor)
        return self._nears[tensor]

    @cached_property
    def _nears(self) -> dict[str, Near]:
        return {}

    def _near(self, tensor: str) -> Near:
        feeds, forms = self._near_forms
        assert self.lower is not None, "only the short rule asks for it"
        output = self._parts.get(tensor)
        known = output if isinstance(output, FloatOutput) else self._intermediate(tensor)
        part = known.pool.part(feeds).plain
        factors: dict[Precision, list[float]] = {}
        for form in forms:
            arrays = self._values(tensor, form, feeds)
            factor = rms_of(part, arrays) / part.noise.rms if part.noise.judged else 0.0
            # One that is not finite is no class of this model.
            if np.isfinite(factor):
                factors.setdefault(form.precision, []).append(factor)
        return Near(factors, self.lower.shows_nothing())

    @cached_property
    def _near_forms(self) -> tuple[Sequence[int], tuple[Simulation, ...]]:
        """The fewest small feeds with enough elements of each float output, and the near formats
        on them."""
        floats = [spec.name for spec in self.outputs if spec.type in FLOATS]
        sizes = [{name: right[name].size for name in floats} for right in self.oracle]
        chosen: list[int] = []
        for feed in sorted(range(len(sizes)), key=lambda feed: sum(sizes[feed].values())):
            have = {name: sum(sizes[i][name] for i in chosen) for name in floats}
            if chosen and all(size >= ENOUGH for size in have.values()):
                break
            chosen.append(feed)
        assert self.lower is not None, "only the short rule asks for it"
        return chosen, self.lower.near(chosen)

    def border(
        self,
        answers: Answers,
        first: Verdict,
        feeds: Sequence[int] | None = None,
        *,
        types: Mapping[str, str] | None = None,
    ) -> Border:
        """Says whether answers are no worse than those of the first verdict (d).

        `feeds` are the numbers of the feeds that were answered, where not all were.
        """
        acceptance = Acceptance(first.declared, Limits(), types or {})
        verdicts = {v.output: v for v in first.outputs}
        asked = range(len(self.oracle)) if feeds is None else feeds
        for name in self._parts:
            arrays = [a.get(name) for a in answers]
            reason = self._beyond(name, arrays, verdicts[name], acceptance, asked)
            if reason:
                return Border(False, f"{name}: {reason}" if len(self._parts) > 1 else reason)
        return Border(True)

    def _beyond(
        self,
        name: str,
        arrays: Sequence[Array | None],
        first: OutputVerdict,
        acceptance: Acceptance,
        feeds: Sequence[int],
    ) -> str:
        if self.lower is not None:
            reason = self._parts[name].shortly_beyond(arrays, first, acceptance, feeds)
            if reason is not None:
                return reason
        return self.whole._parts[name].beyond(arrays, first, acceptance, feeds)

    def with_witness(self, verdict: Verdict, answers: Answers) -> Verdict:
        """Adds to a verdict what the intermediate outputs show (e).

        `answers` are the target's for the file that has them as further outputs. An output that has
        a single name needs no witness: the oracle of what lies behind it costs as much as its own.
        """
        outputs = [
            replace(o, witness=self._witness(o.output, answers)) if len(o.names) > 1 else o
            for o in verdict.outputs
        ]
        return replace(verdict, outputs=tuple(outputs))

    @cached_property
    def _parts(self) -> Mapping[str, FloatOutput | DiscreteOutput]:
        return {spec.name: self._part(spec) for spec in self.outputs}

    def _part(self, spec: TensorSpec) -> FloatOutput | DiscreteOutput:
        choice = self.choices.get(spec.name)
        if choice is None and spec.type in FLOATS:
            gathering = self.gathered.get(spec.name)
            if gathering is None or not all(self._right(name) for name in gathering.tensors()):
                return FloatOutput(spec, self._pool(spec))
            pool = self._gathered_pool(spec, gathering)
            return FloatOutput(spec, pool, partial(self._candidates, gathering))
        oracle = tuple(o[spec.name] for o in self.oracle)
        logits = partial(self._logits, choice) if choice else tuple
        return DiscreteOutput(spec, oracle, choice, logits)

    def _pool(self, spec: TensorSpec) -> Pool:
        oracle = tuple(numbers(array, "float64") for array in self._right(spec.name))
        simulated = (
            SimulatedOutput(
                s.precision,
                s.form,
                tuple(_float32(o[spec.name]) for o in s.outputs),
            )
            for s in self.simulated
        )
        return Pool(oracle, tuple(simulated))

    def _gathered_pool(self, spec: TensorSpec, gathering: Gathering) -> Pool:
        """The output as each evaluation would have gathered it by the oracle's own choice: which of
        equals one chose is no error of its numbers."""
        pool, feeds = self._pool(spec), range(len(self.oracle))
        simulated = (
            SimulatedOutput(s.precision, s.form, tuple(self._values(spec.name, s, feeds)))
            for s in self.simulated
        )
        return replace(pool, simulated=tuple(simulated))

    def _values(self, tensor: str, form: Simulation, feeds: Sequence[int]) -> list[Array]:
        """A simulation's values of a tensor for these feeds, which it was made on; those of an
        output gathered as by the oracle's own choice."""
        gathering = self.gathered.get(tensor)
        if gathering is None or not all(self._right(name) for name in gathering.tensors()):
            return [_float32(o[tensor]) for o in form.outputs]
        indices, right = self._right(gathering.indices), self._right(tensor)
        return [
            gathering.take(_float32(o[gathering.data]), indices[feed]).reshape(right[feed].shape)
            for feed, o in zip(feeds, form.outputs, strict=True)
        ]

    def _candidates(self, gathering: Gathering) -> tuple[Candidates, ...]:
        """What the output gathered may hold for each feed."""
        logits, data, indices = (self._right(name) for name in gathering.tensors())
        plain = (s for s in self.simulated if s.precision == "float32")
        noise = max(
            logit_error(logits, [o[gathering.choice.tensor] for o in s.outputs]) for s in plain
        )
        return tuple(
            Candidates(gathering, numbers(d, "float64"), i, numbers(x, "float64"), noise)
            for d, i, x in zip(data, indices, logits, strict=True)
        )

    def _logits(self, choice: Choice) -> tuple[Logits, ...]:
        """The logits of each feed; none where the oracle was not asked for them."""
        oracle = self._right(choice.tensor)
        return tuple(
            Logits(
                numbers(wanted, "float64"),
                {
                    c: [s.outputs[i][choice.tensor] for s in self.simulated if s.precision == c]
                    for c in ORDER
                },
            )
            for i, wanted in enumerate(oracle)
        )

    def _right(self, tensor: str) -> Sequence[Array]:
        """The right values of an output or an intermediate one for each feed; empty where they are
        not known."""
        if all(tensor in o for o in self.oracle):
            return [o[tensor] for o in self.oracle]
        behind = self._behind
        return [o[tensor] for o in behind] if all(tensor in o for o in behind) else []

    @cached_property
    def _behind(self) -> Answers:
        return [] if self.behind is None else self.behind.values()

    @cached_property
    def _some(self) -> dict[tuple[int, ...], Judge]:
        return {}

    def _unknown(self, answers: Answers) -> list[str]:
        intermediates = {*self.saturated.values(), *(c.tensor for c in self.choices.values())}
        intermediates |= {name for each in self.gathered.values() for name in each.tensors()}
        known = {o.name for o in self.outputs} | intermediates
        return sorted({name for a in answers for name in a} - known)

    def _witness(self, output: str, answers: Answers) -> str:
        choice = self.choices.get(output)
        tensor = choice.tensor if choice else self.saturated.get(output)
        if tensor is None or not all(tensor in a for a in answers) or not self._right(tensor):
            return ""
        arrays = [a[tensor] for a in answers]
        if self.lower is not None:
            short = self._intermediate(tensor).short_witness(arrays, partial(self.near, tensor))
            if short is not None:
                return short
        return self.whole._intermediate(tensor).witness(arrays)

    def _intermediate(self, tensor: str) -> FloatOutput:
        # What comes as uint16 can only be bfloat16's bits; other floats say their own type.
        spec = TensorSpec(tensor, "bfloat16", None)
        return FloatOutput(spec, self._pool(spec))


def _float32(array: Array) -> Array:
    return real(array, "float32").astype(np.float32, copy=False)


def _surplus(name: str) -> JudgedOutput:
    reason = "the file has no such output"
    return JudgedOutput(unmeasured(name, reason), f"wrong: {reason}")


def worst(judged: Sequence[JudgedOutput]) -> JudgedOutput:
    """Finds the output that stands for a target: what is not right first, then the most severe."""
    return max(judged, key=lambda output: (bool(output.fault), severity(output.verdict)))
