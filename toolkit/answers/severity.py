"""The one order of severity: which of two verdicts is the worse one.

S1  A class counts by its rank (`formats.RANK`). Of several names the finest counts, since the
    output has not been shown to be coarser. So float32 among others is as coarse as float32.
S2  "between" lies in a gap between the bands of two classes: half a rank finer than the class whose
    band begins above it, but never finer than one whose band ends below it. "Coarser than float32,
    finer than any lower class" is its most frequent case and has half a rank.
S3  "less than float32" lies in the band of a lower class, but few elements would show which. It is
    as coarse as the finest lower class that still allows its error: none coarser has been shown.
S4  "wrong" is worse than every class.
S5  What shows no precision ("exact": integers that agree) is milder than every class, and never
    stands for a target that has floats.
S6  Of two that are equally coarse the one without a single name is in doubt, and stands for the
    target. It is not called coarser for that: a small change of an error that lies at the edge of
    two bands moves it from float32 to float32 among others and back.
S7  New answers are worse than old ones where they come to more (`verdict.ANSWERS`: less precise,
    wrong), or are coarser (S1 to S5), whatever either declares. What was refuted is never worse
    for being coarse where that was not shown before, and what is only not shown is not worse.
S8  The user may have said that it is good enough: by a class that is no finer, or by a number that
    holds in place of the class.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from toolkit.answers.formats import ORDER, RANK, Precision
from toolkit.answers.verdict import ANSWERS, Limits, OutputVerdict, Verdict

FINEST_LOWER = min(rank for rank in RANK.values() if rank)
"""The rank of an unnamed verdict from a record that holds no bands."""
HALF = 0.5
"""A gap is so much finer than the class above it; any number between 0 and 1 orders the same."""


@dataclass(frozen=True, order=True)
class VerdictRank:
    """Says how bad a verdict is; the larger is the worse."""

    coarseness: float
    """The rank of a class (float32: 0), a number between two ranks, -1 or infinite."""
    in_doubt: bool
    """It has no single name. Decides between verdicts that are equally coarse (S6)."""


def severity(output: OutputVerdict) -> VerdictRank:
    """Ranks the verdict on one output."""
    (first, *others) = output.names
    if first == "wrong":
        return VerdictRank(float("inf"), False)  # S4
    if output.exact:
        return VerdictRank(-1, False)  # S5
    if first == "between":
        return VerdictRank(_gap(output), False)  # S2
    if first == "less than float32":
        coarser = finest_allowing(output)
        return VerdictRank(RANK[coarser] if coarser else FINEST_LOWER, True)  # S3
    ranks = [RANK[name] for name in output.names if name in RANK]
    return VerdictRank(min(ranks), bool(others))  # S1


def coarser(now: Verdict, was: Verdict) -> bool:
    """Says whether a target's verdict is coarser than another one, each by its worst output."""
    return _of_target(now).coarseness > _of_target(was).coarseness


def worse(now: Verdict, was: Verdict, limits: Limits) -> bool:
    """Says whether new answers are worse than the old ones (S7), and were not accepted (S8)."""
    if not now.refuted:
        return not was.refuted and coarser(now, was) and not _accepted(now, limits)
    if now.answer == was.answer:
        return coarser(now, was)
    return ANSWERS.index(now.answer) > ANSWERS.index(was.answer)


def _accepted(now: Verdict, limits: Limits) -> bool:
    if limits.measured() and now.right:
        return True
    return limits.accept is not None and _of_target(now).coarseness <= RANK[limits.accept]


def acceptable_as(verdict: Verdict) -> Precision | None:
    """Finds the class by which a user would accept a verdict; None: by no class."""
    coarse = _of_target(verdict).coarseness
    named = [name for output in verdict.outputs for name in output.names if name in RANK]
    fitting = [c for c in ORDER if RANK[c] >= coarse]
    # Of several that the verdict names, the one that the file or the runtime declares.
    order = [c for c in fitting if c == verdict.declared and c in named]
    order += [c for c in fitting if c in named]
    return next(iter([*order, *fitting]), None)


def finest_allowing(output: OutputVerdict) -> Precision | None:
    """Finds the finest lower class whose band ends above the error; None where there is none.

    An output without a name is at least as precise as this class.
    """
    return next((c for c, high in _lower(output).items() if float(output.factor) <= high), None)


def _of_target(verdict: Verdict) -> VerdictRank:
    return max(severity(output) for output in verdict.outputs)


def _gap(output: OutputVerdict) -> float:
    above = finest_allowing(output)
    rank = RANK[above] if above else FINEST_LOWER
    below = [RANK[c] for c, high in _lower(output).items() if high < float(output.factor)]
    # tf32 and float16 share a rank: between those two is no finer than either.
    return max([rank - HALF, *below])


def _lower(output: OutputVerdict) -> Mapping[Precision, float]:
    """The lower classes, finest first, with the factors at which their bands end."""
    return {c: high for c, (_, high) in output.bands.items() if c != "float32"}
