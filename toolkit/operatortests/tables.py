"""Counts outcomes by operator and target, and writes them as Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from toolkit.operatortests.outcome import OperatorOutcome, Result

SHOWN: tuple[Result, ...] = ("right", "wrong", "refused", "crashed", "left out")


@dataclass(frozen=True)
class Tally:
    """The outcomes of one target, of all operators or of one."""

    counts: Counter[Result]
    verdicts: Counter[str]
    """Precision → the tests whose right answers have it."""

    @property
    def tried(self) -> int:
        """The tests that were run."""
        return self.counts.total() - self.counts["left out"]

    def text(self) -> str:
        """'12 of 14' right ones, and what the others are: '1 wrong, 1 refused'."""
        others = [f"{self.counts[kind]} {kind}" for kind in SHOWN[1:4] if self.counts[kind]]
        share = f"{self.counts['right']} of {self.tried}" if self.tried else "–"
        return ", ".join([share, *others])


def tally(outcomes: Sequence[OperatorOutcome]) -> Tally:
    """Counts outcomes."""
    return Tally(
        Counter(each.result for each in outcomes),
        Counter(each.verdict for each in outcomes if each.verdict),
    )


def targets(outcomes: Sequence[OperatorOutcome]) -> list[tuple[str, str]]:
    """The targets with their versions, the oracle first."""
    pairs = {(each.target, each.version) for each in outcomes}
    return sorted(pairs, key=lambda pair: (pair[0] != "oracle", pair))


def markdown(outcomes: Sequence[OperatorOutcome]) -> str:
    """The whole report: each target in a line, each operator in a line, and what is not right."""
    lines = [
        "# ONNX's operator tests",
        "",
        *_by_target(outcomes),
        "",
        "## By operator",
        "",
        *_by_operator(outcomes),
        "",
        "## Not right",
        "",
        *_not_right(outcomes),
    ]
    return "\n".join(lines) + "\n"


def _by_target(outcomes: Sequence[OperatorOutcome]) -> list[str]:
    rows = [
        ["target", "version", "tests of onnx", *SHOWN, "precision of the right ones"],
    ]
    for target, version in targets(outcomes):
        own = [each for each in outcomes if (each.target, each.version) == (target, version)]
        counted = tally(own)
        tests = ", ".join(sorted({each.onnx for each in own}))
        verdicts = ", ".join(f"{name} {count}" for name, count in counted.verdicts.most_common())
        counts = [f"{counted.counts[kind]:,}" for kind in SHOWN]
        rows.append([target, version, tests, *counts, verdicts or "–"])
    return _table(rows)


def _by_operator(outcomes: Sequence[OperatorOutcome]) -> list[str]:
    columns = targets(outcomes)
    rows = [["operator", "opsets", *(f"{name} {version}" for name, version in columns)]]
    for operator in sorted({each.operator for each in outcomes}):
        own = [each for each in outcomes if each.operator == operator]
        opsets = sorted({each.opset for each in own})
        span = f"{opsets[0]}" if len(opsets) == 1 else f"{opsets[0]} to {opsets[-1]}"
        cells = [
            tally([each for each in own if (each.target, each.version) == column]).text()
            for column in columns
        ]
        rows.append([operator, span, *cells])
    return _table(rows)


def _not_right(outcomes: Sequence[OperatorOutcome]) -> list[str]:
    rows = [["test", "operator", "opset", "target", "", "reason"]]
    rows += [
        [each.case, each.operator, str(each.opset), each.target, each.result, each.reason]
        for each in sorted(outcomes, key=lambda each: (each.target, each.operator, each.case))
        if each.result not in ("right", "left out")
    ]
    return _table(rows) if len(rows) > 1 else ["Every test that was run is right."]


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    head, *body = [[_cell(text) for text in row] for row in rows]
    rule = ["---"] * len(head)
    return [f"| {' | '.join(row)} |" for row in (head, rule, *body)]


def _cell(text: str) -> str:
    """A reason may hold anything: it stays in its cell, as text."""
    plain = " ".join(text.split()).replace("|", "\\|")
    return plain.replace("<", "&lt;").replace("`", "'")
