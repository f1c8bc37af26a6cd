"""Judges one output of integers, booleans, strings or indices, by a verdict and by its border."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from toolkit.answers import indices
from toolkit.answers.acceptance import (
    Acceptance,
    JudgedOutput,
    fault_of,
    misfit,
    names_of,
    top1_fault,
)
from toolkit.answers.formats import RANK
from toolkit.answers.indices import Choice, Logits
from toolkit.answers.rule import Finding
from toolkit.answers.verdict import OutputVerdict, unmeasured
from toolkit.tensors import Array, TensorSpec


@dataclass(frozen=True)
class DiscreteOutput:
    """Holds the oracle's arrays of one output, and the logits that it points into."""

    spec: TensorSpec
    oracle: tuple[Array, ...]
    """One array for each feed."""
    choice: Choice | None = None
    """The operator that made the indices; None: it holds no indices."""
    logits: tuple[Logits, ...] = ()
    """The logits of each feed; empty where the oracle was not asked for them."""

    def judge(self, arrays: Sequence[Array | None], acceptance: Acceptance) -> JudgedOutput:
        """Demands equality, but for indices among near ties; then the user's limits.

        `arrays` holds the target's answer to each feed, None for a missing one.
        """
        reason = misfit(self.spec, arrays, self.oracle, acceptance)
        if reason:
            return JudgedOutput(unmeasured(self.spec.name, reason), f"wrong: {reason}")
        finding, flips = self._find([a for a in arrays if a is not None])
        verdict = replace(
            unmeasured(self.spec.name, finding.evidence),
            names=names_of(finding),
            elements=flips.size,
            top1_changes=int(flips.sum()) if self.choice else None,
            rows=flips.size if self.choice else None,
        )
        fault = fault_of(finding, acceptance, None)
        if self.choice and acceptance.limits.top1 is not None:
            fault = top1_fault(verdict, acceptance.limits.top1)
        return JudgedOutput(verdict, fault)

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
        oracle = tuple(self.oracle[i] for i in feeds)
        logits = tuple(self.logits[i] for i in feeds) if self.logits else ()
        judged = replace(self, oracle=oracle, logits=logits).judge(arrays, acceptance)
        finest, was = (_finest(v) for v in (judged.verdict, first))
        return "" if finest <= was else judged.verdict.evidence

    def _find(self, arrays: Sequence[Array]) -> tuple[Finding, Array]:
        if self.choice is not None and self.logits:
            return indices.judge(arrays, self.oracle, self.logits, self.choice)
        return indices.equal(arrays, self.oracle)


def _finest(verdict: OutputVerdict) -> int:
    unnamed = max(RANK.values()) + 1
    return min((RANK[n] for n in verdict.names if n in RANK), default=unnamed)
