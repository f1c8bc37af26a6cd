"""Judges a target's answers by a model's oracle and simulations.

a  Each output has its own verdict (rule.py, indices.py); the target has the worst (severity.py).
b  Right is what may be as precise as declared: where the feeds cannot tell float32 from less, it
   has not been shown to be less. What lies between two classes is as precise as the coarser one.
c  The user's own limits come first: another class, a tolerance, or how often the top class agrees.
d  In later generations only the border is checked: float32's, or what the first verdict showed.
e  An intermediate output is a second witness: asking for it may change what runs (it changed the
   first output of OpenVINO in float16 on 20 of 20 perceptrons), so it is told and decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeAlias

import numpy as np

from toolkit.answers.acceptance import FLOATS, Acceptance, JudgedOutput, text
from toolkit.answers.discrete import DiscreteOutput
from toolkit.answers.floats import FloatOutput
from toolkit.answers.formats import ORDER, Precision, numbers
from toolkit.answers.indices import Choice, Logits
from toolkit.answers.pool import Pool, SimulatedOutput
from toolkit.answers.severity import severity
from toolkit.answers.verdict import Border, Limits, Verdict, unmeasured
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


@dataclass(frozen=True)
class Judge:
    """Holds the oracle and the simulations of one model on its feeds; made once a model.

    Every target's answers to the same feeds are judged by it.
    """

    outputs: tuple[TensorSpec, ...]
    """The file's outputs, without intermediate ones."""
    oracle: Answers
    """The right answers in float64, intermediate outputs included."""
    simulated: tuple[Simulation, ...]
    """The model in float32 and in lower formats, intermediate outputs included; float32 first."""
    origin: str
    """The oracle's name: 'torch in float64', 'reference evaluator in float64' …"""
    choices: Mapping[str, Choice] = field(default_factory=dict)
    """Outputs that hold indices → the logits that they point into."""
    saturated: Mapping[str, str] = field(default_factory=dict)
    """Output → the tensor before its last saturating activation."""

    def of(self, feeds: Sequence[int]) -> Judge:
        """Makes a judge of some of its feeds, given by their numbers."""
        return replace(
            self,
            oracle=[self.oracle[i] for i in feeds],
            simulated=tuple(
                replace(s, outputs=[s.outputs[i] for i in feeds]) for s in self.simulated
            ),
        )

    def noise(self, output: str) -> float:
        """Gives the RMS error of a plain float32 evaluation of an output.

        0 for an output that is no float, and where float32 has no finite element.
        """
        part = self._parts[output]
        scale = part.pool.scale if isinstance(part, FloatOutput) else None
        return 0.0 if scale is None else scale.noise

    def verdict(
        self,
        answers: Answers,
        declared: Precision = "float32",
        limits: Limits | None = None,
        *,
        types: Mapping[str, str] | None = None,
    ) -> Verdict:
        """Follows the whole rule on a target's answers to all feeds, in the order of the oracle's.

        `declared` is the class that the target promises. `types` holds the ONNX types of answers
        whose numpy type does not tell. A float output may have the type that the target declares
        instead of the file's. Missing and surplus outputs are wrong, not an error.
        """
        acceptance = Acceptance(declared, limits or Limits(), types or {})
        judged = [
            output.judge([a.get(name) for a in answers], acceptance)
            for name, output in self._parts.items()
        ]
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
        for name, output in self._parts.items():
            arrays = [a.get(name) for a in answers]
            reason = output.beyond(arrays, verdicts[name], acceptance, asked)
            if reason:
                return Border(False, f"{name}: {reason}" if len(self._parts) > 1 else reason)
        return Border(True)

    def with_witness(self, verdict: Verdict, answers: Answers) -> Verdict:
        """Adds to a verdict what the intermediate outputs show (e).

        `answers` are the target's for the file that has them as further outputs.
        """
        outputs = [replace(o, witness=self._witness(o.output, answers)) for o in verdict.outputs]
        return replace(verdict, outputs=tuple(outputs))

    @cached_property
    def _parts(self) -> Mapping[str, FloatOutput | DiscreteOutput]:
        return {spec.name: self._part(spec) for spec in self.outputs}

    def _part(self, spec: TensorSpec) -> FloatOutput | DiscreteOutput:
        choice = self.choices.get(spec.name)
        if choice is None and spec.type in FLOATS:
            return FloatOutput(spec, self._pool(spec))
        oracle = tuple(o[spec.name] for o in self.oracle)
        return DiscreteOutput(spec, oracle, choice, self._logits(choice) if choice else ())

    def _pool(self, spec: TensorSpec) -> Pool:
        oracle = tuple(numbers(o[spec.name], "float64") for o in self.oracle)
        simulated = (
            SimulatedOutput(
                s.precision,
                s.form,
                tuple(numbers(o[spec.name], "float32").astype(np.float32) for o in s.outputs),
            )
            for s in self.simulated
        )
        return Pool(oracle, tuple(simulated))

    def _logits(self, choice: Choice) -> tuple[Logits, ...]:
        """The logits of each feed; none where the oracle was not asked for them."""
        if any(choice.tensor not in o for o in self.oracle):
            return ()
        return tuple(
            Logits(
                numbers(wanted[choice.tensor], "float64"),
                {
                    c: [s.outputs[i][choice.tensor] for s in self.simulated if s.precision == c]
                    for c in ORDER
                },
            )
            for i, wanted in enumerate(self.oracle)
        )

    def _unknown(self, answers: Answers) -> list[str]:
        intermediates = {*self.saturated.values(), *(c.tensor for c in self.choices.values())}
        known = {o.name for o in self.outputs} | intermediates
        return sorted({name for a in answers for name in a} - known)

    def _witness(self, output: str, answers: Answers) -> str:
        choice = self.choices.get(output)
        tensor = choice.tensor if choice else self.saturated.get(output)
        everywhere = all(tensor in a for a in (*self.oracle, *answers))
        if tensor is None or not everywhere:
            return ""
        # What comes as uint16 can only be bfloat16's bits; other floats say their own type.
        spec = TensorSpec(tensor, "bfloat16", None)
        return FloatOutput(spec, self._pool(spec)).witness([a[tensor] for a in answers])


def _surplus(name: str) -> JudgedOutput:
    reason = "the file has no such output"
    return JudgedOutput(unmeasured(name, reason), f"wrong: {reason}")


def worst(judged: Sequence[JudgedOutput]) -> JudgedOutput:
    """Finds the output that stands for a target: what is not right first, then the most severe."""
    return max(judged, key=lambda output: (bool(output.fault), severity(output.verdict)))
