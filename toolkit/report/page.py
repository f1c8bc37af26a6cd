"""Renders report.html: one file that needs no network.

It enforces that itself: its Content-Security-Policy allows no request at all.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from functools import cache

from toolkit.report import metricpage
from toolkit.report.decision import ComparisonDecision
from toolkit.report.download import download
from toolkit.report.facts import method
from toolkit.report.grids import answers, latencies, machines
from toolkit.report.markup import Child, Markup, data, script, style, table_markup, tag
from toolkit.report.palette import OUTLINES
from toolkit.report.plots import Plot, draw
from toolkit.report.plots.base import Entry
from toolkit.report.ranking import case_section
from toolkit.report.scaling import scalings
from toolkit.report.svg import asset
from toolkit.report.view import View
from toolkit.report.words import printable
from toolkit.supervision import progress

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'"
)
"""Vega compiles its expressions into functions: hence unsafe-eval."""
LIBRARY = "vega.js"
"""The package's file of `library`."""


def render(view: View, plots: Sequence[Plot] | None = None) -> str:
    """The whole page; ends with a newline. The same view gives the same page.

    `plots` are those of the view; None: they are drawn here.
    """
    if plots is None:
        plots = draw(view)
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy(view)),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{view.title}: which runtime, how fast, how right"),
        style(asset("page.css") + asset("plot.css")),
    )
    body = tag(
        "body",
        tag("main", *sections(view, plots)),
        tag("div", id="tip", role="tooltip", hidden=True),
        data("specs", {plot.name: vega(plot) for plot in plots}),
        script(library()),
        script(asset("page.js")),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def policy(view: View) -> str:
    """The page's policy. Pictures stand in the page itself: nothing is fetched for them."""
    return f"{POLICY}; img-src data:" if metricpage.has_pictures(view) else POLICY


@cache
def library() -> str:
    """The code of Vega, 580 KB, as vl-convert bundles it.

    Bundling takes a second of each command that writes a page, so the package brings the bundle of
    the version that it is tested with (`make assets`). Another version is bundled anew, since the
    specifications are compiled for it.
    """
    import vl_convert

    kept, version = asset(LIBRARY), vl_convert.get_vega_version()
    return kept if kept.startswith(notice(version)) else bundled(version)


def bundled(version: str) -> str:
    """Bundles the code of Vega from what vl-convert carries.

    Vega alone suffices, since the specifications come compiled; with Vega-Lite and Vega-Embed, as
    Altair would put it in, it is 900 KB.
    """
    import vl_convert

    imported = (
        f"import {{View, parse}} from '/npm/vega@{version}/+esm'; window.vega = {{View, parse}};"
    )
    # A function around it keeps the bundle's own names out of the page.
    return f"{notice(version)}(() => {{{vl_convert.javascript_bundle(imported)}}})();\n"


def notice(version: str) -> str:
    """The line before the code of Vega, which its licence asks for."""
    return (
        f"/*! Vega {version}, (c) University of Washington Interactive Data Lab, BSD-3-Clause */\n"
    )


def vega(plot: Plot) -> dict[str, object]:
    """Compiles a plot from Vega-Lite to Vega, so that the page needs no compiler."""
    import vl_convert

    progress.step(f"drawing {plot.name}")
    compiled: dict[str, object] = vl_convert.vegalite_to_vega(plot.spec)
    return compiled


def sections(view: View, plots: Sequence[Plot]) -> list[Markup]:
    """The parts of the page from top to bottom."""

    def of(*kinds: str) -> list[Plot]:
        """The plots whose names begin so: a plot of one case ends in the case's name."""
        return [plot for plot in plots if plot.name.startswith(kinds)]

    # First what a reader decides by, then the evidence for it, last how it was made.
    return [
        opening(view),
        *(case_section(view, table) for table in view.tables),
        metricpage.section(view),
        section("How fast beside the baseline", of("ratios")),
        section("How it scales", of("scaling", "heat"), after=contradicted(view)),
        section(
            "Where the time goes",
            of("parts", "cold-start"),
            before=copies(view),
            alone=False,
            beside=True,
        ),
        section("The distribution of the calls", of("distribution"), after=missing(view)),
        section(
            "How far the answers are from float64",
            of("answers"),
            before=oracle(view),
            after=special_values(view),
        ),
        section("The machine while it measured", of("over-time", "machine"), alone=False),
        tag("section", tag("h2", "How this was measured"), how(view), class_="method"),
    ]


def section(
    title: str,
    plots: Sequence[Plot],
    *,
    before: Child = None,
    after: Child = None,
    alone: bool = True,
    beside: bool = False,
) -> Markup:
    """A part of the page with its plots; empty where there is nothing to show.

    One plot that may stand `alone` gives the part its title. Plots that may stand `beside` each
    other do so on paper.
    """
    if not (plots or before or after):
        return Markup("")
    readings = [plot.reading for plot in plots]
    single = alone and len(plots) == 1
    return tag(
        "section",
        tag("h2", plots[0].title if single else title),
        before,
        tag(
            "div",
            [
                figure(plot, titled=not single, read=plot.reading not in readings[:number])
                for number, plot in enumerate(plots)
            ],
            class_="pair" if beside and len(plots) > 1 else None,
        ),
        after,
    )


def opening(view: View) -> Markup:
    """The conclusions, and below them the model, the machine and the time."""
    return tag(
        "header",
        tag("p", "Which runtime, how fast, how right", class_="kicker"),
        tag("h1", view.title),
        tag("p", view.state, class_="state") if view.state else None,
        decided(view.decision),
        [
            [tag("p", conclusion.headline, class_="detail" if view.decision else "headline")]
            + [tag("p", detail, class_="detail") for detail in conclusion.details]
            for conclusion in view.conclusions
        ],
        [tag("p", sentence, class_="detail") for sentence in view.choosing],
        [
            tag("p", sentence, class_="beside")
            for sentence in (*view.agreements, *view.without_rank)
        ],
        tag(
            "dl",
            [
                (tag("dt", name), tag("dd", text))
                for name, text in (
                    ("Model", view.model),
                    ("Machine", view.machine),
                    ("Measured", view.measured),
                )
            ],
            class_="facts",
        ),
    )


def decided(decision: ComparisonDecision | None) -> Child:
    """What to do with what is new, before everything else."""
    if decision is None:
        return None
    return [
        tag("p", decision.text, class_="headline"),
        [tag("p", line, class_="detail") for line in decision.paragraphs[1:]],
    ]


def figure(plot: Plot, *, titled: bool, read: bool) -> Markup:
    """A plot with its title, how to read it, and the table behind it.

    `titled`: with its title, unless the section has it. `read`: with how to read it, unless a plot
    before it has the same words.
    """
    return tag(
        "figure",
        tag(
            "figcaption",
            tag("h3", plot.title) if titled else None,
            tag("p", plot.reading) if read else None,
        ),
        legend(plot.legend),
        # page.js draws the plot into it.
        tag("div", id=f"plot-{plot.name}", class_="plot", role="img", aria_label=plot.title),
        tag(
            "details",
            tag("summary", "The numbers"),
            tag("div", table_markup(plot.grid), class_="wide"),
        ),
    )


def legend(entries: Sequence[Entry]) -> Markup | None:
    """A legend as a list, whose lines wrap as those of a legend drawn by Vega would not."""
    if not entries:
        return None
    return tag(
        "ul",
        [tag("li", swatch(entry), entry.name) for entry in entries],
        class_="legend",
    )


def swatch(entry: Entry) -> Markup:
    """A stroke of a legend with its mark, as they are drawn in the plot."""
    shade = entry.look.colour
    line = tag(
        "line", x1="0", x2="24", y1="6", y2="6", stroke=shade, stroke_width="3",
        stroke_dasharray=" ".join(map(str, entry.dash)) or None,
    )  # fmt: skip
    mark = tag(
        "path", d=OUTLINES[entry.look.shape], fill=shade, transform="translate(12,6) scale(5)"
    )
    return tag("svg", line, mark, width="24", height="12", aria_hidden="true")


def contradicted(view: View) -> Child:
    """Says why a gain is not the quotient of the p50s beside it; nothing where each is."""
    lines = [
        line
        for scaling in scalings(view.run, view.tables)
        for line in latencies.contradicted(scaling)
    ]
    return [tag("p", line, class_="note") for line in lines] or None


def copies(view: View) -> Child:
    """Says which copies a timed call contains."""
    if not view.copies:
        return None
    return [
        tag("p", "What a timed call holds:", class_="lead-in"),
        tag("ul", [tag("li", line) for line in view.copies], class_="plain"),
    ]


def missing(view: View) -> Child:
    """Says which percentiles are not shown and why, each sentence once."""
    lines = dict.fromkeys(
        line for table in view.tables for line in latencies.missing(table, view.samples)
    )
    return [tag("p", line, class_="note") for line in lines]


def oracle(view: View) -> Child:
    """Says what the answers were judged against, each sentence once."""
    sentences = dict.fromkeys(
        f"{target.verdict.feeds} feeds, judged against {target.verdict.oracle}"
        for target in view.targets
        if target.verdict
    )
    return [tag("p", f"{printable(sentence)}.", class_="lead-in") for sentence in sentences]


def special_values(view: View) -> Child:
    """The special values of Relu: a table, and what its cells cannot say."""
    grid = answers.special_values(view.targets)
    if not grid.rows:
        return None
    return [
        tag("h3", "Special values of Relu"),
        tag(
            "p",
            "What each Relu gives for the values that tell runtimes apart; judged apart from the "
            "verdict. Deviating cells are marked.",
        ),
        tag("div", table_markup(grid), class_="wide special-values"),
        [tag("p", note, class_="note") for note in answers.special_value_notes(view.targets)],
    ]


def how(view: View) -> Child:
    """Explains the method; with the command, the warnings, the versions and the record."""
    warnings = machines.notes(view)
    return [
        tag("p", " ".join(method(view.run)), " METHODOLOGY.md of toolkit has the whole of it."),
        tag("pre", tag("code", printable(shlex.join(view.run.command)))),
        [tag("h3", "Warnings"), tag("div", table_markup(warnings), class_="wide")]
        if warnings.rows
        else None,
        tag("h3", "What ran"),
        tag("div", table_markup(answers.facts(view.targets)), class_="wide"),
        tag("p", f"toolkit {view.run.toolkit} · ", download(view.run), class_="record"),
    ]
