"""The part of the page on labelled data: the metrics, and the first examples that flipped."""

from __future__ import annotations

import base64
from collections.abc import Iterator

from toolkit.records.metrics import Flip, MetricDrop
from toolkit.report import metrics
from toolkit.report.markup import Markup, table_markup, tag
from toolkit.report.view import View
from toolkit.report.words import printable


def has_pictures(view: View) -> bool:
    """Says whether the page shows pictures: its policy has to allow those that it holds itself."""
    data = view.run.data
    return any(flip.picture for drop in (data.drops if data else ()) for flip in drop.flips)


def section(view: View) -> Markup:
    """The section; empty without labelled data."""
    data = view.run.data
    if data is None:
        return Markup("")
    return tag(
        "section",
        tag("h2", f"On {metrics.heading(data)}"),
        tag("p", metrics.reading(data), class_="lead-in"),
        tag("div", table_markup(metrics.grid(view.run, view.targets)), class_="wide"),
        [tag("p", sentence, class_="note") for sentence in metrics.flipped(view)],
        [_flips(view, drop) for drop in data.drops if drop.flips],
    )


def _flips(view: View, drop: MetricDrop) -> Markup:
    new, old = (view.targets[index].name for index in (drop.new, drop.old))
    return tag(
        "div",
        tag("h3", f"Examples that flipped: {new} against {old}"),
        tag("ul", [tag("li", *_flip(flip)) for flip in drop.flips], class_="flips"),
    )


def _flip(flip: Flip) -> Iterator[Markup]:
    if flip.picture:
        source = f"data:image/png;base64,{base64.b64encode(flip.picture).decode()}"
        yield tag("img", src=source, alt=f"example {flip.example}")
    if flip.text:
        yield tag("q", printable(flip.text))
    yield tag("span", printable(f"example {flip.example}: {flip.label}"))
    yield tag("span", printable(f"{flip.old} → {flip.new}"))
