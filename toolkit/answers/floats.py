"""Judges one float output, by the whole rule and, in later generations, by its border."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from toolkit.answers import silence
from toolkit.answers.acceptance import (
    Acceptance,
    Held,
    held,
    measured,
    misfit,
    names_of,
    top1_reason,
    type_of,
    with_moved,
)
from toolkit.answers.choosing import Taken
from toolkit.answers.direction import Floats
from toolkit.answers.formats import ORDER, Precision, real
from toolkit.answers.near import Asked
from toolkit.answers.pieces import (
    FAR_OUT,
    STANDS_OUT,
    Measures,
    PlainOutput,
    measure,
    standing_out,
)
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
from toolkit.answers.verdict import ANSWERS, OutputVerdict, unmeasured
from toolkit.oracle.enough import ENOUGH
from toolkit.tensors import Array, TensorSpec
from toolkit.units import number

SHOWN = 8
"""Elements at fault that a verdict names at most: enough to see a pattern."""
SLACK = 1.5
"""An error may be so many times as large as at first: threads change the order of sums."""
NOTHING = "nothing to judge: no element is finite in float32"
SPECIAL = "NaN or Inf where the oracle's is not"
LOCAL_FROM = 100
"""Elements from which a median tells something; among fewer the RMS shows a local fault too."""


@dataclass(frozen=True)
class FloatOutput:
    """Holds the oracle's arrays of one float output, and the simulated ones."""

    spec: TensorSpec
    pool: Pool
    taken: Taken | None = None
    """The choice by which the oracle's and the simulations' arrays were gathered, where there is
    one."""
    saturating: bool = False
    """It stands behind an activation that saturates."""
    moved_only: bool = False
    """The file computes none of its values, but moves them from where they are given."""
    unfed: bool = False
    """No value of an input decides it."""

    @property
    def moved(self) -> int:
        """Slices that the oracle's arrays hold by the target's choice among equals, not by its
        own."""
        return 0 if self.taken is None else self.taken.moved

    def judge(self, arrays: Sequence[Array | None], acceptance: Acceptance) -> OutputVerdict:
        """Follows the whole rule, and then the user's limits.

        `arrays` holds the target's answer to each feed, None for a missing one.
        """
        reason = misfit(self.spec, arrays, self.pool.oracle, acceptance)
        if reason:
            return unmeasured(self.spec.name, reason)
        answers = self._shaped(arrays, acceptance)
        finding = with_moved(self._find(answers), self.moved)
        bands = self.pool.scale.relative_bands() if self.pool.scale else {}
        return self._judged(answers, measure(self.pool.plain, answers), finding, bands, acceptance)

    def short(
        self, arrays: Sequence[Array | None], acceptance: Acceptance, asked: Asked
    ) -> OutputVerdict | None:
        """Follows the short rule, which asks no more than float32 and the formats near it.

        None: the answers need the whole rule. What it does settle, that one would settle alike.
        """
        reason = misfit(self.spec, arrays, self.pool.oracle, acceptance)
        if reason:
            return unmeasured(self.spec.name, reason)
        answers = self._shaped(arrays, acceptance)
        measures = measure(self.pool.plain, answers)
        finding = self._find_shortly(answers, measures, asked)
        if finding is None:
            return None
        finding = with_moved(finding, self.moved)
        bands = asked.near().bands() if names_of(finding) == ("float32",) else {}
        return self._judged(answers, measures, finding, bands, acceptance)

    def _find_shortly(
        self, answers: Sequence[Array], measures: Measures, asked: Asked
    ) -> Finding | None:
        if measures.off.size:
            return _off_limits(measures.off)
        noise = self.pool.plain.noise
        if not noise.judged:
            return Named(ORDER, NOTHING, silent=True)
        factor = measures.size / noise.rms
        if measures.size > FLOAT32_BORDER * noise.rms or not asked.near().is_clear(factor):
            return None
        if self._stands_out(answers, measures, asked):
            return None
        words = f"RMS error {times(factor)} times that of plain float32"
        finding = Named(("float32",), f"{words}; up to {FLOAT32_BORDER:g} is float32")
        return _with_doubt(self._with_cause(finding, answers), noise.judged)

    def _stands_out(self, answers: Sequence[Array], measures: Measures, asked: Asked) -> bool:
        """Says whether an element may stand out in the whole rule; not where its own error in
        float32, or those of the near formats, show that it is as sensitive."""
        if not STANDS_OUT < measures.stands_out <= FAR_OUT:
            return measures.stands_out > FAR_OUT
        plain = self.pool.plain
        far = standing_out(plain, answers, measures.median)
        if not far.indices.size:
            return False
        feeds = sorted({plain.index(int(index))[0] for index in far.indices})
        return far.by(plain, asked.on(feeds)) > STANDS_OUT

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
            return SPECIAL
        if pool.scale is None or self.pool.scale is None:
            return ""
        return _beyond(pool.table(values), pool.scale, self.pool.scale, first)

    def shortly_beyond(
        self,
        arrays: Sequence[Array | None],
        first: OutputVerdict,
        acceptance: Acceptance,
        feeds: Sequence[int],
    ) -> str | None:
        """Says the same as `beyond` by float32's errors alone; None where these do not settle
        it."""
        pool = self.pool.part(feeds)
        reason = misfit(self.spec, arrays, pool.oracle, acceptance)
        if reason or "wrong" in first.names:
            return reason
        measures = measure(pool.plain, self._shaped(arrays, acceptance))
        noise = max(pool.plain.noise.rms, self.pool.plain.noise.rms)
        if measures.off.size:
            return SPECIAL
        if not (pool.plain.noise.judged and self.pool.plain.noise.judged):
            return ""
        if first.names != ("float32",):
            return None
        if measures.size > max(FLOAT32_BORDER * noise, SLACK * float(first.rms)):
            return _larger(measures.size, noise, first)
        stands_out = pool.plain.size >= LOCAL_FROM and measures.stands_out > STANDS_OUT
        return None if stands_out else ""

    def witness(self, arrays: Sequence[Array | None]) -> Finding:
        """Finds what an intermediate output may have been computed in."""
        return self._find([real(np.asarray(a), self.spec.type) for a in arrays])

    def short_witness(self, arrays: Sequence[Array | None], asked: Asked) -> Finding | None:
        """Finds the same by the short rule; None where that does not settle it."""
        answers = [real(np.asarray(a), self.spec.type) for a in arrays]
        return self._find_shortly(answers, measure(self.pool.plain, answers), asked)

    def _shaped(self, arrays: Sequence[Array | None], acceptance: Acceptance) -> list[Array]:
        """The answers as real numbers; floats of numpy's own types are not copied."""
        return [real(a, type_of(self.spec, a, acceptance)) for a in arrays if a is not None]

    def _find(self, answers: Sequence[Array]) -> Finding:
        values = flat(answers)
        off = self.pool.off_limits(values)
        if off.size:
            return _off_limits(off)
        scale = self.pool.scale
        if scale is None:
            return Named(ORDER, NOTHING, silent=True)
        if self.moved_only and _are_equal(answers, self.pool.plain.plain):
            return Named(ORDER, f"equal in all {values.size:,}, which are only moved", exact=True)
        finding = self._with_cause(scale.judge(self.pool.table(values)), answers)
        finding = _with_doubt(finding, scale.oracle.size)
        if isinstance(finding, Fault):
            # The scale counts the judged elements alone; a verdict counts all.
            return replace(finding, few=self.pool.place(finding.few))
        return finding

    def _with_cause(self, finding: Finding, answers: Sequence[Array]) -> Finding:
        """Adds why float32 cannot be told from less, where that is so. What is the same whatever is
        fed and agrees in every bit shows nothing: what computes it may be broken."""
        if isinstance(finding, Fault) or "float32" not in finding.names:
            return finding
        if self._is_constant and _are_equal(answers, [self._rounded]):
            return replace(finding, evidence=f"{silence.CONSTANT}{finding.evidence}", silent=True)
        if len(finding.names) < 2:
            return finding
        cause = silence.cause(self.pool.oracle, saturating=self.saturating)
        return replace(finding, evidence=f"{cause}{finding.evidence}")

    @cached_property
    def _rounded(self) -> Sequence[Array]:
        """The oracle's values as float32 holds them, which are infinite where it overflows."""
        with np.errstate(over="ignore"):
            return [array.astype(np.float32) for array in self.pool.oracle]

    @cached_property
    def _is_constant(self) -> bool:
        return not self.unfed and silence.is_constant(self.pool.oracle)

    def _judged(
        self,
        answers: Sequence[Array],
        measures: Measures,
        finding: Finding,
        bands: dict[Precision, tuple[float, float]],
        acceptance: Acceptance,
    ) -> OutputVerdict:
        """Adds the figures to a finding, and holds it against what was promised."""
        verdict = self._measured(answers, measures, finding, bands)
        if isinstance(finding, Named) and finding.exact:
            verdict = replace(verdict, exact=True)
        verdict = _with_classes(verdict, answers, self.pool.oracle)
        held_to = self._held(verdict, finding, answers, acceptance)
        return replace(verdict, answer=held_to.answer, reason=held_to.reason)

    def _measured(
        self,
        answers: Sequence[Array],
        measures: Measures,
        finding: Finding,
        bands: dict[Precision, tuple[float, float]],
    ) -> OutputVerdict:
        bare = replace(unmeasured(self.spec.name, finding.evidence), names=names_of(finding))
        plain = self.pool.plain
        if not plain.size:
            return bare
        few: list[int] = finding.few[:SHOWN].tolist() if isinstance(finding, Fault) else []
        # NaN and Inf have no size; where they are at fault they stand in `few`.
        worst = plain.index(few[0] if few else measures.worst)
        feed, *place = worst
        noise = plain.noise
        return replace(
            bare,
            elements=plain.size,
            factor=number(measures.size / noise.rms if noise.judged else float("nan")),
            max_abs=number(measures.largest),
            rms=number(measures.rms),
            worst=worst,
            got=number(answers[feed][tuple(place)]),
            expected=number(plain.oracle[feed][tuple(place)]),
            few=tuple(plain.index(i) for i in few),
            bands=bands,
        )

    def _held(
        self,
        verdict: OutputVerdict,
        finding: Finding,
        answers: Sequence[Array],
        acceptance: Acceptance,
    ) -> Held:
        """What the finding and the user's numbers come to together."""
        limits = acceptance.limits
        parts = []
        if limits.accept or not limits.measured():
            unnamed = isinstance(finding, Fault) and finding.name != "wrong"
            coarsest = finest_allowing(verdict) if unnamed else None
            parts.append(held(finding, acceptance, coarsest))
        reasons = []
        if limits.atol is not None or limits.rtol is not None:
            atol, rtol = limits.atol or 0.0, limits.rtol or 0.0
            reasons.append(_beyond_tolerance(self.pool.plain, answers, atol, rtol))
        if limits.top1 is not None:
            reasons.append(top1_reason(verdict, limits.top1))
        parts += [Held(measured(finding, reason), reason) for reason in reasons]
        answer = max((part.answer for part in parts), key=ANSWERS.index)
        return Held(answer, "; ".join(part.reason for part in parts if part.reason))


def _are_equal(answers: Sequence[Array], plain: Sequence[Sequence[Array]]) -> bool:
    """Says whether answers are one of float32's evaluations, element by element."""
    return any(
        all(np.array_equal(a, p, equal_nan=True) for a, p in zip(answers, form, strict=True))
        for form in plain
    )


def _off_limits(off: Array) -> Fault:
    return Fault("wrong", f"NaN or Inf in {elements(off.size)}, unlike the oracle", off)


def _with_doubt(finding: Finding, size: int) -> Finding:
    """Adds that more elements would make it sure."""
    doubt = f"; only {elements(size)}, {ENOUGH:,} make it sure" if size < ENOUGH else ""
    return replace(finding, evidence=finding.evidence + doubt)


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
        return _larger(size, noise, first)
    near = named or list(part.classes)
    if error.size >= LOCAL_FROM and part.few_at_fault(error, near).size:
        return "a few elements are far worse than the others"
    return ""


def _larger(size: float, noise: float, first: OutputVerdict) -> str:
    was = times(float(first.factor))
    return f"RMS error {times(size / noise)} times that of plain float32, at first {was}"


def _beyond_tolerance(
    output: PlainOutput, answers: Sequence[Array], atol: float, rtol: float
) -> str:
    """Says how many elements numpy.isclose refuses, NaN being equal to NaN; empty: none."""
    far = sum(
        int(np.count_nonzero(~np.isclose(values, piece.wanted, rtol, atol, equal_nan=True)))
        for piece, values in output.pieces(answers)
    )
    return f"{elements(far)} beyond atol {atol:g} and rtol {rtol:g}" if far else ""


def _with_classes(
    verdict: OutputVerdict, answers: Sequence[Array], oracle: Sequence[Array]
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
