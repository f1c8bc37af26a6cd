"""Judges one output of integers, booleans, strings or indices, by a verdict and by its border."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from toolkit.answers import indices
from toolkit.answers.acceptance import (
    Acceptance,
    held,
    measured,
    misfit,
    names_of,
    top1_reason,
    with_moved,
)
from toolkit.answers.formats import RANK
from toolkit.answers.indices import Choice, Logits
from toolkit.answers.rule import Finding, Named
from toolkit.answers.verdict import OutputVerdict, unmeasured
from toolkit.tensors import BITS, Array, TensorSpec

UNSCORED = ", and the scores that they were chosen by were not shown to be right"


@dataclass(frozen=True)
class DiscreteOutput:
    """Holds the oracle's arrays of one output, and the logits that it points into."""

    spec: TensorSpec
    oracle: tuple[Array, ...]
    """One array for each feed."""
    choice: Choice | None = None
    """The operator that made the indices; None: it holds no indices."""
    logits: Callable[[], tuple[Logits, ...]] = tuple
    """Gives the logits of each feed; none where the oracle does not know them."""
    moved: int = 0
    """Slices that the oracle's arrays hold by the target's choice among equals, not by its own."""

    def judge(self, arrays: Sequence[Array | None], acceptance: Acceptance) -> OutputVerdict:
        """Demands equality, but for indices among near ties; then the user's limits.

        `arrays` holds the target's answer to each feed, None for a missing one.
        """
        reason = misfit(self.spec, arrays, self.oracle, acceptance)
        if reason:
            return unmeasured(self.spec.name, reason)
        answers = [a for a in arrays if a is not None]
        values = [self._values(a, o) for a, o in zip(answers, self.oracle, strict=True)]
        finding, flips = self._find(values)
        return self._judged(with_moved(finding, self.moved), flips, acceptance)

    def _values(self, answer: Array, wanted: Array) -> Array:
        """Gives an answer that came as its bits, such as float8's, the oracle's own type."""
        is_bits = self.spec.type in BITS and answer.dtype == BITS[self.spec.type]
        fits = answer.dtype.itemsize == wanted.dtype.itemsize
        return answer.view(wanted.dtype) if is_bits and fits else answer

    def short(self, arrays: Sequence[Array | None], acceptance: Acceptance) -> OutputVerdict | None:
        """Judges by float32's errors alone; None where an index flipped that they do not
        explain."""
        judged = self.judge(arrays, acceptance)
        is_flip = self.choice is not None and judged.elements > 0
        return None if is_flip and "float32" not in judged.names else judged

    def _judged(self, finding: Finding, flips: Array, acceptance: Acceptance) -> OutputVerdict:
        comes_to = held(finding, acceptance, None)
        verdict = replace(
            unmeasured(self.spec.name, finding.evidence),
            names=names_of(finding),
            answer=comes_to.answer,
            reason=comes_to.reason,
            exact=isinstance(finding, Named) and finding.exact,
            elements=flips.size,
            top1_changes=int(flips.sum()) + self.moved if self.choice else None,
            rows=flips.size if self.choice else None,
        )
        if verdict.answer == "not shown":
            verdict = replace(verdict, reason=f"{finding.evidence}{UNSCORED}")
        if not self.choice or acceptance.limits.top1 is None:
            return verdict
        reason = top1_reason(verdict, acceptance.limits.top1)
        return replace(verdict, answer=measured(finding, reason), reason=reason)

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
        judged = self._part(feeds).judge(arrays, acceptance)
        finest, was = (_finest(v) for v in (judged, first))
        return "" if finest <= was else judged.evidence

    def shortly_beyond(
        self,
        arrays: Sequence[Array | None],
        first: OutputVerdict,
        acceptance: Acceptance,
        feeds: Sequence[int],
    ) -> str | None:
        """Says the same by float32's errors alone; None where these do not settle it."""
        judged = self._part(feeds).short(arrays, acceptance)
        return None if judged is None else self.beyond(arrays, first, acceptance, feeds)

    def _part(self, feeds: Sequence[int]) -> DiscreteOutput:
        def logits() -> tuple[Logits, ...]:
            every = self.logits()
            return tuple(every[i] for i in feeds) if every else ()

        return replace(self, oracle=tuple(self.oracle[i] for i in feeds), logits=logits)

    def _find(self, arrays: Sequence[Array]) -> tuple[Finding, Array]:
        finding, flips = indices.equal(arrays, self.oracle)
        if self.choice is None:
            return finding, flips
        if not flips.any():
            return indices.agreeing(flips.size), flips
        # The logits are asked for only here: where nothing flipped they need not be known.
        if logits := self.logits():
            return indices.judge(arrays, self.oracle, logits, self.choice)
        return finding, flips


def _finest(verdict: OutputVerdict) -> int:
    unnamed = max(RANK.values()) + 1
    return min((RANK[n] for n in verdict.names if n in RANK), default=unnamed)
