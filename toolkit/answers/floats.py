"""Judges one float output, by the whole rule and, in later generations, by its border."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from toolkit.answers.acceptance import (
    Acceptance,
    JudgedOutput,
    fault_of,
    misfit,
    names_of,
    top1_fault,
    type_of,
)
from toolkit.answers.direction import Floats
from toolkit.answers.formats import ORDER, numbers
from toolkit.answers.pool import Pool, flat
from toolkit.answers.rule import (
    FLOAT32_BORDER,
    Fault,
    Finding,
    Named,
    Scale,
    elements,
    times,
)
from toolkit.answers.severity import finest_allowing
from toolkit.answers.verdict import OutputVerdict, unmeasured
from toolkit.oracle.enough import ENOUGH
from toolkit.tensors import Array, TensorSpec
from toolkit.units import number

SHOWN = 8
"""Elements at fault that a verdict names at most: enough to see a pattern."""
SLACK = 1.5
"""An error may be so many times as large as at first: threads change the order of sums."""
LOCAL_FROM = 100
"""Elements from which a median tells something; among fewer the RMS shows a local fault too."""


@dataclass(frozen=True)
class FloatOutput:
    """Holds the oracle's arrays of one float output, and the simulated ones."""

    spec: TensorSpec
    pool: Pool

    def judge(self, arrays: Sequence[Array | None], acceptance: Acceptance) -> JudgedOutput:
        """Follows the whole rule, and then the user's limits.

        `arrays` holds the target's answer to each feed, None for a missing one.
        """
        reason = misfit(self.spec, arrays, self.pool.oracle, acceptance)
        if reason:
            return JudgedOutput(unmeasured(self.spec.name, reason), f"wrong: {reason}")
        shaped = self._shaped(arrays, acceptance)
        values = flat(shaped)
        finding = self._find(values)
        verdict = self._measured(values, finding)
        verdict = _with_classes(verdict, shaped, self.pool.oracle)
        return JudgedOutput(verdict, self._fault(verdict, finding, values, acceptance))

    def beyond(
        self,
        arrays: Sequence[Array | None],
        first: OutputVerdict,
        acceptance: Acceptance,
        feeds: Sequence[int],
    ) -> str:
        """Says why some answers are worse than the first verdict; empty: they are not.

        `feeds` are the numbers of the feeds that `arrays` answer.
        """
        pool = self.pool.part(feeds)
        reason = misfit(self.spec, arrays, pool.oracle, acceptance)
        if reason or "wrong" in first.names:
            return reason  # an answer that was wrong at first is held to no more than its form
        values = flat(self._shaped(arrays, acceptance))
        if pool.off_limits(values).size:
            return "NaN or Inf where the oracle's is not"
        if pool.scale is None or self.pool.scale is None:
            return ""
        return _beyond(pool.table(values), pool.scale, self.pool.scale, first)

    def witness(self, arrays: Sequence[Array | None]) -> str:
        """Puts the finding on an intermediate output into words."""
        values = flat([numbers(np.asarray(a), self.spec.type) for a in arrays])
        finding = self._find(values)
        return f"{' or '.join(names_of(finding))} ({finding.evidence})"

    def _shaped(self, arrays: Sequence[Array | None], acceptance: Acceptance) -> list[Floats]:
        return [numbers(a, type_of(self.spec, a, acceptance)) for a in arrays if a is not None]

    def _find(self, values: Floats) -> Finding:
        off = self.pool.off_limits(values)
        if off.size:
            return Fault("wrong", f"NaN or Inf in {elements(off.size)}, unlike the oracle", off)
        scale = self.pool.scale
        if scale is None:
            return Named(ORDER, "nothing to judge: no element is finite in float32")
        finding = scale.judge(self.pool.table(values))
        few = scale.oracle.size < ENOUGH
        doubt = f"; only {elements(scale.oracle.size)}, {ENOUGH:,} make it sure" if few else ""
        finding = replace(finding, evidence=finding.evidence + doubt)
        if isinstance(finding, Fault):
            # The scale counts the judged elements alone; a verdict counts all.
            return replace(finding, few=self.pool.judged[finding.few])
        return finding

    def _measured(self, values: Floats, finding: Finding) -> OutputVerdict:
        """Adds the figures to a finding."""
        bare = replace(unmeasured(self.spec.name, finding.evidence), names=names_of(finding))
        if not values.size:
            return bare
        scale = self.pool.scale
        factor = self._size(values, scale) / scale.noise if scale else float("nan")
        with np.errstate(invalid="ignore"):
            errors = np.abs(values - self.pool.wanted)
        judged = errors[self.pool.judged]
        few: list[int] = finding.few[:SHOWN].tolist() if isinstance(finding, Fault) else []
        # NaN and Inf have no size; where they are at fault they stand in `few`.
        largest = int(np.argmax(np.where(np.isfinite(errors), errors, -1.0)))
        worst = few[0] if few else largest
        return replace(
            bare,
            elements=values.size,
            factor=number(factor),
            max_abs=number(judged.max(initial=0.0)),
            rms=number(np.sqrt(np.mean(judged**2)) if judged.size else 0.0),
            worst=self.pool.index(worst),
            got=number(values[worst]),
            expected=number(self.pool.wanted[worst]),
            few=tuple(self.pool.index(i) for i in few),
            bands=scale.relative_bands() if scale else {},
        )

    def _size(self, values: Floats, scale: Scale) -> float:
        return scale.rms(self.pool.table(values) - scale.oracle)

    def _fault(
        self, verdict: OutputVerdict, finding: Finding, values: Floats, acceptance: Acceptance
    ) -> str:
        limits = acceptance.limits
        faults = []
        if limits.accept or not limits.measured():
            unnamed = isinstance(finding, Fault) and finding.name != "wrong"
            coarsest = finest_allowing(verdict) if unnamed else None
            faults.append(fault_of(finding, acceptance, coarsest))
        if limits.atol is not None or limits.rtol is not None:
            atol, rtol = limits.atol or 0.0, limits.rtol or 0.0
            faults.append(_tolerance_fault(values, self.pool.wanted, atol, rtol))
        if limits.top1 is not None:
            faults.append(top1_fault(verdict, limits.top1))
        return "; ".join(f for f in faults if f)


def _beyond(values: Floats, part: Scale, whole: Scale, first: OutputVerdict) -> str:
    """Compares the answers to some feeds with the first verdict, which was on all of them."""
    error = values - part.oracle
    size = part.rms(error)
    # The noise of a few feeds may lie below that of all by chance.
    noise = max(part.noise, whole.noise)
    named = [c for c in part.classes if c in first.names]
    highest = max((part.band(c)[1] for c in named), default=0.0)
    allowed = max(FLOAT32_BORDER * noise, highest, SLACK * float(first.rms))
    if size > allowed:
        was = times(float(first.factor))
        return f"RMS error {times(size / noise)} times that of plain float32, at first {was}"
    near = named or list(part.classes)
    if error.size >= LOCAL_FROM and part.few_at_fault(error, near).size:
        return "a few elements are far worse than the others"
    return ""


def _tolerance_fault(values: Floats, wanted: Floats, atol: float, rtol: float) -> str:
    """Says how many elements numpy.isclose refuses, NaN being equal to NaN; empty: none."""
    close = np.isclose(values, wanted, rtol=rtol, atol=atol, equal_nan=True)
    if close.all():
        return ""
    return f"{elements(int(np.count_nonzero(~close)))} beyond atol {atol:g} and rtol {rtol:g}"


def _with_classes(
    verdict: OutputVerdict, answers: Sequence[Floats], oracle: Sequence[Floats]
) -> OutputVerdict:
    """Counts the rows whose largest element is another one, if the output may hold classes."""
    # Rows of classes stand in the last axis: of an image's labels or of each token of a text.
    if any(o.ndim not in (2, 3) or o.shape[-1] < 2 or np.isnan(o).any() for o in oracle):
        return verdict
    changes = rows = 0
    for mine, wanted in zip(answers, oracle, strict=True):
        at = np.argmax(mine, axis=-1, keepdims=True)
        # By the oracle's value, not its index: where two are equal either may be the largest.
        changes += int(
            np.count_nonzero(np.take_along_axis(wanted, at, -1)[..., 0] < wanted.max(-1))
        )
        rows += at.size
    return replace(verdict, top1_changes=changes, rows=rows)
