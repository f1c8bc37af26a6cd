"""The main table of the page: one for each case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from toolkit.report import palette
from toolkit.report.grids import latencies, machines
from toolkit.report.grids.grid import NONE
from toolkit.report.markup import Markup, tag
from toolkit.report.view import Row, Standing, Table, View
from toolkit.report.words import timed
from toolkit.units import duration

LEVELS = ("p90", "p99")
"""Percentiles in the main table; the others stand behind the distribution."""
HEADS = {
    "target": "Runtime and provider; below it the version, and where the nodes ran.",
    "p50": "Half of the calls took no longer. Median over process starts; small: their range.",
    "against": "The ratio to the baseline, paired block by block, with its interval.",
    "answers": "What the answers are worth against the same network in float64.",
    "p90": "Nine calls in ten took no longer.",
    "p99": "99 calls in 100 took no longer.",
    "cold start": "From a fresh process to the first answer: import, load, first call.",
    "memory": "What the process holds more than before it loaded the model; a GPU's own memory "
    "is not counted.",
}


def case_section(view: View, table: Table) -> Markup:
    """The table of one case, what must be said of it, and what its columns mean."""
    levels = [
        name for name in LEVELS if any(latencies.carried(row.speed, name) for row in table.rows)
    ]
    columns = {
        name: latencies.against(table) if name == "against" else name
        for name in ("target", "p50", "against", "answers", *levels, "cold start", "memory")
    }
    meanings = [(tag("dt", title), tag("dd", HEADS[name])) for name, title in columns.items()]
    drawn = tag(
        "table", tag("thead", tag("tr", heads(columns))), parts(view, table, levels), class_="main"
    )
    return tag(
        "section",
        tag("h2", heading(view, table)),
        tag("div", drawn, class_="wide"),
        [tag("p", said, class_="note") for said in latencies.remarks(table)],
        tag("details", tag("summary", "What the columns say"), tag("dl", meanings, class_="heads")),
        class_="case",
    )


def heads(columns: Mapping[str, str]) -> list[Markup]:
    """Each sorts by a click, and says what it means when pointed at."""
    return [
        tag(
            "th",
            tag("button", title, type="button", title=HEADS[name]),
            scope="col",
            class_=None if name in ("target", "against", "answers") else "number",
        )
        for name, title in columns.items()
    ]


def parts(view: View, table: Table, levels: Sequence[str]) -> list[Markup]:
    """The right, those that are not, and those that did not run: sorting does not mix them."""
    shades = palette.colours(view.targets)
    return [
        tag(
            "tbody",
            [
                row_markup(row, levels, shades[row.target.name], table.leads(row))
                for row in table.part(standing)
            ],
            class_=standing.replace(" ", "-"),
        )
        for standing in Standing
        if table.part(standing)
    ]


def heading(view: View, table: Table) -> str:
    case = table.case.name[:1].upper() + table.case.name[1:]
    return case if len(view.tables) > 1 else "The targets"


def row_markup(row: Row, levels: Sequence[str], shade: str, leads: bool) -> Markup:
    """One row; cells carry the number that they are sorted by."""
    one, speed = row.target, row.speed
    about = " · ".join(part for part in (one.library, one.placement) if part)
    name = tag(
        "th",
        tag("span", class_="dot", style=f"--shade:{shade}"),
        one.name,
        tag("small", about) if about else None,
        scope="row",
        data_value=one.name,
    )
    middle, around = timed(speed.p50) if speed else (NONE, "")
    start = sum(part.middle for part in one.cold.parts().values() if part)
    use = one.use.resident
    reason = row.standing is not Standing.RANKED
    cells = [
        name,
        cell(
            "p50",
            middle,
            speed.p50.middle if speed else None,
            tag("small", around) if around else None,
        ),
        cell(
            "ratio",
            "the baseline" if row.rank and row.ratio is None else row.says,
            1 / row.ratio.middle if row.ratio else 1.0 if not reason else None,
            tag("small", "; ".join(row.cures)) if row.cures else None,
        ),
        tag("td", answer(row), data_label="answers", data_value=row.answers),
        *(cell(level, percentile(row, level), latencies.carried(speed, level)) for level in levels),
        cell("cold start", duration(start) if start else NONE, start or None),
        cell(
            "memory",
            machines.signed_size(use.middle) if use else NONE,
            use.middle if use else None,
        ),
    ]
    return tag("tr", cells, class_="first" if leads else None)


def cell(label: str, text: str, value: float | None, more: Markup | None = None) -> Markup:
    """A cell with its name, for narrow pages where the head is not seen."""
    return tag(
        "td",
        text,
        more,
        class_={"ratio": "reason lead", "p50": "number lead"}.get(label, "number"),
        data_label=label,
        data_value=repr(value) if value is not None else "",
    )


def percentile(row: Row, level: str) -> str:
    found = latencies.carried(row.speed, level)
    return duration(found) if found is not None else NONE


def answer(row: Row) -> Markup:
    """The verdict; red for wrong answers and for nothing else."""
    kind = {Standing.RANKED: "right", Standing.NOT_RIGHT: "coarse", Standing.NOT_MEASURED: "none"}
    wrong = row.standing is Standing.NOT_RIGHT and row.speed is None
    return tag("span", row.answers, class_=f"verdict {'wrong' if wrong else kind[row.standing]}")
