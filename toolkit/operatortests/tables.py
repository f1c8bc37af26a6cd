"""Counts outcomes by operator and target, and writes them as Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, TypeAlias

from toolkit.operatortests import exceptions
from toolkit.operatortests.outcome import FLOAT32, OperatorOutcome

Shown: TypeAlias = Literal[
    "right", "less precise", "wrong", "refused", "crashed", "left out", "not run"
]
"""A result as it is told. `less precise` is right within ONNX's tolerances, and coarser than
float32 by toolkit's rule; `not run` is a test that another target of the ledger has."""
SHOWN: tuple[Shown, ...] = (
    "right", "less precise", "wrong", "refused", "crashed", "left out", "not run",
)  # fmt: skip
FAILS: tuple[Shown, ...] = ("less precise", "wrong", "refused", "crashed")
LONGEST = 240
"""Letters of a reason that are shown; the ledger has the whole of it."""

Column: TypeAlias = tuple[str, str]
"""A target and the version of its library."""


@dataclass(frozen=True)
class Tally:
    """The outcomes of one target, of all operators or of one."""

    counts: Counter[Shown]
    verdicts: Counter[str]
    """Precision → the tests whose right answers have it."""

    @property
    def tried(self) -> int:
        """The tests that were run."""
        return self.counts.total() - self.counts["left out"] - self.counts["not run"]

    def run(self) -> str:
        """'1,998', all tests but those that are left out, or '314 of 2,024' where some were not
        run yet."""
        all_tests = f" of {self.counts.total():,}" if self.counts["not run"] else ""
        return f"{self.tried:,}{all_tests}"

    def text(self) -> str:
        """'12 of 14' right ones, and what the others are: '1 wrong, 1 refused'."""
        share = f"{self.counts['right']:,} of {self.tried:,}" if self.tried else "–"
        return ", ".join([share, *self.others()])

    def others(self) -> list[str]:
        """The tests that fail, by kind, and those that were not run: ['1 wrong', '1 refused']."""
        failed = [f"{self.counts[kind]:,} {kind}" for kind in FAILS if self.counts[kind]]
        missing = self.counts["not run"] if self.tried else 0
        return [*failed, f"{missing:,} not run"] if missing else failed


@dataclass(frozen=True)
class OperatorRow:
    """One operator with what came of its tests."""

    operator: str
    opsets: str
    """'13', or '6 to 22'."""
    tallies: dict[Column, Tally]
    failing: dict[str, list[OperatorOutcome]]
    """The tests that are not right on some target → their outcomes there."""


def shown(outcome: OperatorOutcome) -> Shown:
    """Gives an outcome's result as it is told."""
    is_coarse = outcome.result == "right" and outcome.verdict not in FLOAT32
    return "less precise" if is_coarse else outcome.result


def tally(outcomes: Iterable[OperatorOutcome], of: int = 0) -> Tally:
    """Counts outcomes; `of` is the number of tests, those that were not run among them."""
    own = [*outcomes]
    counts: Counter[Shown] = Counter(map(shown, own))
    if of > len(own):
        counts["not run"] = of - len(own)
    return Tally(counts, Counter(each.verdict for each in own if each.verdict))


def targets(outcomes: Iterable[OperatorOutcome]) -> list[Column]:
    """The targets with their versions, the oracle first."""
    pairs = {_column(each) for each in outcomes}
    return sorted(pairs, key=lambda pair: (pair[0] != "oracle", pair))


def by_target(outcomes: Sequence[OperatorOutcome]) -> dict[Column, Tally]:
    """The targets, the oracle first, with what came of all tests."""
    columns = targets(outcomes)
    return _tallies(outcomes, columns)


def by_operator(outcomes: Sequence[OperatorOutcome]) -> list[OperatorRow]:
    """The operators in the order of their names."""
    columns = targets(outcomes)
    ordered = sorted(outcomes, key=lambda each: (each.operator.lower(), each.operator, each.case))
    return [
        _row(operator, [*own], columns)
        for operator, own in groupby(ordered, key=lambda each: each.operator)
    ]


def reason(outcome: OperatorOutcome) -> str:
    """Why a test is not right, in one line: a verdict's name where it is less precise."""
    text = f"its precision: {outcome.verdict}" if shown(outcome) == "less precise" else ""
    return shortened(text or outcome.reason)


def shortened(text: str) -> str:
    """Gives a text in one line that is not too long for a table."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1].rstrip()}…"


def oracles_exceptions(outcomes: Iterable[OperatorOutcome]) -> list[tuple[OperatorOutcome, str]]:
    """The tests that the oracle does not pass, each with the reason; empty where none is known."""
    failed = [each for each in outcomes if each.target == "oracle" and shown(each) in FAILS]
    return [(each, exceptions.reason(each.case)) for each in sorted(failed, key=_of_operator)]


def _column(outcome: OperatorOutcome) -> Column:
    return outcome.target, outcome.version


def _of_operator(outcome: OperatorOutcome) -> tuple[str, str]:
    return outcome.operator.lower(), outcome.case


def _tallies(outcomes: Sequence[OperatorOutcome], columns: Sequence[Column]) -> dict[Column, Tally]:
    count = len({each.case for each in outcomes})
    own: dict[Column, list[OperatorOutcome]] = {column: [] for column in columns}
    for each in outcomes:
        own[_column(each)].append(each)
    return {column: tally(own[column], count) for column in columns}


def _row(operator: str, own: Sequence[OperatorOutcome], columns: Sequence[Column]) -> OperatorRow:
    opsets = sorted({each.opset for each in own})
    span = f"{opsets[0]}" if len(opsets) == 1 else f"{opsets[0]} to {opsets[-1]}"
    failing: dict[str, list[OperatorOutcome]] = {}
    for each in sorted(own, key=lambda each: (each.case, columns.index(_column(each)))):
        if shown(each) in FAILS:
            failing.setdefault(each.case, []).append(each)
    return OperatorRow(operator, span, _tallies(own, columns), failing)


def markdown(outcomes: Sequence[OperatorOutcome]) -> str:
    """The whole report: each target in a line, each operator in a line, and what is not right."""
    lines = [
        "# ONNX's operator tests",
        "",
        *_by_target(outcomes),
        "",
        *_exceptions(outcomes),
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
    rows = [["target", "version", "tests of onnx", "run", *SHOWN, "precision of the right ones"]]
    for column, counted in by_target(outcomes).items():
        tests = ", ".join(sorted({each.onnx for each in outcomes if _column(each) == column}))
        verdicts = ", ".join(f"{name} {count:,}" for name, count in counted.verdicts.most_common())
        counts = [f"{counted.counts[kind]:,}" for kind in SHOWN]
        rows.append([*column, tests, counted.run(), *counts, verdicts or "–"])
    return _table(rows)


def _exceptions(outcomes: Sequence[OperatorOutcome]) -> list[str]:
    failed = oracles_exceptions(outcomes)
    if not failed:
        return []
    rows = [["test", "operator", "opset", "", "reason"]]
    rows += [
        [
            each.case,
            each.operator,
            str(each.opset),
            each.result,
            why or f"not named: {reason(each)}",
        ]
        for each, why in failed
    ]
    return ["## The oracle's exceptions", "", *_table(rows), ""]


def _by_operator(outcomes: Sequence[OperatorOutcome]) -> list[str]:
    rows = [["operator", "opsets", *map(" ".join, targets(outcomes))]]
    for row in by_operator(outcomes):
        cells = [counted.text() for counted in row.tallies.values()]
        rows.append([row.operator, row.opsets, *cells])
    return _table(rows)


def _not_right(outcomes: Sequence[OperatorOutcome]) -> list[str]:
    """One line for the tests of an operator that fail for one reason; the page has each test."""
    alike: dict[tuple[str, ...], list[OperatorOutcome]] = {}
    failed = [each for each in outcomes if shown(each) in FAILS]
    for each in sorted(failed, key=lambda each: (_column(each), *_of_operator(each))):
        key: tuple[str, ...] = (each.target, each.operator, str(each.opset))
        key = (*key, shown(each), reason(each))
        alike.setdefault(key, []).append(each)
    rows = [["target", "operator", "opset", "", "reason", "tests", "inputs of the first"]]
    for key, group in alike.items():
        first, *more = [each.case for each in group]
        named = f"{first} and {len(more)} more" if more else first
        rows.append([*key, named, shortened(group[0].inputs)])
    return _table(rows) if len(rows) > 1 else ["Every test that was run is right."]


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    head, *body = [[_cell(text) for text in row] for row in rows]
    rule = ["---"] * len(head)
    return [f"| {' | '.join(row)} |" for row in (head, rule, *body)]


def _cell(text: str) -> str:
    """A reason may hold anything: it stays in its cell, as text."""
    plain = " ".join(text.split()).replace("|", "\\|")
    return plain.replace("<", "&lt;").replace("`", "'")
