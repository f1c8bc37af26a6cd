"""Renders the page of `toolkit conformance`: which operators are right on which target.

One file that needs no network, and no JavaScript but for its filter.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from toolkit.operatortests import tables
from toolkit.operatortests.cases import SEVERAL
from toolkit.operatortests.outcome import OperatorOutcome
from toolkit.operatortests.tables import SHOWN, Column, OperatorRow, Shown, Tally
from toolkit.report.markup import Child, Markup, script, style, tag
from toolkit.report.svg import asset
from toolkit.report.words import counted, printable

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'"
)
"""No request at all is allowed."""
MEANINGS: dict[Shown, str] = {
    "right": "all outputs are within ONNX's own tolerances",
    "less precise": "within ONNX's tolerances, and coarser than float32 by toolkit's rule",
    "wrong": "an output has another shape, type or value",
    "refused": "the runtime says that it cannot run it",
    "crashed": "its process ended, or did not answer in time",
    "left out": "the test holds sequences, maps or optionals, which toolkit does not feed",
    "not run": "another target was asked, this one was not yet",
}
BAR = 160
"""Pixels: the length of a target's bar."""


def render(outcomes: Sequence[OperatorOutcome]) -> str:
    """The whole page; ends with a newline. The same outcomes give the same page."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", "ONNX's operator tests: which operators are right"),
        style(asset("page.css") + asset("operators.css")),
    )
    rows = tables.by_operator(outcomes)
    body = tag(
        "body",
        tag(
            "main",
            _opening(outcomes, rows),
            _exceptions(outcomes),
            _operators(rows, tables.targets(outcomes)),
            _failing(rows),
            class_="operators",
        ),
        script(asset("operators.js")),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _opening(outcomes: Sequence[OperatorOutcome], rows: Sequence[OperatorRow]) -> Markup:
    tests = len({each.case for each in outcomes})
    versions = ", ".join(sorted({each.onnx for each in outcomes}))
    by_target = tables.by_target(outcomes)
    return tag(
        "header",
        tag("p", "Which operators are right", class_="kicker"),
        tag("h1", "ONNX's operator tests"),
        tag(
            "p",
            f"{counted(tests, 'test')} of {counted(len(rows), 'operator')} from onnx "
            f"{printable(versions)}, on {counted(len(by_target), 'target')}",
            class_="headline",
        ),
        tag("div", _targets(by_target), class_="wide counts"),
        tag(
            "dl",
            [(tag("dt", _mark(kind), kind), tag("dd", MEANINGS[kind])) for kind in SHOWN],
            class_="facts",
        ),
    )


def _targets(by_target: dict[Column, Tally]) -> Markup:
    """A line for each target: its bar, and how many tests are what."""
    head = tag(
        "tr",
        [tag("th", name, scope="col") for name in ("target", "version", "")],
        tag("th", "run", scope="col", class_="number"),
        [tag("th", kind, scope="col", class_="number") for kind in SHOWN],
        tag("th", "precision of the right ones", scope="col"),
    )
    rows = [
        tag(
            "tr",
            tag("th", printable(target), scope="row"),
            tag("td", printable(version)),
            tag("td", _bar(tally)),
            tag("td", tally.run(), class_="number"),
            [_count(tally.counts[kind]) for kind in SHOWN],
            tag(
                "td",
                printable(", ".join(f"{name} {n:,}" for name, n in tally.verdicts.most_common())),
            ),
        )
        for (target, version), tally in by_target.items()
    ]
    return tag("table", tag("thead", head), tag("tbody", rows))


def _count(number: int) -> Markup:
    return tag("td", f"{number:,}" if number else "–", class_="number" if number else "number none")


def _bar(tally: Tally) -> Markup:
    """The shares of the results; the figures beside it say the same in words."""
    total = max(1, tally.counts.total())
    parts, at = [], 0.0
    for kind in SHOWN:
        width = BAR * tally.counts[kind] / total
        if width:
            parts.append(
                tag("rect", x=f"{at:.1f}", width=f"{width:.1f}", height="10", class_=_class(kind))
            )
        at += width
    return tag("svg", parts, width=str(BAR), height="10", aria_hidden="true", class_="bar")


def _mark(kind: Shown) -> Markup:
    """A small square in a result's colour, which stands before its name."""
    square = tag("rect", width="10", height="10", class_=_class(kind))
    return tag("svg", square, width="10", height="10", aria_hidden="true", class_="mark")


def _class(kind: Shown) -> str:
    return kind.replace(" ", "-")


def _exceptions(outcomes: Sequence[OperatorOutcome]) -> Child:
    """The tests that the oracle does not pass, those with one reason together."""
    alike: dict[str, list[OperatorOutcome]] = {}
    for outcome, reason in tables.oracles_exceptions(outcomes):
        alike.setdefault(reason or f"Not named yet: {tables.reason(outcome)}", []).append(outcome)
    if not alike:
        return None
    rows = [
        tag(
            "tr",
            tag("th", printable(", ".join(dict.fromkeys(e.operator for e in own))), scope="row"),
            tag("td", printable(", ".join(dict.fromkeys(e.result for e in own)))),
            tag("td", printable(reason)),
            tag("td", tag("span", _breakable(", ".join(e.case for e in own)), class_="names")),
        )
        for reason, own in alike.items()
    ]
    names = ("operator", "", "why", "tests")
    head = tag("tr", [tag("th", name, scope="col") for name in names])
    return tag(
        "section",
        tag("h2", "The oracle's exceptions"),
        tag(
            "p",
            "The oracle is the float64 evaluation that says what is right everywhere else in "
            "toolkit. These tests it does not pass.",
            class_="lead-in",
        ),
        tag("div", tag("table", tag("thead", head), tag("tbody", rows)), class_="wide exceptions"),
    )


def _operators(rows: Sequence[OperatorRow], columns: Sequence[Column]) -> Markup:
    """A row for each operator, a cell for each target."""
    head = tag(
        "tr",
        tag("th", "operator", scope="col"),
        tag("th", "opset", scope="col"),
        [
            tag("th", _breakable(name), tag("small", printable(version)), scope="col")
            for name, version in columns
        ],
    )
    body = [
        tag(
            "tr",
            tag("th", _link(row), scope="row"),
            tag("td", row.opsets),
            [_cell(row.tallies[column]) for column in columns],
            data_name=printable(row.operator).lower(),
            data_fails=bool(row.failing),
        )
        for row in rows
    ]
    return tag(
        "section",
        tag("h2", "By operator"),
        tag(
            "p",
            f"A test whose graph holds several operators stands below “{SEVERAL}”. A name leads to "
            "the tests that are not right.",
            class_="lead-in",
        ),
        tag(
            "form",
            tag("label", "Operator ", tag("input", type="search", id="filter")),
            tag("label", tag("input", type="checkbox", id="fails"), " only what fails somewhere"),
            tag("output", id="shown"),
            id="filters",
            hidden=True,
        ),
        tag(
            "div",
            tag("table", tag("thead", head), tag("tbody", body), id="operators"),
            class_="grid",
        ),
    )


def _breakable(name: str) -> Child:
    """A name that may be broken behind a mark, and not within a word."""
    parts = re.split(r"(?<=[:,._-])", printable(name))
    return [[tag("wbr") if index else None, part] for index, part in enumerate(parts)]


def _link(row: OperatorRow) -> Child:
    """The operator's name, which leads to its failing tests where it has any."""
    name = _breakable(row.operator)
    return tag("a", name, href=f"#{_anchor(row)}") if row.failing else name


def _anchor(row: OperatorRow) -> str:
    return "fails-" + "".join(c if c.isalnum() or c in ".-" else "_" for c in row.operator)


def _cell(tally: Tally) -> Markup:
    """What came of an operator's tests on one target, in words: 'right 12', 'wrong 1'."""
    kinds: list[Shown] = [kind for kind in SHOWN if tally.counts[kind]]
    lines = [
        tag("span", _mark(kind), f"{kind} {tally.counts[kind]:,}", class_=f"kind {_class(kind)}")
        for kind in kinds
    ]
    return tag("td", lines)


def _failing(rows: Sequence[OperatorRow]) -> Markup:
    """Each operator's tests that are not right, folded up until it is asked for."""
    folded = [
        tag(
            "details",
            tag(
                "summary",
                printable(row.operator),
                tag("small", f" {counted(len(row.failing), 'test')}"),
            ),
            # A link to what lies inside unfolds it, which one to the fold itself would not.
            tag("div", _tests(row), id=_anchor(row), class_="wide"),
            data_name=printable(row.operator).lower(),
        )
        for row in rows
        if row.failing
    ]
    return tag(
        "section",
        tag("h2", "What is not right"),
        folded or tag("p", "Every test that was run is right."),
        class_="failing",
    )


def _tests(row: OperatorRow) -> Markup:
    head = tag(
        "tr",
        [tag("th", n, scope="col") for n in ("test", "opset", "inputs", "target", "", "reason")],
    )
    body = []
    for case, outcomes in row.failing.items():
        first = outcomes[0]
        span = str(len(outcomes)) if len(outcomes) > 1 else None
        lead = (
            tag("th", _breakable(case), scope="row", rowspan=span),
            tag("td", str(first.opset), rowspan=span),
            tag("td", printable(tables.shortened(first.inputs)), rowspan=span, class_="inputs"),
        )
        body += [
            tag(
                "tr",
                lead if outcome is first else None,
                tag("td", printable(outcome.target)),
                tag("td", tables.shown(outcome), class_="told"),
                tag("td", printable(tables.reason(outcome)), class_="why"),
            )
            for outcome in outcomes
        ]
    return tag("table", tag("thead", head), tag("tbody", body))
