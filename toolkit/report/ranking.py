"""Draws the main table of the page: one for each case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from toolkit.report import palette
from toolkit.report.grids import latencies, machines
from toolkit.report.grids.grid import NONE
from toolkit.report.markup import Markup, tag, unbroken
from toolkit.report.palette import MarkStyle
from toolkit.report.throughput import cost, cost_words, rows_words
from toolkit.report.view import Row, Standing, Table, View
from toolkit.report.words import timed
from toolkit.units import duration

LEVELS = ("p90", "p99")
"""Percentiles in the main table; the others stand behind the distribution."""
HEADS = {
    "target": "Runtime and provider; below it the version, and where the nodes ran.",
    "p50": "Half of the calls took no longer. Median over process starts; small: their range.",
    "rows": "Rows that one process works through in a second, one call after the other; small: the "
    "interval.",
    "cost": "At the price of an hour of this machine that was given; small: the interval.",
    "against": "The ratio to the baseline, paired block by block, with its interval.",
    "answers": "What the answers are worth against the same network in float64.",
    "p90": "Nine calls in ten took no longer.",
    "p99": "99 calls in 100 took no longer.",
    "cold start": "From a fresh process to the first answer: import, load, first call.",
    "memory": "What the process holds more than before it loaded the model; a GPU's own memory "
    "is not counted.",
}
"""Column → what it means, as readers see it."""


def case_section(view: View, table: Table) -> Markup:
    """The table of one case, the remarks on it, and what its columns mean."""
    levels = [
        name for name in LEVELS if any(latencies.carried(row.speed, name) for row in table.rows)
    ]
    rates = {"rows": table.rows_a_second, "cost": table.price is not None}
    titles = {
        "against": latencies.against(table),
        "rows": f"{table.unit} a second",
        "cost": f"a million {table.unit} cost",
    }
    shown = (name for name, has in rates.items() if has)
    columns = {
        name: titles.get(name, name)
        for name in ("target", "p50", *shown, "against", "answers", *levels, "cold start", "memory")
    }
    meanings = [(tag("dt", title), tag("dd", HEADS[name])) for name, title in columns.items()]
    drawn = tag(
        "table", tag("thead", tag("tr", heads(columns))), parts(view, table, levels), class_="main"
    )
    return tag(
        "section",
        tag("h2", heading(view, table)),
        tag("div", drawn, class_="wide"),
        [tag("p", remark, class_="note") for remark in latencies.remarks(table)],
        tag("details", tag("summary", "What the columns say"), tag("dl", meanings, class_="heads")),
        class_="case",
    )


def heading(view: View, table: Table) -> str:
    case = table.case.name[:1].upper() + table.case.name[1:]
    return case if len(view.tables) > 1 else "The targets"


def heads(columns: Mapping[str, str]) -> list[Markup]:
    """The cells of the head; each sorts by a click, and explains itself when pointed at."""
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
    """A body of the table for each standing, so that sorting does not mix them."""
    looks = palette.looks(view.targets)
    return [
        tag(
            "tbody",
            [
                row_markup(table, row, levels, looks[row.target.name])
                for row in table.part(standing)
            ],
            class_=standing.replace(" ", "-"),
        )
        for standing in Standing
        if table.part(standing)  # An empty body would still be drawn as a line.
    ]


def row_markup(table: Table, row: Row, levels: Sequence[str], look: MarkStyle) -> Markup:
    """One row; its cells carry the numbers that they are sorted by."""
    speed, cold, memory = row.speed, row.target.cold.total, row.target.use.resident
    middle, around = timed(speed.p50) if speed else (NONE, "")
    cells = [
        name_cell(row, look),
        cell("p50", middle, speed.p50.middle if speed else None, small(around)),
        *rate_cells(table, row),
        ratio_cell(row),
        tag("td", verdict_markup(row), data_label="answers", data_value=row.answers),
        *(cell(level, percentile(row, level), latencies.carried(speed, level)) for level in levels),
        cell("cold start", duration(cold) if cold else NONE, cold or None),
        cell(
            "memory",
            machines.signed_size(memory.middle) if memory else NONE,
            memory.middle if memory else None,
        ),
    ]
    return tag("tr", cells, class_="first" if table.leads(row) else None)


def rate_cells(table: Table, row: Row) -> list[Markup]:
    """Rows a second and their cost, with their intervals, where the table has these columns; of
    what is right alone."""
    right = latencies.chosen(row)
    cells = []
    if table.rows_a_second:
        rows = right.throughput if right else None
        text, around = interval_apart(rows_words(rows)) if rows else (NONE, "")
        head = f"{table.unit} a second"
        cells.append(cell(head, text, rows.middle if rows else None, small(around)))
    if table.price is not None:
        spent = cost(right, table.price) if right else None
        text, around = interval_apart(cost_words(spent)) if spent else (NONE, "")
        head = f"a million {table.unit} cost"
        cells.append(cell(head, text, spent.middle if spent else None, small(around)))
    return cells


def interval_apart(words: str) -> tuple[str, str]:
    """('45,000', '44,100 to 46,000') of '45,000 (44,100 to 46,000)'."""
    middle, _, around = words.partition(" (")
    return middle, around.removesuffix(")")


def name_cell(row: Row, look: MarkStyle) -> Markup:
    """The head of a row: the mark of the runtime, the name, and what ran."""
    target = row.target
    return tag(
        "th",
        tag(
            "svg",
            tag("path", d=palette.OUTLINES[look.shape], fill=look.colour),
            class_="look",
            viewBox="-1 -1 2 2",
            aria_hidden="true",
        ),
        target.name,
        small(" · ".join(part for part in (target.library, target.placement) if part)),
        scope="row",
        data_value=target.name,
    )


def ratio_cell(row: Row) -> Markup:
    """The ratio, or why there is none; sorted by the time beside the baseline's."""
    # Inverted, so that sorting upwards begins with the fastest, as for p50.
    times = 1 / row.ratio.middle if row.ratio else 1.0  # Ranked without a ratio: the baseline.
    return cell(
        "ratio",
        "the baseline" if row.compares and row.ratio is None else row.says,
        times if row.compares else None,
        small(row.reason if row.standing is Standing.NOT_SHOWN else "; ".join(row.cures)),
    )


def small(text: str) -> Markup | None:
    """A line in small type below the words of a cell; nothing where there is no text."""
    return tag("small", text) if text else None


def cell(label: str, text: str, value: float | None, more: Markup | None = None) -> Markup:
    """A cell with its label, for narrow pages where the head is not seen."""
    return tag(
        "td",
        unbroken(text),
        more,
        class_={"ratio": "reason lead", "p50": "number lead"}.get(label, "number"),
        data_label=label,
        data_value=repr(value) if value is not None else "",
    )


def percentile(row: Row, level: str) -> str:
    latency = latencies.carried(row.speed, level)
    return duration(latency) if latency is not None else NONE


def verdict_markup(row: Row) -> Markup:
    """The verdict; red for wrong answers and for nothing else."""
    kind = {Standing.RANKED: "right", Standing.NOT_RIGHT: "coarse"}
    # Rule V2: of the rows that are not right, only the wrong ones show no latency.
    wrong = row.standing is Standing.NOT_RIGHT and row.speed is None
    return tag(
        "span",
        row.answers,
        class_=f"verdict {'wrong' if wrong else kind.get(row.standing, 'none')}",
    )
