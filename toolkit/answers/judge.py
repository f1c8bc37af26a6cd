"""Judges a target's answers by a model's oracle and simulations.

a  Each output has its own verdict (rule.py, indices.py); the target has the worst (severity.py).
b  Right is what was shown to be as precise as declared. Where the feeds cannot tell that from less
   it is not shown. What lies between two classes is as precise as the coarser one.
c  The user's own limits come first: another class, a tolerance, or how often the top class agrees.
d  In later generations only the border is checked: float32's, or what the first verdict showed.
e  An intermediate output is a second witness: asking for it may change what runs (it changed the
   first output of OpenVINO in float16 on 20 of 20 perceptrons), so it is told and decides nothing,
   but for indices: what they were chosen by is the only thing that shows a precision.
f  Lower formats are simulated where the rule needs them (`Lower`). The short rule asks float32 and
   the formats nearest to it; where it settles an output, the whole rule would settle it alike. For
   all other answers, and where a target declares less than float32, everything is simulated.
g  Outputs that a target gathered by another choice among equals (choosing.py) are held to what the
   oracle and every simulation would have gathered by that choice.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Protocol, TypeAlias

import numpy as np

from toolkit.answers import choosing, gathered, unread
from toolkit.answers.acceptance import FLOATS, Acceptance, held, names_of, text, type_of
from toolkit.answers.choosing import Followed, Taken
from toolkit.answers.discrete import DiscreteOutput
from toolkit.answers.floats import FloatOutput
from toolkit.answers.formats import ORDER, Precision, numbers, real
from toolkit.answers.gathered import Chooser, Gathering
from toolkit.answers.indices import Choice, Logits
from toolkit.answers.near import Asked, Near
from toolkit.answers.pieces import rms_of
from toolkit.answers.pool import Pool, SimulatedOutput
from toolkit.answers.rule import Finding, is_plain
from toolkit.answers.severity import VerdictRank, severity
from toolkit.answers.verdict import ANSWERS, Border, Limits, OutputVerdict, Verdict, unmeasured
from toolkit.oracle.enough import ENOUGH
from toolkit.tensors import Array, TensorSpec

Answers: TypeAlias = Sequence[Mapping[str, Array]]
"""Named outputs, a dict for each feed. bfloat16 may come as its bits, in uint16."""

NEAREST = 2
"""The forms that `Lower.near` makes where each of them rounds something."""


@dataclass(frozen=True)
class Simulation:
    """The answers of the model simulated in one form of one class."""

    precision: Precision
    form: str
    """The form's name: 'full', 'weights only', 'truncated' … (simulate.py)"""
    outputs: Answers
    reaches: frozenset[str] | None = None
    """The tensors that its rounding can change; None: all. Others are float32's."""

    def is_of(self, tensor: str) -> bool:
        """Says whether it is of its class at a tensor, and not float32."""
        return self.reaches is None or tensor in self.reaches


class Lower(Protocol):
    """Simulates lower formats when a judge asks for them (`simulate.LowerForms`).

    Feeds are given by their places in the judge.
    """

    def of(self, feeds: Sequence[int]) -> Lower:
        """Gives the same for some of the feeds."""

    def near(self, feeds: Sequence[int]) -> tuple[Simulation, ...] | None:
        """Makes the forms nearest to float32, on some feeds, without those that round nothing in
        this model; None where one cannot be made."""

    def full(self, feeds: Sequence[int]) -> tuple[Simulation, ...]:
        """Makes float16 in full, on some feeds; none where it cannot be made."""

    def every(self) -> tuple[Simulation, ...]:
        """Makes every form on all feeds."""

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
    unread: Sequence[Mapping[str, Array]] = ()
    """For each feed the positions of outputs that nobody reads (`unread.py`); empty: all count."""
    scored: Mapping[str, str] = field(default_factory=dict)
    """Outputs that hold indices → the output that holds the logits at these."""
    moved: Collection[str] = ()
    """Outputs whose values the file only moves (moved.py)."""
    unfed: Collection[str] = ()
    """Outputs that no value of an input decides (moved.py), or of which that cannot be seen."""

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
                unread=[self.unread[i] for i in key] if self.unread else (),
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
        answers = unread.without(answers, self.unread)
        judged = self._shortly(answers, acceptance) if declared == "float32" else None
        if judged is None:
            judged = self.whole._wholly(answers, acceptance)  # f
        judged += [_surplus(name) for name in self._unknown(answers)]
        return self._summed_up(self._with_scores(judged), declared)

    def _with_scores(self, judged: Sequence[OutputVerdict]) -> list[OutputVerdict]:
        """Makes indices right whose scores are an output that is right."""
        answers = {output.output: output.answer for output in judged}

        def are_shown(name: str) -> bool:
            choice = self.choices.get(name)
            scores = (choice.tensor, self.scored.get(name, "")) if choice else ()
            return any(answers.get(score) == "right" for score in scores)

        return [
            _by_right_scores(output)
            if output.answer == "not shown" and are_shown(output.output)
            else output
            for output in judged
        ]

    def _summed_up(self, outputs: Sequence[OutputVerdict], declared: Precision) -> Verdict:
        """The verdict on a target from those on its outputs."""
        shown = worst(outputs)  # a
        where = f"{shown.output}: " if shown.reason and len(outputs) > 1 else ""
        return Verdict(
            text=text(shown),
            answer=shown.answer,
            right=shown.answer == "right",
            reason=f"{where}{shown.reason}",
            declared=declared,
            outputs=tuple(outputs),
            feeds=len(self.oracle),
            oracle=self.origin,
        )

    def _wholly(self, answers: Answers, acceptance: Acceptance) -> list[OutputVerdict]:
        parts = self._parts_for(answers, acceptance, range(len(self.oracle)))
        return [
            output.judge([a.get(name) for a in answers], acceptance)
            for name, output in parts.items()
        ]

    def _shortly(self, answers: Answers, acceptance: Acceptance) -> list[OutputVerdict] | None:
        """The short rule's verdict on every output; None where it does not settle one (f)."""
        if self.lower is None:
            return None
        judged: list[OutputVerdict] = []
        for name, output in self._parts_for(answers, acceptance, range(len(self.oracle))).items():
            arrays = [a.get(name) for a in answers]
            if isinstance(output, FloatOutput):
                settled = output.short(arrays, acceptance, self._asked(name, output.taken))
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
        if forms is None:
            return Near({})
        assert self.lower is not None, "only the short rule asks for it"
        output = self._parts.get(tensor)
        known = output if isinstance(output, FloatOutput) else self._intermediate(tensor)
        part = known.pool.part(feeds).plain

        def factor(form: Simulation) -> float:
            arrays = _values(tensor, form, feeds, self._taken(tensor))
            return rms_of(part, arrays) / part.noise.rms if part.noise.judged else 0.0

        measured = [(form, factor(form)) for form in forms if form.is_of(tensor)]
        # Weights that are nearly float16's already: that form is float32 (`Scale.band`).
        kept = [
            (form, size) for form, size in measured if not is_plain(form.form, size=size, noise=1.0)
        ]
        if len(kept) < NEAREST:
            kept += [(form, factor(form)) for form in self._full_form]
        factors: dict[Precision, list[float]] = {}
        # One that is not finite is no class of this model.
        for form, size in kept:
            if np.isfinite(size):
                factors.setdefault(form.precision, []).append(size)
        return Near(factors)

    @cached_property
    def _full_form(self) -> tuple[Simulation, ...]:
        feeds, _ = self._near_forms
        assert self.lower is not None, "only the short rule asks for it"
        return self.lower.full(feeds)

    def _asked(self, tensor: str, taken: Taken | None = None) -> Asked:
        return Asked(partial(self.near, tensor), partial(self._near_on, tensor, taken))

    def _near_on(
        self, tensor: str, taken: Taken | None, feeds: Sequence[int]
    ) -> list[dict[int, Array]]:
        """The near forms' values for some feeds, and for those that `near` measures."""
        assert self.lower is not None, "only the short rule asks for it"
        measured, _ = self._near_forms
        every = sorted({*measured, *feeds})
        forms = self.lower.near(every)
        return [
            dict(zip(every, _values(tensor, form, every, taken), strict=True))
            for form in forms or ()
        ]

    @cached_property
    def _near_forms(self) -> tuple[Sequence[int], tuple[Simulation, ...] | None]:
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
        answers = unread.without(answers, [self.unread[i] for i in asked] if self.unread else ())
        for name, output in self._parts_for(answers, acceptance, asked).items():
            arrays, earlier = [a.get(name) for a in answers], verdicts[name]
            reason = None
            if self.lower is not None:
                reason = output.shortly_beyond(arrays, earlier, acceptance, asked)
            if reason is None:
                whole = self.whole._parts_for(answers, acceptance, asked)[name]
                reason = whole.beyond(arrays, earlier, acceptance, asked)
            if reason:
                return Border(False, f"{name}: {reason}" if len(self._parts) > 1 else reason)
        return Border(True)

    def with_witness(
        self, verdict: Verdict, answers: Answers, limits: Limits | None = None
    ) -> Verdict:
        """Adds to a verdict what the intermediate outputs show (e).

        `answers` are the target's for the file that has them as further outputs, and `limits` those
        of the verdict. An output that has a single name needs no witness: the oracle of what lies
        behind it costs as much as its own.
        """
        acceptance = Acceptance(verdict.declared, limits or Limits(), {})
        outputs = [
            self._with_behind(output, answers, acceptance) if len(output.names) > 1 else output
            for output in verdict.outputs
        ]
        return self._summed_up(outputs, verdict.declared)

    def _with_behind(
        self, output: OutputVerdict, answers: Answers, acceptance: Acceptance
    ) -> OutputVerdict:
        finding = self._witness(output.output, answers)
        if finding is None:
            return output
        words = f"{' or '.join(names_of(finding))} ({finding.evidence})"
        seen = replace(output, witness=words)
        is_open = output.answer == "not shown" and output.output in self.choices
        is_shown = is_open and held(finding, acceptance, None).answer == "right"
        return _by_right_scores(seen) if is_shown else seen

    @cached_property
    def _parts(self) -> dict[str, FloatOutput | DiscreteOutput]:
        return {spec.name: self._part(spec, self._taken(spec.name)) for spec in self.outputs}

    def _parts_for(
        self, answers: Answers, acceptance: Acceptance, feeds: Sequence[int]
    ) -> dict[str, FloatOutput | DiscreteOutput]:
        """What these answers to some feeds are held to (g)."""
        parts = dict(self._parts)
        specs = {spec.name: spec for spec in self.outputs}
        shown = [_reals(answer, specs, acceptance) for answer in answers]
        for chooser, outputs in gathered.together(self.gathered).items():
            # Nothing has to be computed where all agrees that must be equal.
            settled = {n for n in outputs if self._is_settled(specs[n], shown, feeds)}
            followed = self._followed(chooser) if len(settled) < len(outputs) else None
            taken = None if followed is None else followed.by(shown, feeds)
            if taken is None or not taken.moved:
                continue
            for name in taken.followed.outputs:
                if name not in self.choices or name not in settled:
                    parts[name] = self._part(specs[name], taken)
        return parts

    def _part(self, spec: TensorSpec, taken: Taken | None) -> FloatOutput | DiscreteOutput:
        choice = self.choices.get(spec.name)
        if choice is None and spec.type in FLOATS:
            return FloatOutput(
                spec,
                self._pool(spec.name, taken),
                taken,
                saturating=spec.name in self.saturated,
                moved_only=spec.name in self.moved,
                unfed=spec.name in self.unfed,
            )
        oracle = (
            tuple(o[spec.name] for o in self.oracle) if taken is None else taken.right(spec.name)
        )
        logits = partial(self._logits, choice) if choice else tuple
        moved = 0 if taken is None else taken.moved
        return DiscreteOutput(spec, oracle, choice, logits, moved)

    def _is_settled(self, spec: TensorSpec, answers: Answers, feeds: Sequence[int]) -> bool:
        """Says whether no other choice has to be looked for at an output: it must be equal, and is.
        Indices are judged by their logits in each format (indices.py) unless there are more or
        fewer of them."""
        pairs = [
            (answer.get(spec.name), self.oracle[feed][spec.name])
            for feed, answer in zip(feeds, answers, strict=True)
        ]
        if spec.name in self.choices:
            return all(mine is None or mine.shape == right.shape for mine, right in pairs)
        return spec.type not in FLOATS and all(
            mine is not None and np.array_equal(mine, right) for mine, right in pairs
        )

    def _taken(self, output: str) -> Taken | None:
        """The oracle's own choice, by which a float output is gathered; None where there is none
        that can be followed."""
        gathering = self.gathered.get(output)
        if gathering is None or output in self.choices:
            return None
        followed = self._followed(gathering.chooser)
        return followed.by_oracle() if followed and output in followed.outputs else None

    def _followed(self, chooser: Chooser) -> Followed | None:
        """An operator's choice on all feeds; None where it cannot be followed."""
        if chooser not in self._all_followed:
            self._all_followed[chooser] = self._follow(chooser)
        return self._all_followed[chooser]

    @cached_property
    def _all_followed(self) -> dict[Chooser, Followed | None]:
        return {}

    def _follow(self, chooser: Chooser) -> Followed | None:
        outputs = gathered.together(self.gathered)[chooser]
        # The file's own tensors go together; the oracle's outputs may be the PyTorch module's.
        exact = self._behind or self.oracle
        needed = {n for gathering in outputs.values() for n in gathering.tensors()} | {*outputs}
        plain = [s.outputs for s in self.simulated if s.precision == "float32"]
        if not all(needed <= values.keys() for form in (exact, *plain) for values in form):
            return None
        return choosing.followed(chooser, outputs, exact, plain, self.oracle)

    def _pool(self, tensor: str, taken: Taken | None = None) -> Pool:
        right = self._right(tensor) if taken is None else taken.right(tensor)
        feeds = range(len(self.oracle))
        simulated = (
            SimulatedOutput(s.precision, s.form, tuple(_values(tensor, s, feeds, taken)))
            for s in self.simulated
            if s.is_of(tensor)
        )
        return Pool(tuple(numbers(array, "float64") for array in right), tuple(simulated))

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

    def _witness(self, output: str, answers: Answers) -> Finding | None:
        """The finding on what lies behind an output; None where nothing is known of it."""
        choice = self.choices.get(output)
        tensor = choice.tensor if choice else self.saturated.get(output)
        if tensor is None or not all(tensor in a for a in answers) or not self._right(tensor):
            return None
        arrays = [a[tensor] for a in answers]
        if self.lower is not None:
            short = self._intermediate(tensor).short_witness(arrays, self._asked(tensor))
            if short is not None:
                return short
        return self.whole._intermediate(tensor).witness(arrays)

    def _intermediate(self, tensor: str) -> FloatOutput:
        # What comes as uint16 can only be bfloat16's bits; other floats say their own type.
        spec = TensorSpec(tensor, "bfloat16", None)
        return FloatOutput(spec, self._pool(tensor))


def _values(
    tensor: str, form: Simulation, feeds: Sequence[int], taken: Taken | None
) -> list[Array]:
    """A simulation's values of a tensor for these feeds, which it was made on; those of an output
    gathered by what was taken."""
    outputs = form.outputs
    arrays = (
        [o[tensor] for o in outputs] if taken is None else taken.simulated(tensor, outputs, feeds)
    )
    return [_float32(array) for array in arrays]


def _reals(
    answer: Mapping[str, Array], specs: Mapping[str, TensorSpec], acceptance: Acceptance
) -> dict[str, Array]:
    """The outputs of one answer, floats as real numbers of numpy's own types."""
    return {
        name: real(array, type_of(specs[name], array, acceptance))
        if specs[name].type in FLOATS
        else array
        for name, array in answer.items()
        if name in specs
    }


def _float32(array: Array) -> Array:
    return real(array, "float32").astype(np.float32, copy=False)


def _by_right_scores(indices: OutputVerdict) -> OutputVerdict:
    """The verdict on indices of which their scores show that they are right."""
    return replace(indices, answer="right", reason="", exact=True)


def _surplus(name: str) -> OutputVerdict:
    return unmeasured(name, "the file has no such output")


def worst(judged: Sequence[OutputVerdict]) -> OutputVerdict:
    """Finds the output that stands for a target: the worst answer first, then the most severe."""

    def rank(output: OutputVerdict) -> tuple[int, VerdictRank]:
        return ANSWERS.index(output.answer), severity(output)

    return max(judged, key=rank)
