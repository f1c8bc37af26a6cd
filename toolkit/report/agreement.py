"""Says how often the top class of a target's answers agrees with the oracle's, and how surely."""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.answers.verdict import OutputVerdict, Verdict
from toolkit.measure.proportions import proportion
from toolkit.records.schema import Run
from toolkit.report.view import ShownTarget
from toolkit.report.words import listed
from toolkit.units import THIN


def words(verdict: Verdict | None) -> str:
    """'top class agrees in 99.2 % (98.9 to 99.5)', of the output in which it does least; empty
    where no output has rows of classes."""
    counted = [] if verdict is None else [*filter(_rows, verdict.outputs)]
    if not counted:
        return ""
    least = min(counted, key=lambda output: _agreeing(output) / _rows(output))
    agrees = proportion(_agreeing(least), _rows(least))
    low, high = 100 * agrees.low, 100 * agrees.high
    return f"top class agrees in {100 * agrees.share:.1f}{THIN}% ({low:.1f} to {high:.1f})"


def sentences(run: Run, targets: Sequence[ShownTarget]) -> list[str]:
    """A sentence for each target that has classes, where `--min-top1-agreement` asked for it; the
    same words stand once."""
    if run.plan.limits.top1 is None:
        return []
    names: dict[str, list[str]] = {}
    for target in targets:
        if text := words(target.verdict):
            names.setdefault(text, []).append(target.name)
    return [f"The {text} on {listed(same)}." for text, same in names.items()]


def _rows(output: OutputVerdict) -> int:
    # A record is untrusted: more changes than rows would be no share.
    rows, changes = output.rows or 0, output.top1_changes
    return rows if changes is not None and 0 <= changes <= rows else 0


def _agreeing(output: OutputVerdict) -> int:
    return _rows(output) - (output.top1_changes or 0)
